package import CyxCore

/// A bucket as its account sees it.
package struct BucketInfo: Hashable, Sendable {
    package var name: String
    package var created: WallTime
    package var settings: BucketSettings
    package init(name: String, created: WallTime, settings: BucketSettings = BucketSettings()) {
        self.name = name
        self.created = created
        self.settings = settings
    }
}

/// Whether a bucket keeps the versions that writes replace.
package enum BucketVersioning: Hashable, Sendable {
    /// As every bucket begins; nobody ever asked for versions.
    case never
    case enabled
    /// Versions that are there stay; new writes replace each other.
    case suspended
}

/// What an account has set for one of its buckets. Changes count at once at the gateway that made
/// them, and within `ObjectTimings.bucketCache` at the account's others.
package struct BucketSettings: Hashable, Sendable {
    package var versioning = BucketVersioning.never
    /// Whatever the edge keeps with a bucket, such as a policy: opaque here, each under a name. All
    /// together they fit one row: `updateBucket` throws `.settingsTooLarge` beyond that.
    package var documents: [String: [UInt8]] = [:]
    package init() {}
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
    /// Checksums stored with the object, such as `crc32` or `sha256`, in base 64. In listings only
    /// their names count, and that those which were made of parts' have a `-`.
    package var checksums: [String: String]
    /// The CIDv1 of the manifest, in base 32.
    package var cid: String
    /// Such as `rs(10,4)`.
    package var redundancy: String
    /// Names the version among the key's: 32 hexadecimal digits, or `null` for one that was written
    /// while its bucket kept none. Nil where a bucket never kept versions.
    package var versionID: String?
    /// Whether this version only says that the key was deleted.
    package var isDeleteMarker = false
    /// Whatever the edge keeps with a version and may change later, such as tags: opaque here.
    package var attributes: [String: [UInt8]] = [:]
    /// The parts that it was uploaded in, in order; none of an object that was put at once, nor in
    /// listings.
    package var parts: [ObjectPart] = []

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

/// One of the parts that an object was uploaded in.
package struct ObjectPart: Hashable, Sendable {
    package var number: Int
    package var size: UInt64
    /// As of an object.
    package var checksums: [String: String]
    /// What the caller of `putPart` gave with it.
    package var nonce: [UInt8]

    package init(
        number: Int, size: UInt64, checksums: [String: String] = [:], nonce: [UInt8] = []
    ) {
        self.number = number
        self.size = size
        self.checksums = checksums
        self.nonce = nonce
    }
}

/// What a writer says beside the bytes.
package struct PutOptions: Sendable {
    package var headers: [String: String] = [:]
    package var checksums: [String: String] = [:]
    /// See `ObjectInfo.attributes`.
    package var attributes: [String: [UInt8]] = [:]
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

package struct DeleteOptions: Sendable {
    /// Called with what would be deleted, nil for nothing, inside the commit (A8), perhaps more than
    /// once; what it throws is thrown, and nothing is deleted.
    package var check: (@Sendable (ObjectInfo?) throws -> Void)?
    package init() {}
}

/// What a delete did.
package struct DeleteOutcome: Hashable, Sendable {
    /// The version that was removed, or the delete marker that was written; nil where there are no
    /// versions.
    package var versionID: String?
    /// Whether that is a delete marker.
    package var isDeleteMarker = false
    package init() {}
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

/// One version in a listing of versions.
package struct ListedVersion: Hashable, Sendable {
    package var info: ObjectInfo
    /// Whether a reader who names no version gets this one.
    package var isLatest: Bool
    package init(info: ObjectInfo, isLatest: Bool) {
        self.info = info
        self.isLatest = isLatest
    }
}

/// One page of versions, in key order by UTF-8 bytes, the newest of each key first.
package struct VersionListing: Sendable {
    package var versions: [ListedVersion] = []
    package var commonPrefixes: [String] = []
    /// Where the next page begins (exclusive); nil when this was the last. Without a version: after
    /// all of that key or common prefix.
    package var next: (key: String, version: String?)?
    package init() {}
}

package struct VersionListRequest: Sendable {
    package var prefix = ""
    package var delimiter: String?
    /// Exclusive.
    package var startAfter = ""
    /// A version of the key `startAfter`: begins with what is older than that.
    package var startAfterVersion: String?
    package var limit = 1000
    package init() {}
}

package struct PartInfo: Hashable, Sendable {
    package var number: Int
    package var size: UInt64
    package var etag: String
    package var modified: WallTime
    package var checksums: [String: String]

    package init(
        number: Int, size: UInt64, etag: String, modified: WallTime,
        checksums: [String: String] = [:]
    ) {
        self.number = number
        self.size = size
        self.etag = etag
        self.modified = modified
        self.checksums = checksums
    }
}

/// What the writer of a part says beside the bytes.
package struct PartOptions: Sendable {
    /// Looks at the upload before anything is read, may refuse, and gives what is stored in the
    /// place of the body.
    package var prepare: (@Sendable (UploadInfo) throws -> any ByteSource)?
    /// The part's checksums; called at most once, after the body has ended.
    package var checksumsAtEnd: (@Sendable () -> [String: String])?
    /// At most 32 bytes that come back with the part of the completed object.
    package var nonce: [UInt8] = []
    package init() {}
}

/// What the completion of an upload says beside its parts.
package struct CompletionOptions: Sendable {
    /// Evaluated inside the commit.
    package var condition: PutCondition = .none
    /// Looks at the parts that were chosen, in order, before anything is changed, and makes the
    /// object's checksums of theirs.
    package var checksums: (@Sendable ([PartInfo]) throws -> [String: String])?
    package init() {}
}

package struct UploadInfo: Hashable, Sendable {
    package var id: String
    package var key: String
    package var started: WallTime
    /// What `createUpload` was given for the object.
    package var headers: [String: String]

    package init(
        id: String, key: String, started: WallTime, headers: [String: String] = [:]
    ) {
        self.id = id
        self.key = key
        self.started = started
        self.headers = headers
    }
}

/// Why an object operation failed. The gateway maps each to its S3 code.
package enum ObjectError: Error, Equatable, Sendable {
    case noSuchBucket
    case bucketExists
    case bucketNotEmpty
    case noSuchKey
    case noSuchVersion
    /// The version that was asked for says that its key was deleted.
    case deleteMarker(version: String, modified: WallTime)
    case settingsTooLarge
    case noSuchUpload
    case noSuchPin
    case noSuchAccessKey
    case keyExists
    case tooManyKeys
    case badGatewayKey
    /// Takes all of the account's keys, of which the gateway has those of one bucket.
    case beyondDelegation
    case noSuchShare
    case tooManyShares
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
