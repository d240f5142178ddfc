internal import CyxCore
internal import CyxCrypto

/// Where and on which day a signing key is good: the "credential scope" of AWS Signature Version 4.
package struct SigningScope: Equatable, Sendable {
    package static let algorithm = "AWS4-HMAC-SHA256"
    /// What every scope ends with.
    package static let terminator = "aws4_request"

    /// `20130524`.
    package var day: String
    package var region: String
    package var service: String

    package init(day: String, region: String, service: String = "s3") {
        self.day = day
        self.region = region
        self.service = service
    }

    package var text: String { "\(day)/\(region)/\(service)/\(SigningScope.terminator)" }

    /// The key that signs requests, and the chunks of their bodies; 32 bytes.
    package func key(secret: String) -> [UInt8] {
        [day, region, service, SigningScope.terminator].reduce(Array("AWS4\(secret)".utf8)) {
            HMACSHA256.code(key: $0, Array($1.utf8))
        }
    }

    /// What the signature of a canonical request is made of.
    package func stringToSign(_ request: CanonicalRequest, at timestamp: String) -> String {
        "\(SigningScope.algorithm)\n\(timestamp)\n\(text)\n" + request.hash
    }

    /// The signature of a canonical request, in hexadecimal. `timestamp`: as `20130524T000000Z`.
    package func signature(
        of request: CanonicalRequest, at timestamp: String, key: [UInt8]
    ) -> String {
        Hex.encode(
            HMACSHA256.code(key: key, Array(stringToSign(request, at: timestamp).utf8)))
    }
}
