internal import CyxKernels
internal import Glibc

/// The metrics of the process itself (`experience.md` §11), read when they are asked for.
package enum ProcessMetrics {
    /// Adds them to `metrics`. `version` is what `cyxcloud_build_info` says.
    package static func register(in metrics: MetricsRegistry, version: String) {
        let start = startTime()
        metrics.collect {
            var values = [
                Measurement("cyxcloud_build_info", .gauge, 1, labels: [("version", version)]),
                Measurement("process_cpu_seconds_total", .counter, cpuSeconds()),
            ]
            if let bytes = residentBytes() {
                values.append(
                    Measurement("process_resident_memory_bytes", .gauge, Double(bytes)))
            }
            if let count = openDescriptors() {
                values.append(Measurement("process_open_fds", .gauge, Double(count)))
            }
            if let start {
                values.append(Measurement("process_start_time_seconds", .gauge, start))
            }
            return values
        }
    }

    package static func cpuSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// proc_pid_statm(5): the second number is resident pages.
    package static func residentBytes() -> Int64? {
        guard let text = read("/proc/self/statm") else { return nil }
        let words = text.split(separator: " ")
        guard words.count > 1, let pages = Int64(words[1]) else { return nil }
        return pages * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    package static func openDescriptors() -> Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Not counting `.`, `..` and the directory's own.
        return count - 3
    }

    /// Seconds since 1970: boot time (proc_stat(5), `btime`) plus the process's start in ticks
    /// (proc_pid_stat(5), the 22nd field).
    private static func startTime() -> Double? {
        guard let status = read("/proc/self/stat"), let end = status.lastIndex(of: ")"),
            let system = read("/proc/stat")
        else { return nil }
        // After the name in parentheses comes the third field.
        let fields = status[end...].split(separator: " ").dropFirst()
        let boot = system.split(separator: "\n").first { $0.hasPrefix("btime ") }
        guard fields.count > 19, let ticks = Double(fields[fields.startIndex + 19]),
            let seconds = boot?.split(separator: " ").last.flatMap({ Double($0) })
        else { return nil }
        return seconds + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        // `/proc/stat` grows with the processors; a quarter of a megabyte holds thousands.
        while bytes.count < 256 << 10 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// How the process's allocator treats large buffers.
package enum ProcessMemory {
    /// Larger allocations are mapped alone and given back at once.
    private static let mappedBytes: Int32 = 8 << 20
    /// Free bytes that a heap keeps at its end.
    private static let keptBytes: Int32 = 16 << 20
    /// The reactor's and the pool's threads share heaps, so that each does not keep its own.
    private static let heaps: Int32 = 2

    /// Buffers of shards and chunks come from memory that is there already, instead of from fresh
    /// pages each time. Call it before any thread is made.
    package static func tune() {
        cyx_tune_allocator(mappedBytes, keptBytes, heaps)
    }
}
