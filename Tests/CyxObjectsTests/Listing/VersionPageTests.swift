import CyxCore
import CyxTables
import Synchronization
import Testing

@testable import CyxObjects

/// In memory, and counts what is read of it.
private final class CountingStore: KeyValueStore {
    private let entries = Mutex<[(key: [UInt8], value: [UInt8])]>([])
    let read = Mutex(0)

    func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        read.withLock { $0 += 1 }
        return entries.withLock { $0.first { $0.key == key }?.value }
    }

    func write(_ writes: [KeyValueWrite], durable: Bool) throws(StoreError) {
        entries.withLock { entries in
            for case .put(let key, let value) in writes { entries.append((key, value)) }
            entries.sort { $0.key.lexicographicallyPrecedes($1.key) }
        }
    }

    func flush() throws(StoreError) {}

    func scan(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
        let found = entries.withLock { entries in
            let rest = entries.drop { $0.key.lexicographicallyPrecedes(from) }
            return Array(
                rest.prefix { entry in to.map { entry.key.lexicographicallyPrecedes($0) } ?? true }
                    .prefix(limit))
        }
        read.withLock { $0 += found.count }
        return found
    }

    func close() {}
}

@Suite struct VersionPageTests {
    private static let position = Digest(1, 2, 3, 4)
    private static let count = 2000

    private static func version(_ sequence: Int) -> HeadRow {
        var head = HeadRow(key: "key", etag: "\(sequence)")
        head.write = (0..<16).map { UInt8(truncatingIfNeeded: sequence >> ($0 % 2 * 8)) }
        head.sequence = UInt64(sequence)
        head.named = true
        return head
    }

    /// A key with many versions; the newest is in its head.
    private static func index() throws -> (BucketIndex, CountingStore) {
        let store = CountingStore()
        let index = BucketIndex(store, Digest(9, 9, 9, 9))
        var writes: [KeyValueWrite] = []
        for sequence in 1..<count {
            let earlier = version(sequence)
            let row = RowKey(table: .versions, position: position, suffix: earlier.write)
            let entry = index.keys.earlier(earlier)
            let stamp = [UInt8](repeating: 0, count: 16)
            writes.append(.put(key: index.keys.place(row), value: stamp + entry))
            writes.append(.put(key: entry, value: earlier.protobufBytes()))
        }
        var head = version(count)
        head.hasEarlier = true
        writes.append(
            .put(
                key: index.keys.head(Array("key".utf8)),
                value: [BucketIndex.Kind.object.rawValue] + head.protobufBytes()))
        try store.write(writes, durable: false)
        return (index, store)
    }

    /// Wherever a page begins, no more is read than it tells.
    @Test func aPageReadsNothingOfTheVersionsBeforeIt() throws {
        let (index, store) = try Self.index()
        var request = VersionListRequest()
        request.startAfter = "key"
        request.limit = 3
        for sequence in [Self.count, Self.count - 1, 1000, 3, 2, 1] {
            let after = Self.version(sequence)
            request.startAfterVersion = "any"
            store.read.withLock { $0 = 0 }
            let found = try index.versions(request) { _ in
                VersionID(position: Self.position, write: after.write)
            }
            let rest = (1..<sequence).reversed().prefix(3).map { "\($0)" }
            #expect(found.versions.map(\.head.etag) == rest)
            #expect(found.versions.allSatisfy { !$0.isLatest })
            #expect((found.page.marker == nil) == (sequence <= 4))
            #expect(store.read.withLock { $0 } < 40)
        }
    }

    /// One that was removed since is not there to go on from.
    @Test func aPageAfterNoVersionOfTheKeyBeginsWithTheNewest() throws {
        let (index, _) = try Self.index()
        var request = VersionListRequest()
        request.startAfter = "key"
        request.startAfterVersion = "any"
        request.limit = 2
        for after in [nil, VersionID(position: Self.position, write: [7])] {
            let found = try index.versions(request) { _ in after }
            #expect(found.versions.map(\.head.etag) == ["2000", "1999"])
            #expect(found.versions.map(\.isLatest) == [true, false])
        }
    }
}
