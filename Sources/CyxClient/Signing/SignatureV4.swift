package import CyxCore

/// An S3 key pair.
package struct Credentials: Sendable, Equatable {
    package var accessKey: String
    package var secretKey: String

    package init(accessKey: String, secretKey: String) {
        self.accessKey = accessKey
        self.secretKey = secretKey
    }
}

/// AWS Signature Version 4 in the `Authorization` header.
///
/// Source: "AWS Signature Version 4 for API requests" and, for S3's encoding of paths, "Authenticating
/// Requests: Using the Authorization Header".
package struct SignatureV4: Sendable {
    package var credentials: Credentials
    package var region: String
    package var service: String

    package init(credentials: Credentials, region: String, service: String = "s3") {
        self.credentials = credentials
        self.region = region
        self.service = service
    }

    /// What is signed. The path is as on the wire, already encoded; the query is not.
    package struct Request: Sendable {
        package var method: String
        package var path: String
        package var query: [(name: String, value: String)]
        /// All headers to sign, `host` and `x-amz-date` among them; names in lower case.
        package var headers: [(name: String, value: String)]
        /// SHA-256 of the body in hex, or a literal such as `UNSIGNED-PAYLOAD`.
        package var payloadHash: String

        package init(
            method: String, path: String, query: [(name: String, value: String)],
            headers: [(name: String, value: String)], payloadHash: String
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
            self.payloadHash = payloadHash
        }

        /// The query as it is signed and sent: sorted by encoded name, then value.
        package var canonicalQuery: String {
            query.map { (URIEncoding.encode($0.name), URIEncoding.encode($0.value)) }
                .sorted { $0 < $1 }
                .map { "\($0)=\($1)" }
                .joined(separator: "&")
        }

        var sortedHeaders: [(name: String, value: String)] {
            headers.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        }

        var signedHeaders: String { sortedHeaders.map(\.name).joined(separator: ";") }

        package var canonical: String {
            let lines = sortedHeaders.map { "\($0.name):\(Self.trimmed($0.value))\n" }
            return [
                method, path.isEmpty ? "/" : path, canonicalQuery, lines.joined(), signedHeaders,
                payloadHash,
            ].joined(separator: "\n")
        }

        /// Without spaces around, and with runs of spaces as one.
        private static func trimmed(_ value: String) -> String {
            value.split(separator: " ").joined(separator: " ")
        }
    }

    /// The value of the `authorization` header.
    package func authorization(for request: Request, at time: WallTime) -> String {
        let date = Self.timestamp(time)
        let day = String(date.prefix(8))
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let hash = Hex.encode(SigningHash.sha256(Array(request.canonical.utf8)))
        let toSign = "AWS4-HMAC-SHA256\n\(date)\n\(scope)\n\(hash)"
        var key = Array("AWS4\(credentials.secretKey)".utf8)
        for part in [day, region, service, "aws4_request", toSign] {
            key = SigningHash.hmac(key: key, Array(part.utf8))
        }
        return "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), "
            + "SignedHeaders=\(request.signedHeaders), Signature=\(Hex.encode(key))"
    }

    /// `20130524T000000Z`.
    package static func timestamp(_ time: WallTime) -> String {
        time.rfc3339.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }
}
