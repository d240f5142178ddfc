internal import CyxCore
internal import CyxCrypto

/// What a signature of AWS Signature Version 4 is made over: "Create a canonical request" of its
/// documentation, with S3's rule that the path is encoded once and never normalised.
package struct CanonicalRequest: Sendable {
    package var method: String
    /// Encoded, as it is on the wire.
    package var path: String
    /// As `query(_:)` writes it.
    package var query: String
    /// The signed headers in the order of signing; names in lower case.
    package var headers: [(name: String, values: [String])]
    /// SHA-256 of the body in hexadecimal, or a literal such as `UNSIGNED-PAYLOAD`.
    package var payloadHash: String

    package init(
        method: String, path: String, query: String, headers: [(name: String, values: [String])],
        payloadHash: String
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.payloadHash = payloadHash
    }

    package var signedHeaders: String { headers.map(\.name).joined(separator: ";") }

    package var text: String {
        let lines = headers.map { name, values in
            "\(name):\(values.map(CanonicalRequest.trimmed).joined(separator: ","))\n"
        }
        return [method, path, query, lines.joined(), signedHeaders, payloadHash]
            .joined(separator: "\n")
    }

    /// The SHA-256 of `text`, in hexadecimal.
    package var hash: String { Hex.encode(SHA256.hash(Array(text.utf8))) }

    /// Without white space around, and with runs of it as one space.
    private static func trimmed(_ value: String) -> String {
        value.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
    }

    /// The query of decoded `items` as it is signed, and may be sent: sorted by encoded name, then
    /// value.
    package static func query(_ items: some Sequence<(name: String, value: String)>) -> String {
        items.map { (PercentEncoding.encode($0.name), PercentEncoding.encode($0.value)) }
            .sorted { $0 < $1 }
            .map { "\($0)=\($1)" }
            .joined(separator: "&")
    }
}
