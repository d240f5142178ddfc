import CyxCore
import CyxStorage
import Synchronization
import Testing

struct ShardStoreTests {
    @Test func whatWasPutComesBackAndIsCounted() async throws {
        let scratch = try ScratchDirectory()
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            let first = testBytes(105_000, seed: 1)
            let second = testBytes(10, seed: 2)
            try await store.put([(testKey(1, 3, 0), first), (testKey(1, 3, 1), second)])
            #expect(try await store.get(testKey(1, 3, 0)) == first)
            #expect(try await store.get(testKey(1, 3, 1)) == second)
            #expect(try await store.get(testKey(1, 3, 2)) == nil)
            #expect(
                try await store.get(testKey(1, 3, 0), range: 100..<105) == Array(first[100..<105]))
            #expect(try await store.get(testKey(1, 3, 1), range: 8..<50) == Array(second[8...]))
            let usage = await store.usage
            #expect(usage.shards == 2)
            #expect(usage.used > 105_010 && usage.used < 106_000)

            try await store.put([(testKey(1, 3, 0), second)])
            #expect(try await store.get(testKey(1, 3, 0)) == second)
            #expect(await store.usage.shards == 2)
            #expect(await store.usage.used < 1000)
            await store.close()
        }
    }

    @Test func deletingASegmentTakesItsShardsAndNoOthers() async throws {
        let scratch = try ScratchDirectory()
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            let bytes = testBytes(5000, seed: 1)
            for chunk in 0..<20 { try await store.put([(testKey(7, 1, UInt32(chunk)), bytes)]) }
            try await store.put([(testKey(8), bytes), (testKey(6), bytes)])
            let listed = try await store.list(testKey(7).segment)
            #expect(listed.map(\.key.chunk) == (0..<20).map { UInt32($0) })
            #expect(listed.allSatisfy { $0.size == 5000 })
            try await store.delete(segment: testKey(7).segment)
            #expect(try await store.list(testKey(7).segment).isEmpty)
            #expect(try await store.get(testKey(7, 1, 5)) == nil)
            #expect(try await store.get(testKey(8)) == bytes)
            #expect(try await store.get(testKey(6)) == bytes)
            try await store.delete([testKey(6), testKey(99)])
            #expect(await store.usage.shards == 1)
            await store.close()
        }
    }

    @Test func concurrentPutsShareFlushes() async throws {
        let scratch = try ScratchDirectory()
        let device = try FaultyDevice(RocksDBDevice(path: scratch.path))
        try await withEnvironment(device) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            let before = device.store.flushes.load(ordering: .relaxed)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<64 {
                    group.addTask {
                        try await store.put([
                            (testKey(UInt64(index)), testBytes(1000, seed: UInt64(index)))
                        ])
                    }
                }
                try await group.waitForAll()
            }
            #expect(await store.usage.shards == 64)
            #expect(device.store.flushes.load(ordering: .relaxed) - before <= 4)
            for index in 0..<64 {
                let bytes = try await store.get(testKey(UInt64(index)))
                #expect(bytes == testBytes(1000, seed: UInt64(index)))
            }
            await store.close()
        }
    }

    @Test func aPutBeyondTheQuotaIsRefusedAndReadsGoOn() async throws {
        let scratch = try ScratchDirectory()
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 250_000)
            let bytes = testBytes(100_000, seed: 1)
            try await store.put([(testKey(1), bytes), (testKey(2), bytes)])
            await #expect(throws: StoreError.noSpace) { try await store.put([(testKey(3), bytes)]) }
            #expect(try await store.get(testKey(1)) == bytes)
            #expect(await store.usage.free < 50_000)
            try await store.delete([testKey(2)])
            try await store.put([(testKey(3), bytes)])
            await store.close()
            await #expect(throws: StoreError.closed) { try await store.put([(testKey(4), [1])]) }
        }
    }

    @Test func aCrashKeepsEveryAcknowledgedShardAndTheStoreID() async throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        let image = "\(scratch.path)/image"
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let bytes = testBytes(105_000, seed: 9)
        let (id, used) = try await withEnvironment(RocksDBDevice(path: live)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            for segment in 0..<10 { try await store.put([(testKey(UInt64(segment)), bytes)]) }
            crashImage(of: live, in: image)
            let used = await store.usage
            await store.close()
            return (store.storeID, used)
        }
        try await withEnvironment(RocksDBDevice(path: image)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            #expect(store.storeID == id)
            #expect(await store.usage.used == used.used)
            #expect(await store.usage.shards == 10)
            for segment in 0..<10 {
                #expect(try await store.get(testKey(UInt64(segment))) == bytes)
            }
            await store.close()
        }
    }

    @Test func aWipedStoreGetsAnotherID() async throws {
        let scratch = try ScratchDirectory()
        let device = RocksDBDevice(path: scratch.path)
        try await withEnvironment(device) { environment in
            let first = try await ShardStore.open(environment, name: "a", allocated: 1)
            let second = try await ShardStore.open(environment, name: "b", allocated: 1)
            #expect(first.storeID != second.storeID)
            await first.close()
            await second.close()
        }
    }

    @Test func flippedBitsOnDiskAreCorruptNeverGarbage() async throws {
        let scratch = try ScratchDirectory()
        let bytes = testBytes(105_000, seed: 4)
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            try await store.put([(testKey(1), bytes)])
            await store.close()
        }
        let directory = "\(scratch.path)/shards/values"
        let files = ScratchDirectory.names(directory)
        #expect(!files.isEmpty)
        for name in files {
            var contents = readFile("\(directory)/\(name)")
            contents[contents.count / 2] ^= 1
            writeFile("\(directory)/\(name)", contents)
        }
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            let error = await #expect(throws: StoreError.self) { try await store.get(testKey(1)) }
            guard case .corrupt = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            // The caller replaces it.
            try await store.put([(testKey(1), bytes)])
            #expect(try await store.get(testKey(1)) == bytes)
            #expect(
                environment.metrics.exposition().contains(
                    "corrupt_shards_total{found_by=\"read\"} 1"))
            await store.close()
        }
    }

    @Test func aFailedFlushFailsItsPutsAndTheCountsStayRight() async throws {
        let scratch = try ScratchDirectory()
        let device = try FaultyDevice(RocksDBDevice(path: scratch.path))
        try await withEnvironment(device) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            let bytes = testBytes(2000, seed: 1)
            try await store.put([(testKey(1), bytes)])
            let used = await store.usage.used
            device.store.failsFlush.store(true, ordering: .relaxed)
            await #expect(throws: StoreError.noSpace) { try await store.put([(testKey(2), bytes)]) }
            #expect(try await store.get(testKey(1)) == bytes)
            device.store.failsFlush.store(false, ordering: .relaxed)
            try await store.put([(testKey(2), bytes)])
            #expect(await store.usage.shards == 2)
            #expect(await store.usage.used == 2 * used)
            await store.close()
        }
    }
}
