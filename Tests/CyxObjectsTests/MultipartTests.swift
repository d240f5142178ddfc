import CyxCore
import CyxCrypto
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

@Suite struct MultipartTests {
    private func part(
        _ number: Int, _ upload: String, _ bytes: [UInt8], _ world: ObjectWorld
    ) throws -> PartInfo {
        try world.perform { gateway in
            try await gateway.putPart(
                number, upload: upload, key: "key", in: "bucket", body: Pieces(bytes, of: 1 << 18))
        }
    }

    private func begin(_ world: ObjectWorld) throws -> String {
        try world.createBucket()
        return try world.perform { gateway in
            var options = PutOptions()
            options.headers = ["content-type": "image/png"]
            return try await gateway.createUpload("key", in: "bucket", options: options)
        }
    }

    private func complete(
        _ upload: String, _ parts: [PartInfo], _ world: ObjectWorld
    ) throws -> ObjectInfo {
        try world.perform { gateway in
            try await gateway.completeUpload(
                upload, key: "key", in: "bucket", parts: parts.map { ($0.number, $0.etag) })
        }
    }

    @Test func partsBecomeOneObject() throws {
        let world = try ObjectWorld(storers: 6)
        let upload = try begin(world)
        let pieces = [noise(5 << 20, seed: 1), noise((5 << 20) + 7, seed: 2), noise(9, seed: 3)]
        var parts: [PartInfo] = []
        for (index, bytes) in pieces.enumerated() {
            parts.append(try part(index + 1, upload, bytes, world))
        }
        _ = try part(7, upload, noise(100, seed: 9), world)
        let listed = try world.perform {
            try await $0.parts(upload: upload, key: "key", in: "bucket")
        }
        #expect(listed.map(\.number) == [1, 2, 3, 7])
        #expect(try world.perform { try await $0.uploads(in: "bucket") }.map(\.id) == [upload])
        #expect(throws: ObjectError.noSuchKey) { try world.get("key") }
        let info = try complete(upload, parts, world)
        #expect(info.etag.hasSuffix("-3"))
        #expect(info.headers == ["content-type": "image/png"])
        #expect(try world.get("key") == pieces.flatMap { $0 })
        #expect(try world.perform { try await $0.uploads(in: "bucket") }.isEmpty)
        // A retry of the completion finds what the first one made.
        #expect(try complete(upload, parts, world).etag == info.etag)
    }

