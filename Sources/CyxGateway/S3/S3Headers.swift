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

    /// What is stored beside an object.
    static func stored(from headers: HTTPHeaders) throws(S3Error) -> [String: String] {
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
        for (name, value) in info.headers.sorted(by: { $0.key < $1.key }) {
            headers.add(name, value)
        }
        if info.headers["content-type"] == nil {
            headers.add("content-type", "binary/octet-stream")
        }
        if call.headers["x-amz-checksum-mode"] == "ENABLED", call.headers["range"] == nil {
            addChecksums(info.checksums, to: &headers)
        }
        addPlacement(info, to: &headers)
        for item in call.query.items where item.name.hasPrefix("response-") {
            let name = String(item.name.dropFirst("response-".count))
            if kept.contains(name) { headers.set(name, item.value) }
        }
        return headers
    }

    static func addChecksums(_ checksums: [String: String], to headers: inout HTTPHeaders) {
        for (name, value) in checksums.sorted(by: { $0.key < $1.key }) {
            headers.add("x-amz-checksum-\(name)", value)
        }
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
    static func survivedLosses(_ redundancy: String) -> Int? {
        guard redundancy.hasPrefix("rs("), redundancy.hasSuffix(")") else { return nil }
        let numbers = redundancy.dropFirst(3).dropLast().split(separator: ",")
        return numbers.count == 2 ? Int(numbers[1].trimmingSpaces()) : nil
    }

    // MARK: Conditions and ranges of reads

    /// RFC 9110 §13.2.2, for an object that exists. Returns the status to answer instead of 200.
    static func readStatus(
        _ info: ObjectInfo, _ headers: HTTPHeaders, prefix: String = ""
    ) -> Int? {
        let modified = info.modified.milliseconds / 1000
        func date(_ name: String) -> Int64? {
            headers[prefix + name].flatMap { CivilDate(http: $0) }
                .map { $0.wallTime.milliseconds / 1000 }
        }
        if let tags = headers[prefix + "if-match"] {
            if !matches(tags, info.etag) { return 412 }
        } else if let limit = date("if-unmodified-since"), modified > limit {
            return 412
        }
        if let tags = headers[prefix + "if-none-match"] {
            if matches(tags, info.etag) { return 304 }
        } else if let limit = date("if-modified-since"), modified <= limit {
            return 304
        }
        return nil
    }

    static func matches(_ tags: String, _ etag: String) -> Bool {
        tags.split(separator: ",").contains { tag in
            var tag = String(tag.trimmingSpaces())
            if tag == "*" { return true }
            if tag.hasPrefix("W/") { tag.removeFirst(2) }
            return unquoted(tag) == etag
        }
    }

    /// One range of `bytes=`; what is not that is ignored, as RFC 9110 §14.2 lets a server do.
    static func range(_ text: String?) -> ByteRange {
        guard let text, text.hasPrefix("bytes=") else { return .whole }
        let ends = text.dropFirst(6).split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2 else { return .whole }
        let (first, last) = (ends[0].trimmingSpaces(), ends[1].trimmingSpaces())
        guard (first + last).utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 })
        else { return .whole }
        if first.isEmpty { return UInt64(last).map { .last($0) } ?? .whole }
        guard let start = UInt64(first) else { return .whole }
        if last.isEmpty { return .from(start, through: nil) }
        guard let end = UInt64(last), end >= start else { return .whole }
        return .from(start, through: end)
    }
}
