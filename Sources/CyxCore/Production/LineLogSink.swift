internal import Glibc
internal import Synchronization

/// Writes log events to a descriptor, one line each in logfmt: `time=… level=… part=… msg=…` and
/// the fields in their order. Times are RFC 3339 in UTC with milliseconds.
///
/// A line is one `write`, so lines of several threads never mix. What cannot be written is counted
/// and reported with the next line that can.
package final class LineLogSink: LogSink {
    private struct State: ~Copyable {
        var lostLines = 0
    }

    private let descriptor: Int32
    private let ownsDescriptor: Bool
    private let state = Mutex(State())

    private init(descriptor: Int32, ownsDescriptor: Bool) {
        self.descriptor = descriptor
        self.ownsDescriptor = ownsDescriptor
    }

    deinit {
        if ownsDescriptor { Glibc.close(descriptor) }
    }

    package static func standardError() -> LineLogSink {
        LineLogSink(descriptor: STDERR_FILENO, ownsDescriptor: false)
    }

    /// Appends to the file at `path`, which only its owner can read when it is made here.
    package static func file(_ path: String) throws(SystemError) -> LineLogSink {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("open \(path)") }
        return LineLogSink(descriptor: descriptor, ownsDescriptor: true)
    }

    package func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {
        var line = "time=\(time.rfc3339) level=\(level) part=\(part) msg="
        line += LineLogSink.quoted(message)
        for field in fields { line += " \(field.key)=\(LineLogSink.quoted(field.value))" }
        line += "\n"
        state.withLock { state in
            if state.lostLines > 0, writeAll("level=warning msg=\"log lines lost\"\n") {
                state.lostLines = 0
            }
            if !writeAll(line) { state.lostLines += 1 }
        }
    }

    private func writeAll(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var written = 0
            while written < bytes.count, let base = bytes.baseAddress {
                let count = Glibc.write(descriptor, base + written, bytes.count - written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                written += count
            }
            return true
        }
    }

    /// As it is if it is plain, else in quotes with `"`, `\` and control characters escaped.
    static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty
            && value.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"")
                    && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\\")
            }
        if isPlain { return value }
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value):
                text += "\\u{\(String(scalar.value, radix: 16))}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
