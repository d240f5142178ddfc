import CyxCore
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

@Suite struct BucketTests {
    @Test func bucketsAreMadeListedAndDeleted() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        _ = try world.perform { try await $0.createBucket("another") }
        #expect(try world.perform { try await $0.buckets() }.map(\.name) == ["another", "bucket"])
        #expect(throws: ObjectError.bucketExists) { try world.createBucket() }
        _ = try world.put("key", [1, 2, 3])
        #expect(throws: ObjectError.bucketNotEmpty) {
            try world.perform { try await $0.deleteBucket("bucket") }
        }
        #expect(try world.get("key") == [1, 2, 3])
        try world.perform { try await $0.delete("key", in: "bucket") }
        try world.perform { try await $0.deleteBucket("bucket") }
        #expect(throws: ObjectError.noSuchBucket) { try world.get("key") }
        #expect(try world.perform { try await $0.buckets() }.map(\.name) == ["another"])
        try world.createBucket()
        #expect(throws: ObjectError.noSuchKey) { try world.get("key") }
    }

    /// Others ask for the bucket all the time, also while it changes.
    @Test(arguments: 0..<8)
    func changedAndDeletedBucketsAreSeenAtOnce(seed: Int) throws {
        let world = try ObjectWorld(storers: 1)
        let environment = world.gatewayNode.peer.environment
        let stale = try world.perform { gateway in
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        for _ in 0..<400 {
                            try await environment.sleep(for: .microseconds(60 + 7 * seed))
                            _ = try? await gateway.bucket("bucket")
                        }
                        return []
                    }
                }
                group.addTask {
                    var stale: [String] = []
                    for round in 0..<12 {
                        _ = try await gateway.createBucket("bucket")
                        for versioning in [BucketVersioning.enabled, .suspended] {
                            _ = try await gateway.updateBucket("bucket") {
                                $0.versioning = versioning
                            }
                            let found = try await gateway.bucket("bucket").settings.versioning
                            if found != versioning { stale.append("\(round): \(found)") }
                        }
                        try await gateway.deleteBucket("bucket")
                        do {
                            _ = try await gateway.bucket("bucket")
                            stale.append("\(round): deleted, and there")
                        } catch ObjectError.noSuchBucket {}
                    }
                    return stale
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
        }
        #expect(stale.isEmpty)
    }

    /// What such a read found would else be told for as long as buckets are remembered.
    @Test(arguments: [true, false])
    func whatAChangeHasOvertakenIsNotRemembered(isDeleted: Bool) throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        let environment = world.gatewayNode.peer.environment
        let isFirst = Atomic<Bool>(true)
        world.shared.state.withLock {
            $0.lag = { _ in
                guard isFirst.exchange(false, ordering: .relaxed) else { return }
                try? await environment.sleep(for: .seconds(1))
            }
        }
        let found = try world.perform { gateway in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await gateway.bucket("bucket") }
                try await environment.sleep(for: .milliseconds(500))
                if isDeleted {
                    try await gateway.deleteBucket("bucket")
                } else {
                    _ = try await gateway.updateBucket("bucket") { $0.versioning = .enabled }
                }
                try await group.waitForAll()
            }
            return try? await gateway.bucket("bucket").settings.versioning
        }
        #expect(found == (isDeleted ? nil : .enabled))
        let wasOvertaken = !isFirst.load(ordering: .relaxed)
        #expect(wasOvertaken)
    }

    @Test func listingsFollowPrefixDelimiterAndPages() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        let keys = ["a", "dir/1", "dir/2", "dir/sub/3", "dir2/x", "z", "Z", "\u{e9}", "e\u{301}"]
        for key in keys { _ = try world.put(key, Array(key.utf8)) }
        let list = { (request: ListRequest) in
            try world.perform { try await $0.list("bucket", request) }
        }
        var request = ListRequest()
        let all = try list(request).objects.map { Array($0.key.utf8) }
        #expect(all == keys.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })

        request.delimiter = "/"
        var page = try list(request)
        #expect(page.commonPrefixes == ["dir/", "dir2/"])
        #expect(page.objects.map(\.key).filter { $0.utf8.count == 1 } == ["Z", "a", "z"])

        request.prefix = "dir/"
        page = try list(request)
        #expect(page.objects.map(\.key) == ["dir/1", "dir/2"])
        #expect(page.commonPrefixes == ["dir/sub/"])

        request = ListRequest()
        request.delimiter = "/"
        request.limit = 2
        var seen: [[UInt8]] = []
        var pages = 0
        while true {
            let page = try list(request)
            #expect(page.objects.count + page.commonPrefixes.count <= 2)
            seen += (page.objects.map(\.key) + page.commonPrefixes).map { Array($0.utf8) }
            pages += 1
            guard let marker = page.nextMarker else { break }
            request.startAfter = marker
        }
        #expect(pages == 4)
        #expect(Set(seen).count == 7 && seen.count == 7)
    }

    /// What one listing learns must not hide rows from another that began before.
    @Test func listingsAtOnceMissNothing() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        for key in ["kept", "replaced"] { _ = try world.put(key, [1]) }
        let environment = world.gatewayNode.peer.environment
        let listed = try world.perform { gateway in
            try await withThrowingTaskGroup(of: Set<[String]>.self) { group in
                for number in 0..<4 {
                    group.addTask {
                        for round in 0..<40 {
                            try await environment.sleep(for: .microseconds(200))
                            _ = try await gateway.put(
                                ["kept", "replaced"][number % 2], in: "bucket",
                                options: PutOptions(), body: Pieces([UInt8(round)], of: 1))
                        }
                        return []
                    }
                    group.addTask {
                        var seen: Set<[String]> = []
                        for _ in 0..<100 {
                            try await environment.sleep(for: .microseconds(100))
                            let page = try await gateway.list("bucket", ListRequest())
                            seen.insert(page.objects.map(\.key))
                        }
                        return seen
                    }
                }
                return try await group.reduce(into: Set<[String]>()) { $0.formUnion($1) }
            }
        }
        #expect(listed == [["kept", "replaced"]])
    }

    @Test func conditionsDecideInsideTheCommit() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        var absent = PutOptions()
        absent.condition = .absent
        let first = try world.put("key", [1], options: absent)
        #expect(throws: ObjectError.preconditionFailed) {
            _ = try world.put("key", [2], options: absent)
        }
        var matching = PutOptions()
        matching.condition = .matches(etag: first.etag)
        _ = try world.put("key", [3], options: matching)
        #expect(throws: ObjectError.preconditionFailed) {
            _ = try world.put("key", [4], options: matching)
        }
        #expect(try world.get("key") == [3])
    }

    /// Both find nothing before they store their bodies, and one is refused at its commit.
    @Test(arguments: [30_000, 300_000])
    func whatIsRefusedAtItsCommitLeavesNothing(size: Int) throws {
        let world = try ObjectWorld(storers: 4, upkeep: true, timings: .hastyCollection)
        try world.createBucket()
        let refused = try world.perform { gateway in
            await withTaskGroup(of: Bool.self) { group in
                for seed in 1...2 as ClosedRange<UInt64> {
                    group.addTask {
                        var options = PutOptions()
                        options.condition = .absent
                        do {
                            _ = try await gateway.put(
                                "key", in: "bucket", options: options,
                                body: FixedBytes(noise(size, seed: seed)))
                        } catch { return error as? ObjectError == .preconditionFailed }
                        return false
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
        }
        #expect(refused == 1)
        world.world.run(for: .seconds(20))
        #expect(
            world.rows()
                == [.heads: 1, .layouts: 1, .segments: 1, .holders: 1, .references: 1])
    }

    @Test func headersAndLateChecksumsComeBack() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        var options = PutOptions()
        options.headers = ["content-type": "text/plain", "x-amz-meta-a": "b"]
        options.checksums = ["crc32": "AAAA"]
        options.checksumsAtEnd = { ["sha256": "BBBB"] }
        let info = try world.put("key", Array("hello world".utf8), options: options)
        #expect(info.headers == options.headers)
        #expect(info.checksums == ["crc32": "AAAA", "sha256": "BBBB"])
        // md5 of "hello world", RFC 1321's algorithm as coreutils computes it.
        #expect(info.etag == "5eb63bbbe01eeed093cb22bb8f5acdc3")
    }

    @Test func replacedAndDeletedObjectsFreeTheirShards() throws {
        let world = try ObjectWorld(storers: 6)
        try world.createBucket()
        for seed in 1...3 { _ = try world.put("key", noise(1_000_000, seed: UInt64(seed))) }
        #expect(try world.get("key") == noise(1_000_000, seed: 3))
        try world.perform { try await $0.delete("key", in: "bucket") }
        world.world.run(for: .seconds(10))
        for node in world.nodes {
            let store = world.store(node)
            #expect(try world.world.perform(on: node.peer) { await store.usage }.shards == 0)
        }
    }
}
