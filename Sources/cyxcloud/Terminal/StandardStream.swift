internal import Glibc

/// Standard output or standard error, unbuffered.
enum StandardStream: Int32 {
    case output = 1
    case error = 2

    func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var done = 0
            while done < bytes.count, let base = bytes.baseAddress {
                let count = Glibc.write(rawValue, base + done, bytes.count - done)
                if count < 0, errno == EINTR { continue }
                // Whoever reads has gone: there is nobody to tell.
                guard count > 0 else { return }
                done += count
            }
        }
    }

    var isTerminal: Bool { isatty(rawValue) == 1 }
}

/// The process's environment.
enum ProcessEnvironment {
    static func value(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
