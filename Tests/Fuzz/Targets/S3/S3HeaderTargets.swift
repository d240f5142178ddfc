import CyxCore
import CyxCrypto
import CyxHTTP
import CyxObjects
import CyxS3

@testable import CyxGateway

/// What requests say in headers and queries of what they want of an object, and what keys reach.
let s3HeaderTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "s3-headers",
        seeds: {
            [
                utf8("range:bytes=1-18446744073709551615\nif-match:\"a\", W/\"b\"\nif-range:\"e\""),
                utf8(
                    "if-modified-since:Fri, 24 May 2013 00:00:00 GMT\n"
                        + "if-unmodified-since:Fri, 24 May 2013 00:00:00 GMT\nrange:bytes=-5"),
                utf8(
                    "x-amz-if-match-last-modified-time:2013-05-24T00:00:00.5Z\n"
                        + "x-amz-if-match-size:3\nx-amz-mp-object-size:9\nif-match:*"),
                utf8(
                    "x-amz-acl:public-read\nx-amz-tagging:a=b&c=d\nx-amz-object-lock-mode:GOVERNANCE"
                        + "\nx-amz-object-lock-retain-until-date:2030-01-01T00:00:00Z\n"
                        + "x-amz-object-lock-legal-hold:ON"),
                utf8(
                    "x-amz-grant-read:id=\"a\", uri=\"http://acs.amazonaws.com/groups/global/"
                        + "AllUsers\"\nx-amz-grant-write-acp:emailAddress=\"a@b\""),
                utf8(
                    "x-amz-server-side-encryption-customer-algorithm:AES256\n"
                        + "x-amz-server-side-encryption-customer-key:"
                        + Base64.encode([UInt8](repeating: 1, count: 32)) + "\n"
                        + "x-amz-server-side-encryption-customer-key-md5:AAAA"),
                utf8(
                    "x-amz-checksum-type:FULL_OBJECT\nx-amz-checksum-algorithm:CRC64NVME\n"
                        + "x-amz-copy-source-if-none-match:\"a\""),
            ]
        },
        decode: { bytes in
            let headers = fields(bytes)
            try checkReads(headers)
            _ = try taken(S3Error.self) { try DeleteCondition(headers).check(stored) }
            _ = try taken(S3Error.self) { try DeleteCondition(headers).check(nil) }
            _ = try taken(S3Error.self) { try CustomerKey(headers) }
            _ = try taken(S3Error.self) { try UploadChecksum(requested: headers) }
            _ = try taken(DocumentFault.self) { try RequestedACL { headers[$0] } }
            _ = try taken(DocumentFault.self) {
                try ObjectLockState(header: { headers[$0] }, now: WallTime(milliseconds: 0))
            }
            return !headers.fields.isEmpty
        }),
    FuzzTarget(
        name: "s3-listing-query",
        seeds: {
            [
                utf8("prefix=a%2F&delimiter=%2F&max-keys=10&encoding-type=url&list-type=2"),
                utf8("max-keys=2147483647&delimiter="),
            ]
        },
        decode: { bytes in
            let query = try taken(S3Error.self) { try S3Query(target: "/b?" + bytes.asText) }
            guard let query else { return false }
            let listing = try taken(S3Error.self) { try ListingQuery(query) }
            guard let listing else { return false }
            try BrokenProperty.check(
                (0...ListingQuery.maximumKeys).contains(listing.maxKeys), "a page without a bound")
            return true
        }),
    FuzzTarget(
        name: "s3-part-list",
        seeds: {
            [
                utf8(
                    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;"
                        + "</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part><Part><PartNumber>2"
                        + "</PartNumber><ETag>f</ETag></Part></CompleteMultipartUpload>"),
                utf8(
                    "<Delete><Object><Key>k</Key><ETag>e</ETag><Size>3</Size><LastModifiedTime>"
                        + "2013-05-24T00:00:00Z</LastModifiedTime></Object></Delete>"),
            ]
        },
        decode: { bytes in
            guard let root = try taken(S3Error.self, { try S3Gateway.parse(bytes) }) else {
                return false
            }
            for object in root.children(named: "Object") {
                _ = try taken(S3Error.self) { try DeleteCondition(object).check(stored) }
            }
            guard let list = try taken(S3Error.self, { try PartList(root) }) else {
                return root.name == "Delete"
            }
            let numbers = list.parts.map(\.number)
            try BrokenProperty.check(numbers == numbers.sorted(), "parts out of order")
            try BrokenProperty.check(Set(numbers).count == numbers.count, "a part twice")
            return true
        }),
    FuzzTarget(
        name: "s3-key-reach",
        seeds: {
            [
                [1]
                    + Pieces.join([
                        utf8("b"), utf8("p/"), utf8("b"), utf8("p/k"), utf8("GetObject"),
                    ]),
                [0] + Pieces.join([utf8("b"), utf8(""), utf8("b"), utf8("k"), utf8("PutObject")]),
                [2] + Pieces.join([utf8(""), utf8("p"), utf8("b"), utf8("p"), utf8("PutObject")]),
            ]
        },
        decode: { bytes in
            let pieces = Pieces.split(Array(bytes.dropFirst()), limit: 5).map(\.asText)
            guard let first = bytes.first, pieces.count == 5 else { return false }
            var limits = AccessKeyLimits()
            limits.bucket = pieces[0].isEmpty ? nil : pieces[0]
            limits.prefix = pieces[1]
            limits.rights = [.all, .read, .write][Int(first % 3)]
            let reach = KeyReach(limits: limits)
            let (bucket, key, action) = (pieces[2], pieces[3], pieces[4])
            let isAllowed = reach.allows(.object(action), bucket: bucket, key: key, listed: nil)
            guard isAllowed else { return false }
            try BrokenProperty.check(limits.bucket ?? bucket == bucket, "another bucket")
            try BrokenProperty.check(key.utf8.starts(with: limits.prefix.utf8), "another prefix")
            let reads = action.hasPrefix("Get") || action.hasPrefix("List")
            try BrokenProperty.check(limits.rights != .read || reads, "a reader that may \(action)")
            try BrokenProperty.check(reads || !action.hasSuffix("Acl"), "a limited key that shares")
            return true
        }),
]

/// An object whose headers are asked for.
private let stored: ObjectInfo = {
    var info = ObjectInfo(
        key: "k", size: 10, etag: "e", modified: WallTime(milliseconds: 1_369_353_600_000),
        headers: [:], checksums: [:], cid: "c", redundancy: "rows")
    info.versionID = "null"
    return info
}()

/// Lines of `name:value`.
private func fields(_ bytes: [UInt8]) -> HTTPHeaders {
    var headers = HTTPHeaders()
    for line in bytes.asText.split(separator: "\n").prefix(64) {
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { headers.add(String(parts[0]), String(parts[1])) }
    }
    return headers
}

/// Ranges lie in the object, whatever its size; conditions are answered.
private func checkReads(_ headers: HTTPHeaders) throws {
    for prefix in ["", "x-amz-copy-source-"] {
        let status = S3Headers.readStatus(stored, headers, prefix: prefix)
        try BrokenProperty.check([nil, 304, 412].contains(status), "a status of \(status ?? 0)")
    }
    for size in [0, 1, 10, UInt64(1) << 40, .max] as [UInt64] {
        let range = try taken(ObjectError.self) {
            try S3Headers.range(headers["range"]).resolved(size: size)
        }
        guard let range else { continue }
        try BrokenProperty.check(range.upperBound <= size, "a range beyond the object")
    }
}
