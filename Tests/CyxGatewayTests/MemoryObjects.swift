import CyxCore
import CyxCrypto
import CyxObjects
import Synchronization

@testable import CyxGateway

/// An object service that keeps everything in memory, for the gateway's tests.
final class MemoryObjects: ObjectService {
    struct Stored {
        var info: ObjectInfo
        var bytes: [UInt8]
    }

    struct Upload {
        var key: String
        var options: PutOptions
        var started: WallTime
        var parts: [Int: (info: PartInfo, nonce: [UInt8], bytes: [UInt8])] = [:]
    }

    struct Bucket {
        var info: BucketInfo
        /// Of each key all versions, the newest last.
        var objects: [String: [Stored]] = [:]
        var uploads: [String: Upload] = [:]
    }

    static let minimumPartBytes = 5 << 20

    let state = Mutex<[String: Bucket]>([:])
    let pinned = Mutex<[String: (pin: PinInfo, stored: Stored)]>([:])
    let time: @Sendable () -> WallTime
    let account: AccountID
    let names: BucketNames
    private let lastUpload = Atomic<Int>(0)
    /// What whoever follows a bucket is told.
    let told = ScriptedChanges()
    /// How often it was asked whose a bucket is.
    let ownerReads = Atomic<Int>(0)

    /// Whose each bucket is, of accounts that share a network.
    final class BucketNames: Sendable {
        let owners = Mutex<[String: AccountID]>([:])
    }

    init(
        account: AccountID = AccountID(Digest(7, 7, 7, 7)), names: BucketNames = BucketNames(),
        time: @escaping @Sendable () -> WallTime
    ) {
        self.time = time
        self.account = account
        self.names = names
    }

    func createBucket(_ name: String, settings: BucketSettings) async throws -> BucketInfo {
        let info = BucketInfo(name: name, created: time(), settings: settings)
        return try state.withLock { buckets in
            try names.owners.withLock { owners in
                guard owners[name] == nil else { throw ObjectError.bucketExists }
                owners[name] = account
            }
            buckets[name] = Bucket(info: info)
            return info
        }
    }

    func deleteBucket(_ name: String) async throws {
        try state.withLock { buckets in
            guard let bucket = buckets[name] else { throw ObjectError.noSuchBucket }
            guard bucket.objects.isEmpty else { throw ObjectError.bucketNotEmpty }
            buckets[name] = nil
            names.owners.withLock { $0[name] = nil }
        }
    }

    func bucket(_ name: String) async throws -> BucketInfo { try found(name).info }

    func buckets() async throws -> [BucketInfo] { state.withLock { $0.values.map(\.info) } }

    private func found(_ name: String) throws -> Bucket {
        guard let bucket = state.withLock({ $0[name] }) else { throw ObjectError.noSuchBucket }
        return bucket
    }

    func put(
        _ key: String, in bucket: String, options: PutOptions, body: any ByteSource
    ) async throws -> ObjectInfo {
        _ = try found(bucket)
        let bytes = try await read(body)
        if let size = options.size, size != UInt64(bytes.count) {
            throw ObjectError.bodyLength(expected: size, actual: UInt64(bytes.count))
        }
        var options = options
        options.checksums.merge(options.checksumsAtEnd?() ?? [:]) { $1 }
        let etag = Hex.encode(MD5.hash(bytes))
        return try commit(key, in: bucket, options, bytes, etag: etag)
    }

    private func read(_ body: any ByteSource) async throws -> [UInt8] {
        var body = body
        var bytes: [UInt8] = []
        while let more = try await body.next() { bytes += more }
        return bytes
    }

    private func commit(
        _ key: String, in bucket: String, _ options: PutOptions, _ bytes: [UInt8], etag: String,
        parts: [ObjectPart] = []
    ) throws -> ObjectInfo {
        var info = ObjectInfo(
            key: key, size: UInt64(bytes.count), etag: etag, modified: time(),
            headers: options.headers, checksums: options.checksums,
            cid: CID(rawContent: Array("\(bucket)\0".utf8) + bytes).text,
            redundancy: "rs(10,4)")
        info.attributes = options.attributes
        info.parts = parts
        return try add(Stored(info: info, bytes: bytes), in: bucket) { old in
            switch options.condition {
            case .none: break
            case .absent: if old != nil { throw ObjectError.preconditionFailed }
            case .matches(let etag):
                guard let old else { throw ObjectError.noSuchKey }
                guard etag == "*" || old.etag == etag else { throw ObjectError.preconditionFailed }
            }
        }
    }

