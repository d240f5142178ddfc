internal import CyxHTTP

/// Headers that say how an object is kept, rather than what it is: they are not copied with it.
extension S3Headers {
    static let storageClassName = "x-amz-storage-class"
    static let redirectName = "x-amz-website-redirect-location"
    static let encryptionName = "x-amz-server-side-encryption"
    private static let ownMethod = "AES256"
    private static let defaultStorageClass = "STANDARD"

    /// All are kept alike here: the class is a label. Those that S3 must first restore from before
    /// they can be read are not offered.
    private static let storageClasses: Set<String> = [
        "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
        "GLACIER_IR",
    ]

    /// What a request to write asks for, checked.
    static func placed(from headers: HTTPHeaders) throws(S3Error) -> [String: String] {
        var stored: [String: String] = [:]
        if let name = headers[storageClassName] {
            guard storageClasses.contains(name) else {
                throw S3Error(
                    "InvalidStorageClass", 400, "The storage class you specified is not valid")
            }
            if name != defaultStorageClass { stored[storageClassName] = name }
        }
        if let place = headers[redirectName] {
            let starts = ["/", "http://", "https://"]
            guard starts.contains(where: { place.hasPrefix($0) }) else {
                throw S3Error(
                    "InvalidRedirectLocation", 400,
                    "The website redirect location must have a prefix of 'http://' or 'https://' "
                        + "or '/'.")
            }
            stored[redirectName] = place
        }
        if let method = try encryption(headers) { stored[encryptionName] = method }
        return stored
    }

    /// SSE-S3 is what every object gets here: each is encrypted by the gateway with keys that no
    /// storage peer knows. Keys of a key service are not had.
    private static func encryption(_ headers: HTTPHeaders) throws(S3Error) -> String? {
        guard let method = headers[encryptionName] else {
            guard !headers.contains("x-amz-server-side-encryption-aws-kms-key-id") else {
                throw .invalidArgument(
                    "Server Side Encryption with AWS KMS managed key requires HTTP header "
                        + "x-amz-server-side-encryption : aws:kms")
            }
            return nil
        }
        guard !headers.contains(CustomerKey.prefix + "algorithm") else {
            throw .invalidArgument(
                "Server Side Encryption with Customer provided key is incompatible with the "
                    + "encryption method specified")
        }
        switch method {
        case ownMethod: return method
        case "aws:kms", "aws:kms:dsse":
            throw .notImplemented("Server-side encryption with keys of a key service (\(method))")
        default:
            throw .invalidArgument("The encryption method specified is not supported")
        }
    }

    static func storageClass(_ stored: [String: String]) -> String {
        stored[storageClassName] ?? defaultStorageClass
    }

    /// What every answer about an object, or a part of one, says of how it is kept: encrypted by the
    /// gateway (SSE-S3), asked for or not, unless it is with a key of the customer's.
    static func addPlaced(_ stored: [String: String], to headers: inout HTTPHeaders) {
        guard !CustomerCipher.isUsed(by: stored) else { return }
        headers.set(encryptionName, stored[encryptionName] ?? ownMethod)
    }
}
