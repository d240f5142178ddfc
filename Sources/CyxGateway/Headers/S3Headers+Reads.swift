internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Headers {
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
