import CyxCore
import CyxStorage
import Glibc
import Testing

/// A file system of a few megabytes, where the tests may mount one.
final class SmallVolume: Sendable {
    let path: String
    private let scratch: ScratchDirectory

    init?(megabytes: Int) {
        guard let scratch = try? ScratchDirectory() else { return nil }
        self.scratch = scratch
        path = scratch.path
        guard mount("cyx", path, "tmpfs", 0, "size=\(megabytes)m") == 0 else { return nil }
    }

    deinit { umount2(path, 2) }

    static let isAvailable = SmallVolume(megabytes: 1) != nil
}

struct RocksDBStoreTests {
    @Test(arguments: [StoreKind.rows, .shards])
    func writesAreAppliedWholeAndScansAreInOrder(kind: StoreKind) throws {
        let scratch = try ScratchDirectory()
        let store = try RocksDBDevice(path: scratch.path).open("data", kind: kind)
        try store.write(
            [
                .put(key: [2], value: [20]), .put(key: [1], value: [10]),
                .put(key: [3], value: [UInt8](repeating: 3, count: 5000)), .delete(key: [2]),
            ], durable: true)
        try store.flush()
        #expect(try store.get([1]) == [10])
        #expect(try store.get([2]) == nil)
        #expect(try store.scan(from: [], to: nil, limit: 10).map(\.key) == [[1], [3]])
        #expect(try store.scan(from: [1], to: [3], limit: 10).map(\.key) == [[1]])
        #expect(try store.scan(from: [], to: nil, limit: 1).map(\.value) == [[10]])
        store.close()
        #expect(throws: StoreError.closed) { try store.get([1]) }
        let again = try RocksDBDevice(path: scratch.path).open("data", kind: kind)
        #expect(try again.get([3])?.count == 5000)
        again.close()
    }

    @Test func whatMemoryKnowsIsTheLatestAndTheRestIsLeftToTheDisk() throws {
        let scratch = try ScratchDirectory()
        let device = RocksDBDevice(path: scratch.path)
        let store = try device.open("data", kind: .rows)
        #expect(store.getFromMemory([1]) == .known(nil))
        try store.write([.put(key: [1], value: [10])], durable: true)
        #expect(store.getFromMemory([1]) == .known([10]))
        try store.write([.put(key: [1], value: [11]), .put(key: [2], value: [2])], durable: true)
        #expect(store.getFromMemory([1]) == .known([11]))
        try store.write([.delete(key: [1])], durable: true)
        #expect(store.getFromMemory([1]) == .known(nil))
        store.close()
        #expect(store.getFromMemory([2]) == .unknown)
        // From a file, which no block of is in memory yet.
        let again = try device.open("data", kind: .rows)
        defer { again.close() }
        #expect(again.getFromMemory([2]) == .unknown)
        #expect(try again.get([2]) == [2])
        #expect(again.getFromMemory([2]) == .known([2]))
    }

    @Test func aCrashKeepsDurableRowsAndFlushedShardsOnly() throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let device = RocksDBDevice(path: live)
        let rows = try device.open("rows", kind: .rows)
        let shards = try device.open("shards", kind: .shards)
        try rows.write([.put(key: [1], value: [1])], durable: true)
        try shards.write([.put(key: [1], value: [1])], durable: true)
        try shards.flush()
        let flushed = logTail("\(live)/shards").size
        try shards.write([.put(key: [2], value: [2])], durable: true)
        crashImage(of: live, in: "\(scratch.path)/image")
        // The machine went down as well: what was not flushed never reached the disk.
        truncate(logTail("\(scratch.path)/image/shards").name, off_t(flushed))
        let image = RocksDBDevice(path: "\(scratch.path)/image")
        let rowsAfter = try image.open("rows", kind: .rows)
        let shardsAfter = try image.open("shards", kind: .shards)
        #expect(try rowsAfter.get([1]) == [1])
        #expect(try shardsAfter.get([1]) == [1])
        #expect(try shardsAfter.get([2]) == nil)
        for store in [rows, shards, rowsAfter, shardsAfter] { store.close() }
    }

    @Test func aDamagedStoreCanBeRemovedAndMadeAnew() throws {
        let scratch = try ScratchDirectory()
        let store = try RocksDBDevice(path: scratch.path).open("data", kind: .rows)
        try store.write([.put(key: [1], value: [1])], durable: true)
        store.close()
        var status = stat()
        #expect(stat("\(scratch.path)/data", &status) == 0 && status.st_mode & 0o77 == 0)
        #expect(truncate("\(scratch.path)/data/CURRENT", 3) == 0)
        let device = RocksDBDevice(path: scratch.path)
        let error = #expect(throws: StoreError.self) { try device.open("data", kind: .rows) }
        guard case .corrupt = error else {
            Issue.record("\(String(describing: error)) does not say that it is damaged")
            return
        }
        try device.remove("data")
        let again = try device.open("data", kind: .rows)
        #expect(try again.get([1]) == nil)
        again.close()
    }

    @Test func aDatabaseInUseIsRefusedWithItsReason() throws {
        let scratch = try ScratchDirectory()
        let first = try RocksDBDevice(path: scratch.path).open("data", kind: .rows)
        let error = #expect(throws: StoreError.self) {
            try RocksDBDevice(path: scratch.path).open("data", kind: .rows)
        }
        guard case .failed("open", let detail) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(detail.contains("lock"))
        first.close()
    }

    @Test(.enabled(if: SmallVolume.isAvailable), arguments: [StoreKind.rows, .shards])
    func aFullVolumeStopsWritesNotReadsAndWritesResumeWithSpace(kind: StoreKind) throws {
        let volume = try #require(SmallVolume(megabytes: 40))
        let ballast = "\(volume.path)/ballast"
        writeFile(ballast, [UInt8](repeating: 1, count: 24 << 20))
        let store = try RocksDBDevice(path: volume.path).open("data", kind: kind)
        let value = testBytes(1 << 20, seed: 1)
        var acknowledged: [UInt8] = []
        var failure: StoreError?
        for index in UInt8(0)..<32 {
            do throws(StoreError) {
                try store.write([.put(key: [index], value: value)], durable: true)
                try store.flush()
                acknowledged.append(index)
            } catch {
                failure = error
                break
            }
        }
        #expect(failure == .noSpace)
        #expect(acknowledged.count > 2)
        for index in acknowledged { #expect(try store.get([index]) == value) }
        #expect(throws: StoreError.noSpace) {
            try store.write([.put(key: [200], value: value)], durable: true)
            try store.flush()
        }
        for index in acknowledged { #expect(try store.get([index]) == value) }
        unlink(ballast)
        try store.write([.put(key: [201], value: value)], durable: true)
        try store.flush()
        for index in acknowledged + [201] { #expect(try store.get([index]) == value) }
        store.close()
    }
}
