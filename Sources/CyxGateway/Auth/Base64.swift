/// Base 64 with padding (RFC 4648 §4).
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var word: UInt32 = 0
            for byte in group { word = word << 8 | UInt32(byte) }
            word <<= UInt32((3 - group.count) * 8)
            for position in 0..<4 {
                let digit = alphabet[Int(word >> UInt32(18 - position * 6) & 63)]
                result.append(position <= group.count ? digit : UInt8(ascii: "="))
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Strict: nil for a wrong length, a foreign character or bits that encoding would not set.
    static func decode(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 4) else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: digits.count, by: 4) {
            let isLast = start + 4 == digits.count
            let padding = isLast ? digits[start...].reversed().prefix { $0 == 0x3D }.count : 0
            guard padding <= 2 else { return nil }
            var word: UInt32 = 0
            for digit in digits[start..<start + 4 - padding] {
                guard let value = alphabet.firstIndex(of: digit) else { return nil }
                word = word << 6 | UInt32(value)
            }
            word <<= UInt32(padding * 6)
            let group = [16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) }
            guard group[(3 - padding)...].allSatisfy({ $0 == 0 }) else { return nil }
            bytes += group[..<(3 - padding)]
        }
        return bytes
    }
}
