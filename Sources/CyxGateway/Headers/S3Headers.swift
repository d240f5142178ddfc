internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Headers of requests that concern objects, and of the answers about them.
enum S3Headers {
    /// System headers that come back as they were given.
    private static let kept = [
        "content-type", "cache-control", "content-disposition", "content-encoding",
        "content-language", "expires",
    ]
    private static let metadataPrefix = "x-amz-meta-"
    /// All user metadata of an object, names and values together (S3's limit).
    static let maximumMetadataBytes = 2048

    /// Names under which the gateway keeps what no answer shows.
    static let hiddenPrefix = "cyx-"

    /// What is stored beside an object.
    static func stored(from headers: HTTPHeaders) throws(S3Error) -> [String: String] {
        try described(from: headers).merging(try placed(from: headers)) { $1 }
    }

    /// Whether a stored header describes the content, and goes with it when it is copied.
    static func isDescription(_ name: String) -> Bool {
        kept.contains(name) || name.hasPrefix(metadataPrefix)
    }

    /// What the writer says of the content.
    static func described(from headers: HTTPHeaders) throws(S3Error) -> [String: String] {
        var stored: [String: String] = [:]
        var metadataBytes = 0
        for field in headers.fields {
            if field.name.hasPrefix(metadataPrefix) {
                metadataBytes +=
                    field.name.utf8.count - metadataPrefix.utf8.count + field.value.utf8.count
                // Repeated fields are one list (RFC 9110 §5.3).
                stored[field.name] =
                    stored[field.name].map { "\($0),\(field.value)" } ?? field.value
            } else if field.name == "content-encoding" {
                // `aws-chunked` was this transfer's framing, not the object's encoding.
                let codings = field.value.split(separator: ",").map { $0.trimmingSpaces() }
                let rest = codings.filter { $0.lowercased() != "aws-chunked" && !$0.isEmpty }
                if !rest.isEmpty { stored[field.name] = rest.joined(separator: ",") }
            } else if kept.contains(field.name) {
                stored[field.name] = field.value
            }
        }
        guard metadataBytes <= maximumMetadataBytes else {
            throw S3Error(
                "MetadataTooLarge", 400,
                "Your metadata headers have \(metadataBytes) bytes, at most 2048 are allowed")
        }
        return stored
    }

    /// `If-None-Match: *` or `If-Match: etag` of a write.
    static func putCondition(_ headers: HTTPHeaders) throws(S3Error) -> PutCondition {
        if let value = headers["if-none-match"] {
            guard value == "*" else {
                throw .notImplemented("If-None-Match with an ETag on a write")
            }
            guard !headers.contains("if-match") else {
                throw .notImplemented("If-None-Match together with If-Match on a write")
            }
            return .absent
        }
        if let value = headers["if-match"] { return .matches(etag: unquoted(value)) }
        return .none
    }

    static func unquoted(_ etag: String) -> String {
        guard etag.count >= 2, etag.hasPrefix("\""), etag.hasSuffix("\"") else { return etag }
        return String(etag.dropFirst().dropLast())
    }

    /// What HEAD and GET tell of an object, without the length.
    static func describing(_ info: ObjectInfo, _ call: S3Gateway.Call) -> HTTPHeaders {
        var headers = HTTPHeaders([
            ("etag", "\"\(info.etag)\""),
            ("last-modified", CivilDate(info.modified).http),
            ("accept-ranges", "bytes"),
        ])
        for (name, value) in info.headers.sorted(by: { $0.key < $1.key })
        where !name.hasPrefix(hiddenPrefix) {
            headers.add(name, value)
        }
        if info.headers["content-type"] == nil {
            headers.add("content-type", "binary/octet-stream")
        }
        addPlaced(info.headers, to: &headers)
        addVersion(info.versionID, to: &headers)
        addPlacement(info, to: &headers)
        addKept(with: info, call, to: &headers)
        for item in call.query.items where item.name.hasPrefix("response-") {
            let name = String(item.name.dropFirst("response-".count))
            if kept.contains(name) { headers.set(name, item.value) }
        }
        return headers
    }

    /// How the object lies in the network: `rs(10,4)` survives the loss of 4 peers.
    static func addPlacement(_ info: ObjectInfo, to headers: inout HTTPHeaders) {
        if !info.cid.isEmpty { headers.add("x-cyx-cid", info.cid) }
        guard !info.redundancy.isEmpty else { return }
        headers.add("x-cyx-redundancy", info.redundancy)
        if let survives = survivedLosses(info.redundancy) {
            headers.add("x-cyx-survives", String(survives))
        }
    }

    /// `rs(k,m)` survives m losses.
    static func survivedLosses(_ redundancy: String) -> Int? { code(redundancy)?.parity }

    /// The numbers of `rs(k,m)`; nil for what is no such code.
    static func code(_ redundancy: String) -> (data: Int, parity: Int)? {
        guard redundancy.hasPrefix("rs("), redundancy.hasSuffix(")") else { return nil }
        let numbers = redundancy.dropFirst(3).dropLast().split(separator: ",")
        guard numbers.count == 2, let data = Int(numbers[0].trimmingSpaces()), data > 0,
            let parity = Int(numbers[1].trimmingSpaces())
        else { return nil }
        return (data, parity)
    }
}
