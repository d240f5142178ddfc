internal import CyxCore

/// CIDv1 of a manifest: base 32 of version 1 ‖ codec raw ‖ multihash BLAKE3-256 (CA-01).
enum ContentID {
    private static let prefix: [UInt8] = [0x01, 0x55, 0x1e, 0x20]
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    /// `hash`: the 32 bytes that name the version.
    static func text(ofManifest hash: [UInt8]) -> String {
        var text: [UInt8] = [UInt8(ascii: "b")]
        var bits = 0
        var value: UInt32 = 0
        for byte in prefix + hash {
            value = (value << 8 | UInt32(byte)) & 0xFFFF
            bits += 8
            while bits >= 5 {
                bits -= 5
                text.append(alphabet[Int(value >> UInt32(bits)) & 31])
            }
        }
        if bits > 0 { text.append(alphabet[Int(value << UInt32(5 - bits)) & 31]) }
        return String(decoding: text, as: UTF8.self)
    }
}