    private func add(
        _ stored: Stored, in bucket: String, check: (ObjectInfo?) throws -> Void
    ) throws -> ObjectInfo {
        let number = lastUpload.wrappingAdd(1, ordering: .relaxed).newValue
        return try state.withLock { buckets in
            let key = stored.info.key
            var versions = buckets[bucket]?.objects[key] ?? []
            let old = versions.last?.info
            try check(old?.isDeleteMarker == true ? nil : old)
            var stored = stored
            switch buckets[bucket]?.info.settings.versioning ?? .never {
            case .never: versions = []
            case .enabled: stored.info.versionID = "version-\(number)"
            case .suspended:
                stored.info.versionID = "null"
                versions.removeAll { ($0.info.versionID ?? "null") == "null" }
            }
            buckets[bucket]?.objects[key] = versions + [stored]
            return stored.info
        }
    }

    private func found(_ key: String, _ version: String?, _ bucket: String) throws -> Stored {
        let versions = try found(bucket).objects[key] ?? []
        guard let version else {
            guard let last = versions.last else { throw ObjectError.noSuchKey }
            return try readable(last)
        }
        guard let stored = versions.last(where: { ($0.info.versionID ?? "null") == version }) else {
            throw ObjectError.noSuchVersion
        }
        return try readable(stored)
    }

    private func readable(_ stored: Stored) throws -> Stored {
        guard !stored.info.isDeleteMarker else {
            throw ObjectError.deleteMarker(
                version: stored.info.versionID ?? "null", modified: stored.info.modified)
        }
        return stored
    }

    func head(_ key: String, version: String?, in bucket: String) async throws -> ObjectInfo {
        try found(key, version, bucket).info
    }

    func get(
        _ key: String, version: String?, in bucket: String, range: ByteRange
    ) async throws -> ObjectBody {
        try MemoryObjects.body(try found(key, version, bucket), range)
    }

    private static func body(_ stored: Stored, _ range: ByteRange) throws -> ObjectBody {
        let size = UInt64(stored.bytes.count)
        let offsets: Range<UInt64>
        switch range {
        case .whole: offsets = 0..<size
        case .from(let first, let last):
            guard first < size else { throw ObjectError.invalidRange(size: size) }
            offsets = first..<(last.map { min($0, size - 1) + 1 } ?? size)
        case .last(let count):
            guard count > 0, size > 0 else { throw ObjectError.invalidRange(size: size) }
            offsets = (size - min(size, count))..<size
        }
        let slice = Array(stored.bytes[Int(offsets.lowerBound)..<Int(offsets.upperBound)])
        return ObjectBody(
            info: stored.info, range: offsets, source: PiecewiseBytes(slice, pieceBytes: 1 << 20))
    }

    // MARK: Pins

    func pin(_ key: String, in bucket: String, for span: Duration?) async throws -> PinInfo {
        let stored = try found(key, nil, bucket)
        let (number, now) = (lastUpload.wrappingAdd(1, ordering: .relaxed).newValue, time())
        let pin = PinInfo(
            id: "pin-\(number)", bucket: bucket, key: key, size: stored.info.size,
            etag: stored.info.etag, created: now,
            until: span.map {
                WallTime(milliseconds: now.milliseconds + $0.nanoseconds / 1_000_000)
            })
        pinned.withLock { $0[pin.id] = (pin, stored) }
        return pin
    }

    /// One a page, so that clients have to ask for more.
    func pins(after id: String?) async throws -> PinListing {
        let pins = pinned.withLock { $0.values.map(\.pin) }.sorted { $0.id < $1.id }
        let rest = pins.drop { pin in id.map { pin.id <= $0 } ?? false }
        return PinListing(
            pins: Array(rest.prefix(1)), next: rest.count > 1 ? rest.first?.id : nil)
    }

    func head(pin id: String) async throws -> ObjectInfo {
        guard let entry = pinned.withLock({ $0[id] }) else { throw ObjectError.noSuchPin }
        return entry.stored.info
    }

