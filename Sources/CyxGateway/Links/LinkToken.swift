internal import CyxCore
internal import CyxCrypto

/// What stands in a link: 256 random bits, of which the network keeps only the hash.
///
/// It stands in the path, so that curl and any browser can open the link: the gateway, which has the
/// account's keys, decrypts. The secret in the URL's fragment that decisions §B3 want is for links
/// that the browser decrypts itself, where no server is to see the key; here the gateway would never
/// get it, since fragments are not sent (RFC 9110 §4.2.4).
enum LinkToken {
    static let byteCount = 32
    static let root = "/s/"

    static func path(_ token: [UInt8]) -> String { root + Base64.encode(token, .url) }

    static func hash(_ token: [UInt8]) -> Digest { BLAKE3.hash(token) }

    /// The token of a request's path and what comes after it, undecoded and without the slash between
    /// them. Nil for what no gateway gives out.
    static func parse(_ path: Substring) -> (token: [UInt8], rest: Substring)? {
        guard path.hasPrefix(root) else { return nil }
        let text = path.dropFirst(root.count)
        let name = text.prefix { $0 != "/" }
        guard let token = Base64.decode(String(name), .url), token.count == byteCount else {
            return nil
        }
        return (token, text[name.endIndex...].dropFirst())
    }
}
