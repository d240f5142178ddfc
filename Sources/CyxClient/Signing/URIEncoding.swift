internal import CyxCore

/// Percent-encoding as AWS signs it: everything but unreserved characters (RFC 3986 §2.3).
package enum URIEncoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// Encodes UTF-8 bytes; a slash stays as it is in a path and not elsewhere.
    package static func encode(_ text: String, keepsSlash: Bool = false) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.append(byte)
            case UInt8(ascii: "/") where keepsSlash:
                result.append(byte)
            default:
                result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Undoes `encode`, and form encoding's plus sign; nil if it is not UTF-8 afterwards.
    package static func decode(_ text: String) -> String? {
        var result: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                let pair = String(decoding: bytes.prefix(2), as: UTF8.self)
                guard let decoded = Hex.decode(pair), decoded.count == 1 else { return nil }
                result += decoded
                bytes = bytes.dropFirst(2)
            case UInt8(ascii: "+"): result.append(0x20)
            default: result.append(byte)
            }
        }
        return String(validating: result, as: UTF8.self)
    }
}
