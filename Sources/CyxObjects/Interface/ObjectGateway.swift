package import CyxCore
package import CyxCrypto
internal import CyxTables
internal import CyxTransport

/// A bucket that this account owns, with its keys.
struct BucketHandle: Sendable {
    var name: String
    var created: WallTime
    var keys: BucketKeys
    var settings = BucketSettings()
}

/// The objects of one account, for a gateway or any other program of the owner's.
package actor ObjectGateway: ObjectService {
    /// Memory for decoded manifests and layouts, in bytes.
    static let versionCacheBytes = 32 << 20
    /// Buckets whose names and settings are remembered.
    static let cachedBuckets = 64
    /// Heads that a read looks at when each is replaced before its rows were read.
    static let looks = 8

    let context: ObjectContext
    let keys: AccountKeys
    package nonisolated let tokenKey: SigningKey
    let runner: JobRunner
    let fetcher: SegmentFetcher
    let cleaner: Cleaner
    let packer: Packer
    private let lease: LeaseKeeper
    var registers = AccountRegisterCache()
    var buckets = BoundedCache<String, (handle: BucketHandle, read: Instant)>(
        capacity: ObjectGateway.cachedBuckets)
    /// How often one of them was changed from here: what a read that began before found is not kept.
    var bucketChanges: UInt64 = 0
    var flights = ListingFlights()
    var versions: BoundedCache<VersionID, VersionContent>
    /// The only bucket that a delegate's keys open, by name.
    let onlyBucket: String?

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    /// `accountSeed`: 32 secret bytes that the account's keys are derived from. `lease`: for how
    /// long the account has its data kept at a time, renewed while this runs; nil: for ever.
    package init(context: ObjectContext, accountSeed: [UInt8], lease: Duration? = nil) {
        self.init(
            context: context, keys: AccountKeys(seed: accountSeed), runner: JobRunner(),
            onlyBucket: nil, cacheBytes: ObjectGateway.versionCacheBytes, lease: lease)
    }

    /// Serves one bucket with what a delegate has. Nobody calls `run()`: `runner` does the background
    /// work, and upkeep is left to the account's own gateways.
    init(context: ObjectContext, grant: OpenedGrant, runner: JobRunner, cacheBytes: Int) {
        self.init(
            context: context, keys: grant.keys, runner: runner,
            onlyBucket: grant.key.limits.bucket, cacheBytes: cacheBytes, lease: nil)
    }

    private init(
        context: ObjectContext, keys: AccountKeys, runner: JobRunner, onlyBucket: String?,
        cacheBytes: Int, lease: Duration?
    ) {
        self.context = context
        self.keys = keys
        self.runner = runner
        self.onlyBucket = onlyBucket
        versions = BoundedCache(capacity: cacheBytes)
        tokenKey = keys.tokenKey
        context.permits.add(keys.signer)
        fetcher = SegmentFetcher(context: context, runner: runner)
        cleaner = Cleaner(context: context, keys: keys, runner: runner)
        packer = Packer(context: context, keys: keys, runner: runner, cleaner: cleaner)
        self.lease = LeaseKeeper(context: context, keys: keys, length: lease)
    }

    package nonisolated var account: AccountID { keys.account }

    /// Read-ahead, clean-up, re-coding and the account's lease, until the task is cancelled.
    package func run() async throws {
        precondition(keys.areWhole, "a delegate does no upkeep for its account")
        let recoder = Recoder(gateway: self, context: context.with(.background))
        let collector = Collector(gateway: self, context: context, keys: keys)
        let grants = GrantKeeper(gateway: self, environment: context.environment)
        let listings = context.listings
        defer { listings.close() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.runner.run() }
            group.addTask { try await recoder.run() }
            group.addTask { try await collector.run() }
            group.addTask { try await grants.run() }
            group.addTask { await self.cleaner.kick() }
            group.addTask { await self.dropFormerIndexes() }
            group.addTask { [lease] in try await lease.run() }
            try await group.waitForAll()
        }
    }

    /// Throws for what takes all of the account's keys.
    nonisolated func requireWholeKeys() throws(ObjectError) {
        guard keys.areWhole else { throw .beyondDelegation }
    }

    func store(_ bucket: BucketHandle) -> VersionStore {
        VersionStore(context: context, keys: keys, bucket: bucket.keys)
    }

    // MARK: Heads

    /// The head of an object's current version, nil if there is none.
    func readHead(_ key: String, in bucket: BucketHandle) async throws -> HeadRow? {
        try await find(key, .current, in: bucket).flatMap { $0.isObject ? $0 : nil }
    }

    func check(key: String) throws(ObjectError) {
        let count = key.utf8.count
        guard count > 0, count <= ObjectLimits.keyBytes else { throw .noSuchKey }
    }

    func info(of head: HeadRow, in bucket: BucketHandle) -> ObjectInfo {
        infos(in: bucket)(head)
    }

    /// Describes heads wherever it is called.
    nonisolated func infos(in bucket: BucketHandle) -> @Sendable (HeadRow) -> ObjectInfo {
        { head in
            let code =
                head.dataShards == 0
                ? "rows" : "rs(\(head.dataShards),\(head.parityShards))"
            var info = ObjectInfo(
                key: head.key, size: head.size, etag: head.etag,
                modified: WallTime(milliseconds: head.modifiedMs), headers: head.headers,
                checksums: head.allChecksums,
                cid: Digest(bytes: head.version).map { CID(digest: $0).text } ?? "",
                redundancy: code)
            info.versionID = bucket.versionID(of: head)
            info.isDeleteMarker = head.deleteMarker
            info.attributes = head.attributes
            let algorithm = head.allChecksums.keys.min()
            info.parts = head.parts.map { part in
                var found = ObjectPart(
                    number: Int(part.number), size: part.size, nonce: part.nonce)
                if let algorithm, !part.checksum.isEmpty {
                    found.checksums[algorithm] = Base64.encode(part.checksum)
                }
                return found
            }
            return info
        }
    }

    package func head(
        _ key: String, version: String?, in bucket: String
    ) async throws -> ObjectInfo {
        let handle = try await handle(bucket)
        return info(of: try await object(key, try VersionSelector(version), in: handle), in: handle)
    }

    // MARK: Reading

    package func get(
        _ key: String, version: String?, in bucket: String, range: ByteRange
    ) async throws -> ObjectBody {
        let handle = try await handle(bucket)
        let selector = try VersionSelector(version)
        var former: HeadRow?
        for _ in 0..<ObjectGateway.looks {
            let head = try await object(key, selector, in: handle)
            do {
                return try await body(of: head, range, in: handle)
            } catch ObjectError.dataLost(let reason) {
                // Rows of a version go as soon as it is replaced, perhaps after its head was read
                // here: then there is another version.
                guard former?.write != head.write else { throw ObjectError.dataLost(reason) }
                former = head
            }
        }
        throw ObjectError.unavailable("the object is replaced too often to be read")
    }

    func body(
        of head: HeadRow, _ range: ByteRange, in handle: BucketHandle
    ) async throws -> ObjectBody {
        let bytes = try range.resolved(size: head.size)
        guard head.chunkBytesAreElsewhere else {
            let slice = Array(head.data[Int(bytes.lowerBound)..<Int(bytes.upperBound)])
            return ObjectBody(
                info: info(of: head, in: handle), range: bytes, source: FixedBytes(slice))
        }
        let content = try await content(of: head, in: handle)
        guard content.size == head.size else {
            throw ObjectError.dataLost("the manifest has another size than the head")
        }
        let reader = ObjectReader(
            context: context, fetcher: fetcher, runner: runner, content: content, range: bytes,
            reload: { try await self.reload(head, content.layoutGeneration, in: handle) })
        return ObjectBody(
            info: info(of: head, in: handle), range: bytes, source: ObjectSource(reader: reader))
    }

    /// Manifest and layout of a version, from memory or the tables.
    func content(of head: HeadRow, in bucket: BucketHandle) async throws -> VersionContent {
        let version = VersionID(position: bucket.keys.position(of: head.key), write: head.write)
        if let cached = versions[version] { return cached }
        let store = store(bucket)
        async let manifest = store.manifest(of: head, at: version.position)
        let layout = try await store.layout(of: version)
        guard let layout else { throw ObjectError.dataLost("the layout is missing") }
        do {
            let content = try VersionContent(
                chunks: try await manifest.chunks, placed: layout.segments,
                layoutGeneration: layout.row.generation)
            versions.insert(content, for: version, cost: content.cost)
            return content
        } catch let error as RowError {
            throw ObjectError.dataLost("manifest and layout do not fit: \(error)")
        }
    }

    /// What is remembered of where a version lies does not hold any more.
    func forgetContent(of version: VersionID) { versions.remove(version) }

    /// The content again if its layout has changed since `generation`; nil if it has not.
    private func reload(
        _ head: HeadRow, _ generation: UInt64, in bucket: BucketHandle
    ) async throws -> VersionContent? {
        versions.remove(
            VersionID(position: bucket.keys.position(of: head.key), write: head.write))
        let fresh = try await content(of: head, in: bucket)
        return fresh.layoutGeneration == generation ? nil : fresh
    }
}

extension HeadRow {
    /// Whether the bytes lie in segments rather than in the head.
    var chunkBytesAreElsewhere: Bool { dataShards > 0 }
}

extension ByteRange {
    /// The offsets meant in an object of `size` bytes.
    package func resolved(size: UInt64) throws(ObjectError) -> Range<UInt64> {
        switch self {
        case .whole: return 0..<size
        case .from(let first, let last):
            guard first < size, last.map({ $0 >= first }) ?? true else {
                throw .invalidRange(size: size)
            }
            return first..<min(last ?? size - 1, size - 1) + 1
        case .last(let count):
            guard count > 0, size > 0 else { throw .invalidRange(size: size) }
            return size - min(count, size)..<size
        }
    }
}
