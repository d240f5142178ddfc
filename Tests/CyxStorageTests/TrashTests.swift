import CyxCore
import CyxStorage
import Testing

/// Deleted shards stay for a while, and what is used, in the trash and free makes what is allocated.
struct TrashTests {
    @Test func whatIsTrashedIsNotServedAndComesBackWhole() async throws {
        let scratch = try ScratchDirectory()
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 20)
            let bytes = testBytes(5000, seed: 1)
            try await store.put([(testKey(1, 0, 0), bytes), (testKey(1, 0, 1), bytes)])
            try await store.put([(testKey(2), bytes)])
            let before = await store.usage
            try await store.trash(testKey(1).segment, .ordered)
            #expect(try await store.get(testKey(1, 0, 1)) == nil)
            #expect(try await store.list(testKey(1).segment).isEmpty)
            #expect(try await store.get(testKey(2)) == bytes)
            let trashed = await store.usage
            #expect(trashed.shards == 1 && trashed.trashShards == 2)
            #expect(trashed.used + trashed.trash == before.used)
            let entries = try await store.trash(limit: 10)
            #expect(entries.map(\.key) == [testKey(1, 0, 0), testKey(1, 0, 1)])
            #expect(entries.allSatisfy { $0.mark.reason == .ordered })
            try await store.restore(testKey(1).segment)
            #expect(await store.usage == before)
            #expect(try await store.get(testKey(1, 0, 1)) == bytes)
            #expect(try await store.trash(limit: 10).isEmpty)
            await store.close()
        }
    }

    @Test func whatIsPurgedIsGoneAndAPutOfTheSameShardReplacesIt() async throws {
        let scratch = try ScratchDirectory()
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 1 << 20)
            let bytes = testBytes(5000, seed: 1)
            let other = testBytes(300, seed: 2)
            try await store.put([(testKey(1), bytes), (testKey(2), bytes)])
            try await store.trash(testKey(1).segment, .unregistered)
            try await store.trash(testKey(2).segment, .unregistered)
            try await store.put([(testKey(1), other)])
            // The entry went with the put: neither purging nor restoring touches what is new.
            try await store.purge([testKey(1), testKey(2)])
            try await store.restore(testKey(1).segment)
            try await store.restore(testKey(2).segment)
            #expect(try await store.get(testKey(1)) == other)
            #expect(try await store.get(testKey(2)) == nil)
            let usage = await store.usage
            #expect(usage.trash == 0 && usage.trashShards == 0 && usage.shards == 1)
            await store.close()
        }
    }

    @Test func theOldestTrashGivesWayToAPut() async throws {
        let scratch = try ScratchDirectory()
        try await withEnvironment(RocksDBDevice(path: scratch.path)) { environment in
            let store = try await ShardStore.open(environment, allocated: 350_000)
            let bytes = testBytes(100_000, seed: 1)
            for segment in UInt64(1)...3 {
                try await store.put([(testKey(segment), bytes)])
                try await store.trash(testKey(segment).segment, .ordered)
                try await environment.sleep(for: .milliseconds(2))
            }
            #expect(await store.usage.available > 300_000)
            try await store.put([(testKey(4), bytes)])
            let kept = try await store.trash(limit: 10).map(\.key)
            #expect(kept == [testKey(2), testKey(3)])
            await #expect(throws: StoreError.noSpace) {
                try await store.put([(testKey(5), bytes), (testKey(6), bytes), (testKey(7), bytes)])
            }
            await store.close()
        }
    }

    /// Random operations, alone and at once, and restarts: at every step the sizes of what is listed
    /// make the totals, and the totals make the quota.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func usedTrashAndFreeMakeWhatIsAllocatedAtEveryStep(seed: UInt64) async throws {
        let scratch = try ScratchDirectory()
        let device = RocksDBDevice(path: scratch.path)
        try await withEnvironment(device) { environment in
            var random = SeededGenerator(seed: seed)
            var store = try await ShardStore.open(environment, allocated: 400_000)
            for step in 0..<120 {
                let live = store
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<Int.random(in: 1...4, using: &random) {
                        let choice = Int.random(in: 0..<8, using: &random)
                        let segment = UInt64.random(in: 0..<6, using: &random)
                        let chunk = UInt32.random(in: 0..<3, using: &random)
                        let size = Int.random(in: 1...40_000, using: &random)
                        group.addTask {
                            await TrashTests.act(live, choice, testKey(segment, 0, chunk), size)
                        }
                    }
                }
                try await TrashTests.check(store, allocated: 400_000, "seed \(seed) step \(step)")
                if step % 40 == 39 {
                    await store.close()
                    store = try await ShardStore.open(environment, allocated: 400_000)
                    try await TrashTests.check(store, allocated: 400_000, "after a restart")
                }
            }
            await store.close()
        }
    }

    private static func act(
        _ store: ShardStore, _ choice: Int, _ key: ShardKey, _ size: Int
    ) async {
        do throws(StoreError) {
            switch choice {
            case 0...2: try await store.put([(key, testBytes(size, seed: UInt64(size)))])
            case 3: try await store.delete([key])
            case 4: try await store.delete(segment: key.segment)
            case 5: try await store.trash(key.segment, .ordered)
            case 6: try await store.restore(key.segment)
            default: try await store.purge([key])
            }
        } catch { #expect(error == .noSpace) }
    }

    private static func check(
        _ store: ShardStore, allocated: Int64, _ comment: Comment
    ) async throws {
        let usage = await store.usage
        #expect(usage.used + usage.trash + usage.free == allocated, comment)
        #expect(usage.free >= 0, comment)
        let overhead: Int64 = 192
        let here = try await store.list(after: nil, limit: 1000)
        #expect(usage.used == here.reduce(0) { $0 + $1.size + overhead }, comment)
        #expect(usage.shards == Int64(here.count), comment)
        let trash = try await store.trash(limit: 1000)
        #expect(usage.trash == trash.reduce(0) { $0 + $1.bytes }, comment)
        #expect(usage.trashShards == Int64(trash.count), comment)
        #expect(Set(trash.map(\.key)).isDisjoint(with: here.map(\.key)), comment)
        for entry in here { #expect(try await store.get(entry.key) != nil, comment) }
    }
}
