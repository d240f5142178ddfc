import CyxCore
import CyxStorage
import Glibc
import Synchronization
import Testing

/// Puts that wait for no flush, and the durable put that ends them.
struct BufferedPutTests {
    @Test func bufferedPutsAreReadAndCountedWithoutAFlush() async throws {
        let scratch = try ScratchDirectory()
        let device = try FaultyDevice(RocksDBDevice(path: scratch.path))
        try await withEnvironment(device) { environment in
            let store = try await ShardStore.open(environment, allocated: 1_100_000)
            let before = device.store.flushes.load(ordering: .relaxed)
            let bytes = testBytes(100_000, seed: 1)
            for chunk in 0..<10 {
                try await store.put([(testKey(1, 0, UInt32(chunk)), bytes)], durable: false)
            }
            #expect(device.store.flushes.load(ordering: .relaxed) == before)
            #expect(try await store.get(testKey(1, 0, 9)) == bytes)
            #expect(await store.usage.used > 1_000_000)
            #expect(await store.usage.shards == 10)
            await #expect(throws: StoreError.noSpace) {
                try await store.put([(testKey(2), bytes)], durable: false)
            }
            try await store.put([(testKey(3), [1])])
            #expect(device.store.flushes.load(ordering: .relaxed) == before + 1)
            await store.close()
        }
    }

    @Test func whatIsBufferedIsBounded() async throws {
        let scratch = try ScratchDirectory()
        let device = try FaultyDevice(RocksDBDevice(path: scratch.path))
        try await withEnvironment(device) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            let before = device.store.flushes.load(ordering: .relaxed)
            let bytes = testBytes(1 << 20, seed: 1)
            let count = 3 * Int(ShardStore.maximumBufferedBytes) / bytes.count
            for chunk in 0..<count {
                try await store.put([(testKey(1, 0, UInt32(chunk)), bytes)], durable: false)
            }
            let flushes = device.store.flushes.load(ordering: .relaxed) - before
            #expect(flushes == 3)
            await store.close()
        }
    }

    @Test func aDurablePutMakesTheBufferedOnesBeforeItDurable() async throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        let images = ["power", "early", "late"].map { "\(scratch.path)/\($0)" }
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let bytes = testBytes(105_000, seed: 9)
        let used = try await withEnvironment(RocksDBDevice(path: live)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            try await store.put([(testKey(7), bytes)])
            let flushed = logTail("\(live)/shards").size
            var epoch: WriteEpoch?
            for chunk in 0..<20 {
                epoch = try await store.put(
                    [(testKey(1, 0, UInt32(chunk)), bytes)], durable: false, since: epoch)
            }
            // A power cut takes what was not flushed, a crash of the process alone does not.
            crashImage(of: live, in: images[0])
            truncate(logTail("\(images[0])/shards").name, off_t(flushed))
            crashImage(of: live, in: images[1])
            try await store.put([(testKey(1, 0, 20), bytes)], since: epoch)
            crashImage(of: live, in: images[2])
            let used = await store.usage.used
            await store.close()
            return used
        }
        for (image, survivors) in zip(images, [0, 20, 21]) {
            try await withEnvironment(RocksDBDevice(path: image)) { environment in
                let store = try await ShardStore.open(environment, allocated: 1 << 30)
                #expect(try await store.get(testKey(7)) == bytes)
                let listed = try await store.list(testKey(1).segment)
                #expect(listed.count == survivors)
                #expect(await store.usage.shards == Int64(listed.count + 1))
                #expect(await (store.usage.used == used) == (survivors == 21))
                for entry in listed { #expect(try await store.get(entry.key) == bytes) }
                await store.close()
            }
        }
    }

    @Test func aFailureBetweenBufferingAndTheDurablePutFailsIt() async throws {
        let scratch = try ScratchDirectory()
        let device = try FaultyDevice(RocksDBDevice(path: scratch.path))
        try await withEnvironment(device) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 30)
            let bytes = testBytes(2000, seed: 1)
            let epoch = try await store.put([(testKey(1), bytes)], durable: false)
            device.store.failsFlush.store(true, ordering: .relaxed)
            await #expect(throws: StoreError.noSpace) { try await store.put([(testKey(2), bytes)]) }
            device.store.failsFlush.store(false, ordering: .relaxed)
            // Another put's flush succeeds: no word about what was buffered before the failure.
            try await store.put([(testKey(3), bytes)])
            await #expect(throws: StoreError.self) {
                try await store.put([(testKey(1, 0, 1), bytes)], since: epoch)
            }
            #expect(try await store.get(testKey(1, 0, 1)) == nil)
            let fresh = try await store.put([(testKey(4), bytes)], durable: false)
            try await store.put([(testKey(4, 0, 1), bytes)], since: fresh)
            await store.close()
        }
    }
}