    func get(pin id: String, range: ByteRange) async throws -> ObjectBody {
        guard let entry = pinned.withLock({ $0[id] }) else { throw ObjectError.noSuchPin }
        return try MemoryObjects.body(entry.stored, range)
    }

    func unpin(_ id: String) async throws {
        guard pinned.withLock({ $0.removeValue(forKey: id) }) != nil else {
            throw ObjectError.noSuchPin
        }
    }

    func delete(
        _ key: String, version: String?, in bucket: String, options: DeleteOptions
    ) async throws -> DeleteOutcome {
        let versioning = try found(bucket).info.settings.versioning
        var outcome = DeleteOutcome()
        if version == nil, versioning != .never {
            var marker = ObjectInfo(
                key: key, size: 0, etag: "", modified: time(), headers: [:], checksums: [:],
                cid: "", redundancy: "")
            marker.isDeleteMarker = true
            let info = try add(Stored(info: marker, bytes: []), in: bucket) {
                try options.check?($0)
            }
            outcome.versionID = info.versionID
            outcome.isDeleteMarker = true
            return outcome
        }
        try state.withLock { buckets in
            let name = version ?? "null"
            let versions = buckets[bucket]?.objects[key] ?? []
            let old = versions.last { ($0.info.versionID ?? "null") == name }
            try options.check?(old?.info)
            outcome.versionID = version
            outcome.isDeleteMarker = old?.info.isDeleteMarker ?? false
            let rest = versions.filter { ($0.info.versionID ?? "null") != name }
            buckets[bucket]?.objects[key] = rest.isEmpty ? nil : rest
        }
        return outcome
    }

    func updateAttributes(
        of key: String, version: String?, in bucket: String,
        _ change: @escaping @Sendable (inout [String: [UInt8]]) throws -> Void
    ) async throws -> ObjectInfo {
        let name = try found(key, version, bucket).info.versionID
        return try state.withLock { buckets in
            var versions = buckets[bucket]?.objects[key] ?? []
            guard let index = versions.lastIndex(where: { $0.info.versionID == name }) else {
                throw ObjectError.noSuchVersion
            }
            try change(&versions[index].info.attributes)
            buckets[bucket]?.objects[key] = versions
            return versions[index].info
        }
    }

    func owner(of bucket: String) async throws -> AccountID? {
        ownerReads.add(1, ordering: .relaxed)
        return names.owners.withLock { $0[bucket] }
    }

    func updateBucket(
        _ name: String, _ change: @escaping @Sendable (inout BucketSettings) throws -> Void
    ) async throws -> BucketInfo {
        var info = try found(name).info
        try change(&info.settings)
        let changed = info
        state.withLock { $0[name]?.info = changed }
        return changed
    }

    /// All on one page: paging is the object layer's.
    func listVersions(
        _ bucket: String, _ request: VersionListRequest
    ) async throws -> VersionListing {
        var listing = VersionListing()
        for (_, versions) in try found(bucket).objects.sorted(by: { isBefore($0.key, $1.key) }) {
            for (index, stored) in versions.enumerated().reversed() {
                listing.versions.append(
                    ListedVersion(info: stored.info, isLatest: index == versions.count - 1))
            }
        }
        return listing
    }

    func list(_ bucket: String, _ request: ListRequest) async throws -> ObjectListing {
        let objects = try found(bucket).objects.compactMapValues { versions in
            versions.last.flatMap { $0.info.isDeleteMarker ? nil : $0 }
        }
        let keys = objects.keys.filter { $0.utf8.starts(with: request.prefix.utf8) }
            .sorted(by: isBefore)
        var listing = ObjectListing()
        var last = ""
        for key in keys {
            var entry = key
            let rest = key.dropFirst(request.prefix.count)
            if let delimiter = request.delimiter, let end = rest.firstRange(of: delimiter) {
                entry = request.prefix + rest[..<end.upperBound]
            }
            guard isBefore(request.startAfter, entry), entry != last || entry == key else {
                continue
            }
            guard listing.objects.count + listing.commonPrefixes.count < request.limit else {
                listing.nextMarker = last
                break
            }
            last = entry
            if entry == key, let stored = objects[key] {
                listing.objects.append(stored.info)
            } else {
                listing.commonPrefixes.append(entry)
            }
        }
        return listing
    }