    /// What a gateway keeps with parts comes back with the object: their sizes, the checksum of the
    /// object's algorithm, and nonces.
    @Test func anObjectTellsOfItsParts() throws {
        let world = try ObjectWorld(storers: 3)
        let upload = try begin(world)
        var parts: [PartInfo] = []
        for (number, size) in [(3, 5 << 20), (8, 10)] {
            parts.append(
                try world.perform { gateway in
                    var options = PartOptions()
                    options.checksumsAtEnd = {
                        ["crc32": Base64.encode([0, 0, 0, UInt8(number)]), "sha1": "AAAA"]
                    }
                    options.nonce = [UInt8(number)]
                    options.prepare = { upload in
                        #expect(upload.headers == ["content-type": "image/png"])
                        return Pieces(noise(size, seed: UInt64(number)), of: 1 << 18)
                    }
                    return try await gateway.putPart(
                        number, upload: upload, key: "key", in: "bucket", options: options,
                        body: Pieces([1, 2, 3], of: 1))
                })
        }
        #expect(parts[0].checksums["crc32"] == Base64.encode([0, 0, 0, 3]))
        let chosen = parts.map { ($0.number, $0.etag) }
        let info = try world.perform { gateway in
            var options = CompletionOptions()
            options.checksums = { found in
                #expect(found.map(\.number) == [3, 8])
                return ["crc32": "joined"]
            }
            return try await gateway.completeUpload(
                upload, key: "key", in: "bucket", parts: chosen, options: options)
        }
        #expect(info.checksums == ["crc32": "joined"])
        let found = try world.perform { try await $0.head("key", in: "bucket") }
        #expect(
            found.parts == [
                ObjectPart(
                    number: 3, size: 5 << 20,
                    checksums: ["crc32": Base64.encode([0, 0, 0, 3])], nonce: [3]),
                ObjectPart(
                    number: 8, size: 10, checksums: ["crc32": Base64.encode([0, 0, 0, 8])],
                    nonce: [8]),
            ])
        #expect(try world.get("key") == noise(5 << 20, seed: 3) + noise(10, seed: 8))
        let listed = try world.perform { try await $0.list("bucket", ListRequest()) }
        #expect(listed.objects.map(\.parts) == [[]])
    }

    @Test func aCompletionMayHaveAConditionAndRefuseItsParts() throws {
        struct Refusal: Error {}
        let world = try ObjectWorld(storers: 3)
        let upload = try begin(world)
        let info = try part(1, upload, noise(100), world)
        let chosen = [(info.number, info.etag)]
        func complete(_ options: CompletionOptions) throws -> ObjectInfo {
            try world.perform { gateway in
                try await gateway.completeUpload(
                    upload, key: "key", in: "bucket", parts: chosen, options: options)
            }
        }
        var options = CompletionOptions()
        options.checksums = { _ in throw Refusal() }
        #expect(throws: Refusal.self) { _ = try complete(options) }
        options = CompletionOptions()
        options.condition = .matches(etag: "*")
        #expect(throws: ObjectError.noSuchKey) { _ = try complete(options) }
        // Neither changed anything: the upload still takes parts.
        _ = try part(2, upload, noise(100), world)
        options.condition = .absent
        #expect(try complete(options).size == 100)
    }

    @Test func wrongCompletionsAreRefused() throws {
        let world = try ObjectWorld(storers: 3)
        let upload = try begin(world)
        let small = try part(1, upload, noise(100), world)
        let second = try part(2, upload, noise(200), world)
        #expect(throws: ObjectError.partTooSmall(number: 1, size: 100)) {
            _ = try complete(upload, [small, second], world)
        }
        #expect(throws: ObjectError.invalidPart("part 1 is not in ascending order")) {
            _ = try complete(upload, [second, small], world)
        }
        var forged = small
        forged.etag = "00"
        #expect(throws: ObjectError.invalidPart("part 1 is missing or has another ETag")) {
            _ = try complete(upload, [forged], world)
        }
        #expect(throws: ObjectError.noSuchUpload) {
            _ = try complete(String(repeating: "0", count: 32), [small], world)
        }
    }

    @Test func anAbortedUploadIsGoneAndFreesItsParts() throws {
        let world = try ObjectWorld(storers: 3)
        let upload = try begin(world)
        let info = try part(1, upload, noise(2_000_000), world)
        try world.perform { try await $0.abortUpload(upload, key: "key", in: "bucket") }
        #expect(throws: ObjectError.noSuchUpload) { _ = try part(1, upload, [1], world) }
        #expect(throws: ObjectError.noSuchUpload) { _ = try complete(upload, [info], world) }
        world.world.run(for: .seconds(10))
        for node in world.nodes {
            let store = world.store(node)
            #expect(try world.world.perform(on: node.peer) { await store.usage }.shards == 0)
        }
    }

    /// An upload whose head was written when its gateway failed, and its one part.
    private func interrupted(_ world: ObjectWorld) throws -> (upload: String, part: PartInfo) {
        let upload = try begin(world)
        let info = try part(1, upload, noise(50_000), world)
        let uploads = world.shared
        let before = uploads.state.withLock { $0.writes.count }
        // The register may go to `completing`, but not to `done`.
        uploads.state.withLock {
            $0.fault = { key, isWrite in
                guard isWrite, key.table == .uploads else { return nil }
                let isFirst = uploads.writesSince(before, .uploads) == 0
                return isFirst ? nil : .unavailable("no quorum")
            }
        }
        #expect(throws: ObjectError.unavailable("no quorum")) {
            _ = try complete(upload, [info], world)
        }
        uploads.state.withLock { $0.fault = nil }
        #expect(try world.get("key") == noise(50_000))
        return (upload, info)
    }

    @Test func aCompletionInterruptedAfterItsHeadCanBeRepeated() throws {
        let world = try ObjectWorld(storers: 3)
        let (upload, info) = try interrupted(world)
        #expect(try complete(upload, [info], world).size == 50_000)
        #expect(try world.get("key") == noise(50_000))
    }

    @Test func aCompletionThatGotThroughCannotBeAborted() throws {
        let world = try ObjectWorld(storers: 3)
        let (upload, info) = try interrupted(world)
        #expect(throws: ObjectError.noSuchUpload) {
            try world.perform { try await $0.abortUpload(upload, key: "key", in: "bucket") }
        }
        #expect(try world.perform { try await $0.uploads(in: "bucket") }.isEmpty)
        #expect(try complete(upload, [info], world).size == 50_000)
        #expect(try world.get("key") == noise(50_000))
    }

    @Test func aCompletionThatNeverGotThroughCanBeAborted() throws {
        let world = try ObjectWorld(storers: 3)
        let upload = try begin(world)
        let info = try part(1, upload, noise(50_000), world)
        world.shared.state.withLock {
            $0.fault = { key, isWrite in
                isWrite && key.table == .heads ? .unavailable("no quorum") : nil
            }
        }
        #expect(throws: ObjectError.unavailable("no quorum")) {
            _ = try complete(upload, [info], world)
        }
        world.shared.state.withLock { $0.fault = nil }
        #expect(try world.perform { try await $0.uploads(in: "bucket") }.map(\.id) == [upload])
        try world.perform { try await $0.abortUpload(upload, key: "key", in: "bucket") }
        #expect(try world.perform { try await $0.uploads(in: "bucket") }.isEmpty)
        #expect(throws: ObjectError.noSuchUpload) { _ = try complete(upload, [info], world) }
        #expect(throws: ObjectError.noSuchKey) { _ = try world.get("key") }
    }

    @Test func twoCompletionsAtOnceAreOne() throws {
        let world = try ObjectWorld(storers: 3)
        let upload = try begin(world)
        let info = try part(1, upload, noise(50_000), world)
        let environment = world.gatewayNode.peer.environment
        let isFirst = Mutex(true)
        world.shared.state.withLock {
            $0.stall = { key, isWrite in
                guard isWrite, key.table == .heads, isFirst.withLock({ $0.exchange(false) }) else {
                    return
                }
                do { try await environment.sleep(for: .seconds(2)) } catch {}
            }
        }
        let etags = try world.perform { gateway in
            async let slow = gateway.completeUpload(
                upload, key: "key", in: "bucket", parts: [(1, info.etag)])
            try await environment.sleep(for: .seconds(1))
            let fast = try await gateway.completeUpload(
                upload, key: "key", in: "bucket", parts: [(1, info.etag)])
            return [fast.etag, try await slow.etag]
        }
        #expect(etags[0] == etags[1])
        // Whatever the loser left behind is cleaned up, and nothing else.
        world.world.run(for: .seconds(20))
        try world.startGateway()
        #expect(try world.get("key") == noise(50_000))
    }

    @Test func aCompletionIsNotRepeatedOverWhatReplacedIt() throws {
        let world = try ObjectWorld(storers: 3)
        let (upload, info) = try interrupted(world)
        _ = try world.put("key", noise(60_000, seed: 2))
        world.world.run(for: .seconds(10))
        #expect(throws: ObjectError.noSuchUpload) { _ = try complete(upload, [info], world) }
        #expect(try world.get("key") == noise(60_000, seed: 2))
    }

    @Test func aCompletionIsNotRepeatedAfterADeletion() throws {
        let world = try ObjectWorld(storers: 3)
        let (upload, info) = try interrupted(world)
        try world.perform { try await $0.delete("key", in: "bucket") }
        world.world.run(for: .seconds(10))
        #expect(throws: ObjectError.noSuchUpload) { _ = try complete(upload, [info], world) }
        #expect(throws: ObjectError.noSuchKey) { _ = try world.get("key") }
    }
}

extension Bool {
    /// Sets it and returns what it was.
    fileprivate mutating func exchange(_ value: Bool) -> Bool {
        defer { self = value }
        return self
    }
}

extension FakeTables.Shared {
    func writesSince(_ count: Int, _ table: TableID) -> Int {
        state.withLock { $0.writes.dropFirst(count).count { $0.table == table } }
    }
}
