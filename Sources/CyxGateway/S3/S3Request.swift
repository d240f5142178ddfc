internal import CyxCore
internal import CyxHTTP
internal import CyxS3

/// A request as S3 reads it: which bucket, which key, which sub-resource. Decoded once.
struct S3Request: Sendable {
    static let maximumKeyBytes = 1024

    var http: HTTPRequest
    var query: S3Query
    var bucket: String?
    var key: String?
    /// The version of the object that it names; nil: the current one.
    var version: String?

    /// `hostSuffix`: with `s3.example.com`, the host `photos.s3.example.com` names the bucket.
    init(_ http: HTTPRequest, hostSuffix: String?) throws(S3Error) {
        self.http = http
        query = try S3Query(target: http.target)
        version = try S3Headers.version(query["versionId"])
        guard http.target.hasPrefix("/") else {
            throw S3Error("InvalidURI", 400, "The request target must begin with a slash")
        }
        var path = http.target.prefix { $0 != "?" }.dropFirst()
        if let name = S3Request.virtualBucket(http.headers["host"], hostSuffix) {
            bucket = name
        } else {
            let first = path.prefix { $0 != "/" }
            path = path[first.endIndex...].dropFirst()
            if !first.isEmpty { bucket = try S3Request.decode(first) }
        }
        guard bucket != nil, !path.isEmpty else { return }
        let key = try S3Request.decode(path)
        try S3Request.checkParents(in: key)
        guard key.utf8.count <= S3Request.maximumKeyBytes else {
            throw S3Error(
                "KeyTooLongError", 400,
                "Your key is too long: \(key.utf8.count) bytes, at most 1024 are allowed")
        }
        self.key = key
    }

    /// Keys are never read as paths here, but tools that copy them into folders do: as in S3 ("Naming
    /// Amazon S3 objects"), read from the left a key has no more `..` than segments before them.
    static func checkParents(in key: String) throws(S3Error) {
        guard key.contains("..") else { return }
        var depth = 0
        for segment in key.utf8.split(separator: UInt8(ascii: "/")) {
            if segment.elementsEqual("..".utf8) {
                depth -= 1
            } else if !segment.elementsEqual(".".utf8) {
                depth += 1
            }
            guard depth >= 0 else {
                throw S3Error(
                    "InvalidURI", 400, "The key leads above its bucket: it has too many `..`")
            }
        }
    }

    static func virtualBucket(_ host: String?, _ suffix: String?) -> String? {
        guard let suffix, let host else { return nil }
        let name = host.prefix { $0 != ":" }.lowercased()
        guard name.hasSuffix("." + suffix) else { return nil }
        return String(name.dropLast(suffix.count + 1))
    }

    static func decode(_ text: Substring) throws(S3Error) -> String {
        guard let decoded = PercentEncoding.decodeText(text) else {
            throw S3Error("InvalidURI", 400, "The path is not percent-encoded UTF-8")
        }
        return decoded
    }

    // MARK: Bucket names

    private static let reservedNames = ["api", "health", "metrics", "console"]
    /// S3's own, beside ours ("General purpose bucket naming rules").
    private static let reservedPrefixes = [
        DatasetCatalog.bucketPrefix, "xn--", "sthree-", "amzn-s3-demo-",
    ]
    private static let reservedSuffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]

    /// Why `name` may not name a bucket; nil if it may.
    static func objection(to name: String) -> String? {
        if reservedNames.contains(name) || reservedPrefixes.contains(where: { name.hasPrefix($0) })
            || reservedSuffixes.contains(where: { name.hasSuffix($0) })
        {
            return "`\(name)` is reserved"
        }
        let bytes = Array(name.utf8)
        guard (3...63).contains(bytes.count) else {
            return "it has \(bytes.count) characters, 3 to 63 are allowed"
        }
        var faults: [String] = []
        if bytes.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) {
            faults.append("has upper case")
        }
        if let other = name.unicodeScalars.first(where: { !isAllowed($0) && !isUpper($0) }) {
            faults.append("has `\(other)`")
        }
        let edges = [bytes[0], bytes[bytes.count - 1]]
        if edges.contains(UInt8(ascii: ".")) || edges.contains(UInt8(ascii: "-")) {
            faults.append("begins or ends with `.` or `-`")
        }
        if name.contains("..") { faults.append("has two dots in a row") }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 4, parts.allSatisfy({ UInt8($0) != nil }) {
            faults.append("looks like an IP address")
        }
        return faults.isEmpty ? nil : "`\(name)` " + faults.joined(separator: " and ")
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "0"..."9", ".", "-": true
        default: false
        }
    }

    private static func isUpper(_ scalar: Unicode.Scalar) -> Bool { ("A"..."Z").contains(scalar) }
}