    // MARK: Uploads

    func createUpload(
        _ key: String, in bucket: String, options: PutOptions
    ) async throws -> String {
        _ = try found(bucket)
        let id = "upload-\(lastUpload.wrappingAdd(1, ordering: .relaxed).newValue)"
        let upload = Upload(key: key, options: options, started: time())
        state.withLock { $0[bucket]?.uploads[id] = upload }
        return id
    }

    func upload(_ id: String, key: String, in bucket: String) async throws -> UploadInfo {
        let found = try found(id, key, bucket)
        return UploadInfo(
            id: id, key: key, started: found.started, headers: found.options.headers)
    }

    private func found(_ upload: String, _ key: String, _ bucket: String) throws -> Upload {
        guard let found = try found(bucket).uploads[upload], found.key == key else {
            throw ObjectError.noSuchUpload
        }
        return found
    }

    func putPart(
        _ number: Int, upload: String, key: String, in bucket: String, options: PartOptions,
        body: any ByteSource
    ) async throws -> PartInfo {
        let upload = try await self.upload(upload, key: key, in: bucket)
        let bytes = try await read(try options.prepare?(upload) ?? body)
        let info = PartInfo(
            number: number, size: UInt64(bytes.count),
            etag: Hex.encode(MD5.hash(bytes)), modified: time(),
            checksums: options.checksumsAtEnd?() ?? [:])
        state.withLock {
            $0[bucket]?.uploads[upload.id]?.parts[number] = (info, options.nonce, bytes)
        }
        return info
    }

    func parts(upload: String, key: String, in bucket: String) async throws -> [PartInfo] {
        try found(upload, key, bucket).parts.values.map(\.info)
    }

    func completeUpload(
        _ upload: String, key: String, in bucket: String, parts: [(number: Int, etag: String)],
        options completion: CompletionOptions
    ) async throws -> ObjectInfo {
        let found = try found(upload, key, bucket)
        var bytes: [UInt8] = []
        var hashes: [UInt8] = []
        var chosen: [(info: PartInfo, nonce: [UInt8], bytes: [UInt8])] = []
        for (index, part) in parts.enumerated() {
            guard let stored = found.parts[part.number], stored.info.etag == part.etag else {
                throw ObjectError.invalidPart("part \(part.number) was not uploaded")
            }
            if index < parts.count - 1, stored.bytes.count < MemoryObjects.minimumPartBytes {
                throw ObjectError.partTooSmall(number: part.number, size: stored.info.size)
            }
            chosen.append(stored)
            bytes += stored.bytes
            hashes += Hex.decode(stored.info.etag) ?? []
        }
        let etag = Hex.encode(MD5.hash(hashes)) + "-\(parts.count)"
        var options = found.options
        options.condition = completion.condition
        options.checksums = try completion.checksums?(chosen.map(\.info)) ?? [:]
        let algorithm = options.checksums.keys.first
        let kept = chosen.map { part in
            ObjectPart(
                number: part.info.number, size: part.info.size,
                checksums: part.info.checksums.filter { $0.key == algorithm }, nonce: part.nonce)
        }
        let info = try commit(key, in: bucket, options, bytes, etag: etag, parts: kept)
        state.withLock { $0[bucket]?.uploads[upload] = nil }
        return info
    }

    func abortUpload(_ upload: String, key: String, in bucket: String) async throws {
        _ = try found(upload, key, bucket)
        state.withLock { $0[bucket]?.uploads[upload] = nil }
    }

    func uploads(in bucket: String) async throws -> [UploadInfo] {
        try found(bucket).uploads.map {
            UploadInfo(
                id: $0.key, key: $0.value.key, started: $0.value.started,
                headers: $0.value.options.headers)
        }
    }
}

/// Bytes given out in pieces.
struct PiecewiseBytes: ByteSource {
    private var rest: ArraySlice<UInt8>
    private let pieceBytes: Int

    init(_ bytes: [UInt8], pieceBytes: Int) {
        rest = bytes[...]
        self.pieceBytes = pieceBytes
    }

    mutating func next() async throws -> [UInt8]? {
        guard !rest.isEmpty else { return nil }
        defer { rest = rest.dropFirst(pieceBytes) }
        return Array(rest.prefix(pieceBytes))
    }
}
