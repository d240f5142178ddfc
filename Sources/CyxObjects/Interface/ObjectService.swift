package import CyxCore

/// A bucket as its account sees it.
package struct BucketInfo: Hashable, Sendable {
    package var name: String
    package var created: WallTime
    package init(name: String, created: WallTime) {
        self.name = name
        self.created = created
    }
}

/// What HEAD tells of an object version.
package struct ObjectInfo: Hashable, Sendable {
    package var key: String
    package var size: UInt64
    /// Without quotes: MD5 hex, or `md5-N` for N parts.
    package var etag: String
    package var modified: WallTime
    /// System headers that come back as they were given (`content-type`, `cache-control`, …), and
    /// user metadata (`x-amz-meta-…`), names in lower case.
    package var headers: [String: String]
    /// Checksums stored with the object, such as `crc32` or `sha256`, in base 64.
    package var checksums: [String: String]
    /// The CIDv1 of the manifest, in base 32.
    package var cid: String
    /// Such as `rs(10,4)`.
    package var redundancy: String

    package init(
        key: String, size: UInt64, etag: String, modified: WallTime, headers: [String: String],
        checksums: [String: String], cid: String, redundancy: String
    ) {
        self.key = key
        self.size = size
        self.etag = etag
        self.modified = modified
        self.headers = headers
        self.checksums = checksums
        self.cid = cid
        self.redundancy = redundancy
    }
}

/// What a writer says beside the bytes.
package struct PutOptions: Sendable {
    package var headers: [String: String] = [:]
    package var checksums: [String: String] = [:]
    /// Evaluated inside the commit (A8).
    package var condition: PutCondition = .none
    /// Checksums that the writer itself knows only once its body has ended (a trailer). Called at
    /// most once, after `next` returned nil and before the commit; they join `checksums`.
    package var checksumsAtEnd: (@Sendable () -> [String: String])?
    /// How many bytes the body will yield, where the writer was told: it decides the chunk size,
    /// and a body of another length fails the put with `.bodyLength`.
    package var size: UInt64?
    package init() {}
}

package enum PutCondition: Sendable, Equatable {
    case none
    /// `If-None-Match: *`
    case absent
    /// `If-Match: etag`
    case matches(etag: String)
}

/// One page of a listing, in key order by UTF-8 bytes.
package struct ObjectListing: Sendable {
    package var objects: [ObjectInfo] = []
    package var commonPrefixes: [String] = []
    /// Where the next page begins (exclusive); nil when this was the last.
    package var nextMarker: String?
    package init() {}
}

package struct ListRequest: Sendable {
    package var prefix = ""
    package var delimiter: String?
    /// Exclusive.
    package var startAfter = ""
    package var limit = 1000
    package init() {}
}

package struct PartInfo: Hashable, Sendable {
    package var number: Int
    package var size: UInt64
    package var etag: String
    package var modified: WallTime
    package init(number: Int, size: UInt64, etag: String, modified: WallTime) {
        self.number = number
        self.size = size
        self.etag = etag
        self.modified = modified
    }
}

package struct UploadInfo: Hashable, Sendable {
    package var id: String
    package var key: String
    package var started: WallTime
    package init(id: String, key: String, started: WallTime) {
        self.id = id
        self.key = key
        self.started = started
    }
}

/// Why an object operation failed. The gateway maps each to its S3 code.
package enum ObjectError: Error, Equatable, Sendable {
    case noSuchBucket
    case bucketExists
    case bucketNotEmpty
    case noSuchKey
    case noSuchUpload
    case noSuchPin
    case invalidPart(String)
    case partTooSmall(number: Int, size: UInt64)
    case preconditionFailed
    case conflict
    case invalidRange(size: UInt64)
    /// Not enough peers, quorum or space right now: 503 with the reason.
    case unavailable(String)
    /// Every peer that could take the data is full.
    case noSpace(String)
    /// The body ended before, or went on after, the `PutOptions.size` that was announced.
    case bodyLength(expected: UInt64, actual: UInt64)
    /// More shards are gone or damaged than the code can mend.
    case dataLost(String)
    case cancelled
}

/// The bytes of (a range of) an object on their way out.
package struct ObjectBody: Sendable {
    package var info: ObjectInfo
    /// Offsets of the bytes that `source` yields.
    package var range: Range<UInt64>
    package var source: any ByteSource
    package init(info: ObjectInfo, range: Range<UInt64>, source: any ByteSource) {
        self.info = info
        self.range = range
        self.source = source
    }
}

/// What bytes of an object to read.
package enum ByteRange: Sendable, Equatable {
    case whole
    /// `bytes=first-last`, last inclusive; nil: to the end.
    case from(UInt64, through: UInt64?)
    /// `bytes=-count`
    case last(UInt64)
}

/// Objects in buckets of one account. Errors that a body's source throws while a put reads it are
/// rethrown as they are, and nothing becomes visible.
package protocol ObjectService: AnyObject, Sendable {
    /// `.bucketExists` whoever has it, this account or another: `bucket(_:)` tells which.
    func createBucket(_ name: String) async throws -> BucketInfo
    func deleteBucket(_ name: String) async throws
    func bucket(_ name: String) async throws -> BucketInfo
    func buckets() async throws -> [BucketInfo]

    func put(
        _ key: String, in bucket: String, options: PutOptions, body: any ByteSource
    ) async throws -> ObjectInfo
    func head(_ key: String, in bucket: String) async throws -> ObjectInfo
    func get(_ key: String, in bucket: String, range: ByteRange) async throws -> ObjectBody
    /// Succeeds whether or not the key exists, as S3 does.
    func delete(_ key: String, in bucket: String) async throws
    func list(_ bucket: String, _ request: ListRequest) async throws -> ObjectListing

    func createUpload(_ key: String, in bucket: String, options: PutOptions) async throws -> String
    func putPart(
        _ number: Int, upload: String, key: String, in bucket: String, body: any ByteSource
    ) async throws -> PartInfo
    func parts(upload: String, key: String, in bucket: String) async throws -> [PartInfo]
    func completeUpload(
        _ upload: String, key: String, in bucket: String,
        parts: [(number: Int, etag: String)]
    ) async throws -> ObjectInfo
    func abortUpload(_ upload: String, key: String, in bucket: String) async throws
    func uploads(in bucket: String) async throws -> [UploadInfo]

    /// Keeps the version that the key has now, whatever becomes of the key, until `unpin` or for
    /// `span`. Nothing is copied: the pin counts as one that needs the version's segments.
    func pin(_ key: String, in bucket: String, for span: Duration?) async throws -> PinInfo
    func pins(after id: String?) async throws -> PinListing
    func head(pin id: String) async throws -> ObjectInfo
    func get(pin id: String, range: ByteRange) async throws -> ObjectBody
    func unpin(_ id: String) async throws
}
