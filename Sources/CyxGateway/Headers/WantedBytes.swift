internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Which bytes of an object a GET or HEAD is about.
struct WantedBytes {
    var range: ByteRange
    /// The part that `partNumber` names, of an object that was uploaded in parts.
    var part: ObjectPart?
    /// Whether the answer is 206.
    var isPartial: Bool

    static func partNumber(_ call: S3Gateway.Call) throws(S3Error) -> Int? {
        guard let text = call.query["partNumber"] else { return nil }
        guard let number = Int(text), S3Gateway.partNumbers.contains(number) else {
            throw .invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
        }
        guard !call.headers.contains("range") else {
            throw .invalidRequest(
                "Cannot specify both Range header and partNumber query parameter")
        }
        return number
    }

    /// Whether an object's head must be looked at before its bytes are asked for.
    static func needsHead(_ call: S3Gateway.Call) -> Bool {
        let names = [
            "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
        ]
        return call.query.has("partNumber") || names.contains { call.headers.contains($0) }
    }

    /// Where `needsHead` is false.
    init(_ call: S3Gateway.Call) {
        range = S3Headers.range(call.headers["range"])
        isPartial = range != .whole
    }

    init(of info: ObjectInfo, _ call: S3Gateway.Call) throws(S3Error) {
        self.init(call)
        if let tag = call.headers["if-range"], !S3Headers.isCurrent(tag, info) {
            range = .whole
            isPartial = false
        }
        guard let number = try WantedBytes.partNumber(call) else { return }
        if info.parts.isEmpty {
            guard number == 1 else { throw WantedBytes.noSuchPart }
            isPartial = info.size > 0
            return
        }
        var start: UInt64 = 0
        for part in info.parts {
            guard part.number == number else {
                start += part.size
                continue
            }
            self.part = part
            isPartial = part.size > 0
            range = part.size > 0 ? .from(start, through: start + part.size - 1) : .whole
            return
        }
        throw WantedBytes.noSuchPart
    }

    private static let noSuchPart = S3Error(
        "InvalidPartNumber", 416, "The requested partnumber is not satisfiable")

    /// What the answer tells beside the object's own headers. `bytes`: those that are given.
    func describe(
        _ info: ObjectInfo, _ bytes: Range<UInt64>, _ call: S3Gateway.Call,
        in headers: inout HTTPHeaders
    ) {
        if isPartial {
            headers.add(
                "content-range",
                "bytes \(bytes.lowerBound)-\(bytes.upperBound - 1)/\(info.size)")
        }
        if call.query.has("partNumber"), !info.parts.isEmpty {
            headers.add("x-amz-mp-parts-count", String(info.parts.count))
        }
        guard call.headers["x-amz-checksum-mode"]?.uppercased() == "ENABLED" else { return }
        if let part {
            S3Headers.addChecksums(part.checksums, to: &headers)
            if let value = info.checksums.values.first, !part.checksums.isEmpty {
                headers.add("x-amz-checksum-type", ChecksumType(of: value).rawValue)
            }
        } else if bytes == 0..<info.size {
            S3Headers.addObjectChecksums(info.checksums, to: &headers)
        }
    }
}

extension S3Headers {
    /// Whether an `If-Range` names this version (RFC 9110 §13.1.5).
    static func isCurrent(_ value: String, _ info: ObjectInfo) -> Bool {
        if value.hasPrefix("\"") { return unquoted(value) == info.etag }
        return value == CivilDate(info.modified).http
    }
}
