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
        var parts: [Int: (info: PartInfo, bytes: [UInt8])] = [:]
    }

    struct Bucket {
        var info: BucketInfo
        var objects: [String: Stored] = [:]
        var uploads: [String: Upload] = [:]
    }

    static let minimumPartBytes = 5 << 20

    let state = Mutex<[String: Bucket]>([:])
    let pinned = Mutex<[String: (pin: PinInfo, stored: Stored)]>([:])
    let time: @Sendable () -> WallTime
    private let lastUpload = Atomic<Int>(0)

    init(time: @escaping @Sendable () -> WallTime) {
        self.time = time
    }

    func createBucket(_ name: String) async throws -> BucketInfo {
        let info = BucketInfo(name: name, created: time())
        return try state.withLock { buckets in
            guard buckets[name] == nil else { throw ObjectError.bucketExists }
            buckets[name] = Bucket(info: info)
            return info
        }
    }

    func deleteBucket(_ name: String) async throws {
        try state.withLock { buckets in
            guard let bucket = buckets[name] else { throw ObjectError.noSuchBucket }
            guard bucket.objects.isEmpty else { throw ObjectError.bucketNotEmpty }
            buckets[name] = nil
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
        _ key: String, in bucket: String, _ options: PutOptions, _ bytes: [UInt8], etag: String
    ) throws -> ObjectInfo {
        let info = ObjectInfo(
            key: key, size: UInt64(bytes.count), etag: etag, modified: time(),
            headers: options.headers, checksums: options.checksums, cid: "bafkfake",
            redundancy: "rs(10,4)")
        return try state.withLock { buckets in
            let old = buckets[bucket]?.objects[key]
            switch options.condition {
            case .none: break
            case .absent: if old != nil { throw ObjectError.preconditionFailed }
            case .matches(let etag):
                if old?.info.etag != etag { throw ObjectError.preconditionFailed }
            }
            buckets[bucket]?.objects[key] = Stored(info: info, bytes: bytes)
            return info
        }
    }

    func head(_ key: String, in bucket: String) async throws -> ObjectInfo {
        guard let stored = try found(bucket).objects[key] else { throw ObjectError.noSuchKey }
        return stored.info
    }

    func get(_ key: String, in bucket: String, range: ByteRange) async throws -> ObjectBody {
        guard let stored = try found(bucket).objects[key] else { throw ObjectError.noSuchKey }
        return try MemoryObjects.body(stored, range)
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
        guard let stored = try found(bucket).objects[key] else { throw ObjectError.noSuchKey }
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

    func delete(_ key: String, in bucket: String) async throws {
        _ = try found(bucket)
        state.withLock { $0[bucket]?.objects[key] = nil }
    }

    func list(_ bucket: String, _ request: ListRequest) async throws -> ObjectListing {
        let objects = try found(bucket).objects
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

    private func found(_ upload: String, _ key: String, _ bucket: String) throws -> Upload {
        guard let found = try found(bucket).uploads[upload], found.key == key else {
            throw ObjectError.noSuchUpload
        }
        return found
    }

    func putPart(
        _ number: Int, upload: String, key: String, in bucket: String, body: any ByteSource
    ) async throws -> PartInfo {
        _ = try found(upload, key, bucket)
        let bytes = try await read(body)
        let info = PartInfo(
            number: number, size: UInt64(bytes.count),
            etag: Hex.encode(MD5.hash(bytes)), modified: time())
        state.withLock { $0[bucket]?.uploads[upload]?.parts[number] = (info, bytes) }
        return info
    }

    func parts(upload: String, key: String, in bucket: String) async throws -> [PartInfo] {
        try found(upload, key, bucket).parts.values.map(\.info)
    }

    func completeUpload(
        _ upload: String, key: String, in bucket: String, parts: [(number: Int, etag: String)]
    ) async throws -> ObjectInfo {
        let found = try found(upload, key, bucket)
        var bytes: [UInt8] = []
        var hashes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            guard let stored = found.parts[part.number], stored.info.etag == part.etag else {
                throw ObjectError.invalidPart("part \(part.number) was not uploaded")
            }
            if index < parts.count - 1, stored.bytes.count < MemoryObjects.minimumPartBytes {
                throw ObjectError.partTooSmall(number: part.number, size: stored.info.size)
            }
            bytes += stored.bytes
            hashes += Hex.decode(stored.info.etag) ?? []
        }
        let etag = Hex.encode(MD5.hash(hashes)) + "-\(parts.count)"
        let info = try commit(key, in: bucket, found.options, bytes, etag: etag)
        state.withLock { $0[bucket]?.uploads[upload] = nil }
        return info
    }

    func abortUpload(_ upload: String, key: String, in bucket: String) async throws {
        _ = try found(upload, key, bucket)
        state.withLock { $0[bucket]?.uploads[upload] = nil }
    }

    func uploads(in bucket: String) async throws -> [UploadInfo] {
        try found(bucket).uploads.map {
            UploadInfo(id: $0.key, key: $0.value.key, started: $0.value.started)
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
