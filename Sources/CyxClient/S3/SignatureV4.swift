package import CyxCore
internal import CyxS3

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

        /// The query as it is signed and sent.
        package var canonicalQuery: String { CanonicalRequest.query(query) }

        var canonical: CanonicalRequest {
            let sorted = headers.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            return CanonicalRequest(
                method: method, path: path, query: canonicalQuery,
                headers: sorted.map { ($0.name, [$0.value]) }, payloadHash: payloadHash)
        }
    }

    /// The value of the `authorization` header.
    package func authorization(for request: Request, at time: WallTime) -> String {
        let date = CivilDate(time).basic
        let scope = SigningScope(day: String(date.prefix(8)), region: region, service: service)
        let canonical = request.canonical
        let signature = scope.signature(
            of: canonical, at: date, key: scope.key(secret: credentials.secretKey))
        return "\(SigningScope.algorithm) Credential=\(credentials.accessKey)/\(scope.text), "
            + "SignedHeaders=\(canonical.signedHeaders), Signature=\(signature)"
    }
}
