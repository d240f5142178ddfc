/// Base 58 with Bitcoin's alphabet, which IPFS's CIDv0 is written in.
package enum Base58 {
    /// Decoding takes time with the square of the length, so longer texts are refused.
    package static let maximumLength = 128

    private static let digits = Array(
        "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)

    /// The bytes of `text`; nil for a foreign character or more than `maximumLength` of them.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        guard text.utf8.count <= maximumLength else { return nil }
        var bytes: [UInt8] = []  // little-endian
        for character in text.utf8 {
            guard let digit = digits.firstIndex(of: character) else { return nil }
            var carry = digit
            for index in bytes.indices {
                carry += Int(bytes[index]) * 58
                bytes[index] = UInt8(carry & 0xff)
                carry >>= 8
            }
            if carry > 0 { bytes.append(UInt8(carry)) }
        }
        let zeros = text.utf8.prefix { $0 == digits[0] }.count
        return [UInt8](repeating: 0, count: zeros) + bytes.reversed()
    }
}
