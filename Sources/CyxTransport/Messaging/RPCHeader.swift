/// The 8 bytes before each message: of a request `method 2 ‖ version 1 ‖ flags 1 ‖ length 4`, of a
/// response a status in the method's place.
struct RPCHeader: Equatable, Sendable {
    static let version: UInt8 = 1

    var code: UInt16
    var length: Int
    /// The flags: of a request, how urgent it and its response are.
    var urgency = CallUrgency.foreground

    var word: UInt64 {
        UInt64(code) << 48 | UInt64(RPCHeader.version) << 40 | UInt64(urgency.rawValue) << 32
            | UInt64(UInt32(length))
    }

    static func urgency(of word: UInt64) -> CallUrgency {
        CallUrgency(rawValue: UInt8(truncatingIfNeeded: word >> 32)) ?? .foreground
    }

    /// The length of the body, if the word is a header at all.
    static func length(of word: UInt64) -> Int { Int(UInt32(truncatingIfNeeded: word)) }

    init(code: UInt16, length: Int, urgency: CallUrgency = .foreground) {
        self.code = code
        self.length = length
        self.urgency = urgency
    }

    /// Nil for another version or unknown flags.
    init?(word: UInt64) {
        guard UInt8(truncatingIfNeeded: word >> 40) == RPCHeader.version,
            let urgency = CallUrgency(rawValue: UInt8(truncatingIfNeeded: word >> 32))
        else { return nil }
        self.urgency = urgency
        code = UInt16(truncatingIfNeeded: word >> 48)
        length = Int(UInt32(truncatingIfNeeded: word))
    }
}

enum RPCStatus {
    static let success: UInt16 = 0
    /// The body is `code 2 ‖ message`.
    static let refused: UInt16 = 1
}

/// Codes of RESET_STREAM and STOP_SENDING.
enum RPCStreamCode {
    static let cancelled: UInt64 = 1
    static let tooLarge: UInt64 = 2
    static let malformed: UInt64 = 3
    static let shuttingDown: UInt64 = 4
}

extension RPCFailure {
    /// Longest message sent, in bytes of UTF-8.
    static let messageBytesMax = 1024

    /// Nobody answers this method here.
    package static let unknownMethod: UInt16 = 0xFFFF
    /// The handler threw something other than an `RPCFailure`.
    package static let handlerFailed: UInt16 = 0xFFFE

    var encoded: [UInt8] {
        var text = Array(message.utf8.prefix(RPCFailure.messageBytesMax))
        // A cut in the middle of a character would not be UTF-8 any more.
        while String(validating: text, as: UTF8.self) == nil { text.removeLast() }
        return [UInt8(code >> 8), UInt8(code & 0xFF)] + text
    }

    init?(encoded: [UInt8]) {
        guard encoded.count >= 2, encoded.count <= 2 + RPCFailure.messageBytesMax,
            let text = String(validating: encoded[2...], as: UTF8.self)
        else { return nil }
        self.init(code: UInt16(encoded[0]) << 8 | UInt16(encoded[1]), message: text)
    }
}
