internal import CyxCore
internal import CyxCrypto

/// Checks a completion's list against the parts that are there, and joins them. Pure.
enum MultipartSelection {
    /// The parts named, in order. They must exist with those ETags, ascend in number, and all but
    /// the last have 5 MiB.
    static func choose(
        _ requested: [(number: Int, etag: String)], from parts: [PartRow]
    ) throws(ObjectError) -> [PartRow] {
        guard !requested.isEmpty else { throw .invalidPart("no parts were named") }
        let byNumber = Dictionary(
            parts.map { (Int($0.number), $0) }, uniquingKeysWith: { $1 })
        var chosen: [PartRow] = []
        var previous = 0
        for (number, etag) in requested {
            guard number > previous else {
                throw .invalidPart("part \(number) is not in ascending order")
            }
            previous = number
            guard let part = byNumber[number], part.info.etag == etag.lowercased() else {
                throw .invalidPart("part \(number) is missing or has another ETag")
            }
            chosen.append(part)
        }
        for part in chosen.dropLast() where part.size < MultipartLimits.partBytes {
            throw .partTooSmall(number: Int(part.number), size: part.size)
        }
        return chosen
    }

    /// The head, but for what `prepare` fills in. Its ETag is the MD5 of the parts' MD5s and their
    /// number, as S3 has it.
    static func head(
        of upload: UploadRow, _ parts: [PartRow], checksums: [String: String]
    ) -> HeadRow {
        var head = HeadRow(
            key: upload.key, size: parts.reduce(0) { $0 + $1.size },
            etag: Hex.encode(MD5.hash(parts.flatMap(\.md5))) + "-\(parts.count)")
        head.headers = upload.headers
        head.allChecksums = checksums
        // One checksum of each part is kept: that of the object's algorithm.
        let algorithm = checksums.keys.min()
        head.parts = parts.map { part in
            let checksum = algorithm.flatMap { part.checksums[$0] }.flatMap { Base64.decode($0) }
            return ObjectPartRow(
                number: part.number, size: part.size, checksum: checksum ?? [], nonce: part.nonce)
        }
        head.attributes = upload.attributes
        head.upload = upload.upload
        return head
    }

    /// The weakest code among the parts' segments: what the object as a whole survives.
    static func code(of parts: [PartRow]) -> Redundancy {
        let codes = parts.flatMap(\.segments).compactMap { placed in
            placed.core.flatMap { core -> Redundancy? in
                do { return try SegmentShape(core).code } catch { return nil }
            }
        }
        return codes.min { $0.shards < $1.shards } ?? .oneCopy
    }
}
