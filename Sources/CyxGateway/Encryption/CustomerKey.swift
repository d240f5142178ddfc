internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxS3

/// A key that a request brings to have an object encrypted with it (SSE-C). It is used and forgotten:
/// nothing that is stored leads back to it.
///
/// S3 refuses these headers over plain HTTP. This gateway takes them, since it may stand behind a
/// proxy that ends TLS and cannot know.
struct CustomerKey: Equatable, Sendable {
    var key: [UInt8]
    /// Of the key, in base 64; answers show it.
    var md5: String

    static let prefix = "x-amz-server-side-encryption-customer-"
    static let copySourcePrefix = "x-amz-copy-source-server-side-encryption-customer-"
    private static let algorithm = "AES256"

    /// Nil if the request names no key at all.
    init?(_ headers: HTTPHeaders, prefix: String = CustomerKey.prefix) throws(S3Error) {
        let algorithm = headers[prefix + "algorithm"]
        let text = headers[prefix + "key"]
        let digest = headers[prefix + "key-md5"]
        guard algorithm != nil || text != nil || digest != nil else { return nil }
        let requests = "Requests specifying Server Side Encryption with Customer provided keys"
        guard let algorithm else {
            throw .invalidArgument("\(requests) must provide a valid encryption algorithm.")
        }
        guard algorithm == CustomerKey.algorithm else {
            throw S3Error(
                "InvalidEncryptionAlgorithmError", 400,
                "The encryption request you specified is not valid. The valid value is AES256.")
        }
        guard let text else {
            throw .invalidArgument("\(requests) must provide an appropriate secret key.")
        }
        guard let key = Base64.decode(text), key.count == AESCTR.keySize else {
            throw .invalidArgument("The secret key was invalid for the specified algorithm.")
        }
        guard let digest else {
            throw .invalidArgument(
                "\(requests) must provide the client calculated MD5 of the secret key.")
        }
        let md5 = Base64.encode(MD5.hash(key))
        guard isEqualInConstantTime(md5, digest) else {
            throw .invalidArgument(
                "The calculated MD5 hash of the key did not match the hash that was provided.")
        }
        self.key = key
        self.md5 = md5
    }

    /// What answers about an object that is encrypted with it say.
    func describe(in headers: inout HTTPHeaders) {
        headers.set(CustomerKey.prefix + "algorithm", CustomerKey.algorithm)
        headers.set(CustomerKey.prefix + "key-md5", md5)
    }
}
