internal import Glibc

/// A system call that failed: which, the number and the system's words.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    package var call: String
    package var code: Int32

    init(_ call: String, code: Int32 = Glibc.errno) {
        self.call = call
        self.code = code
    }

    package var description: String { "\(call): \(SystemError.words(code))" }

    /// What the system calls error `code`.
    package static func words(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
