internal import Glibc

/// Medians of interleaved runs, because one run on a shared machine says little.
package enum Measurement {
    /// CPU time of the calling thread in seconds: what a neighbour's load does not add to.
    package static func threadSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Elapsed time in seconds.
    package static func wallSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// CPU seconds per call of `body` over `count` calls.
    package static func secondsPerCall(_ count: Int, _ body: () throws -> Void) rethrows -> Double {
        let start = threadSeconds()
        for _ in 0..<count { try body() }
        return (threadSeconds() - start) / Double(count)
    }

    /// Takes turns, `rounds` times, and gives the median of each; a baseline that gives nil once
    /// gives nil in all.
    package static func interleaved(
        rounds: Int, subject: () throws -> Double, baseline: () throws -> Double?
    ) rethrows -> (subject: Double, baseline: Double?) {
        var subjects: [Double] = []
        var baselines: [Double] = []
        for _ in 0..<rounds {
            subjects.append(try subject())
            if let figure = try baseline() { baselines.append(figure) }
        }
        return (median(subjects), baselines.count == rounds ? median(baselines) : nil)
    }

    /// The figure that `share` of all are below; they are in ascending order.
    package static func percentile(_ sorted: [Double], _ share: Double) -> Double {
        precondition(!sorted.isEmpty, "a percentile needs a figure")
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }

    /// Of a subject's figures, each over the baseline's of the same turn.
    package static func pairedRatio(_ subject: [Double], _ baseline: [Double]) -> PairedRatio {
        precondition(subject.count == baseline.count, "each turn measures both")
        let ratios = zip(subject, baseline).map { $0 / $1 }.sorted()
        return PairedRatio(
            median: median(ratios), lower: percentile(ratios, 0.25),
            upper: percentile(ratios, 0.75), turns: ratios.count)
    }

    package static func median(_ figures: [Double]) -> Double {
        precondition(!figures.isEmpty, "a median needs a figure")
        let sorted = figures.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

/// How a subject does beside its baseline when they take turns. A machine that is shared changes its
/// speed within seconds, so that medians of either may come from different times; a turn does not.
package struct PairedRatio: Equatable, Sendable {
    package var median: Double
    /// A quarter of all turns lies below, and a quarter above.
    package var lower: Double
    package var upper: Double
    package var turns: Int

    package init(median: Double, lower: Double, upper: Double, turns: Int) {
        self.median = median
        self.lower = lower
        self.upper = upper
        self.turns = turns
    }
}

/// Runs a shell command and gives what it printed, or nil if it failed.
func output(ofCommand command: String) -> String? {
    guard let pipe = popen(command, "r") else { return nil }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = fread(&buffer, 1, buffer.count, pipe)
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    guard pclose(pipe) == 0 else { return nil }
    return String(decoding: bytes, as: UTF8.self)
}

/// True if `path` is a program that this process may run.
func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }
