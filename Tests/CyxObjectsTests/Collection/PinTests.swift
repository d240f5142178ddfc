import CyxCore
import CyxCrypto
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// A pinned version stays whatever becomes of its key, and goes when nothing needs it any more.
@Suite struct PinTests {
    private func world() throws -> ObjectWorld {
        let world = try ObjectWorld(storers: 4, upkeep: true, timings: .hastyCollection)
        try world.createBucket()
        return world
    }

    private func pin(
        _ world: ObjectWorld, _ key: String = "key", for span: Duration? = nil
    ) throws -> PinInfo {
        try world.perform { try await $0.pin(key, in: "bucket", for: span) }
    }

    private func get(
        _ world: ObjectWorld, pin id: String, _ range: ByteRange = .whole
    ) throws -> [UInt8] {
        try world.perform { gateway in
            var body = try await gateway.get(pin: id, range: range).source
            var bytes: [UInt8] = []
            while let piece = try await body.next() { bytes += piece }
            return bytes
        }
    }

    @Test(arguments: [100, 5000, 2_500_000])
    func aPinnedVersionOutlivesItsKeyAndItsBucket(size: Int) throws {
        let world = try world()
        let bytes = noise(size)
        var options = PutOptions()
        options.headers = ["content-type": "text/plain"]
        let written = try world.put("key", bytes, options: options)
        let used = try world.usage().used
        let pin = try pin(world)
        #expect(pin.key == "key" && pin.bucket == "bucket" && pin.size == UInt64(size))
        #expect(pin.etag == written.etag && pin.until == nil)
        try world.perform { gateway in
            try await gateway.delete("key", in: "bucket")
            try await gateway.deleteBucket("bucket")
        }
        world.world.run(for: .seconds(60))
        // Also to a gateway that remembers nothing.
        world.gatewayNode.peer.crash()
        try world.startGateway()
        #expect(try get(world, pin: pin.id) == bytes)
        let range = ByteRange.from(7, through: 90)
        #expect(try get(world, pin: pin.id, range) == Array(bytes[7...90]))
        #expect(try world.perform { try await $0.head(pin: pin.id) } == written)
        // Nothing was copied.
        #expect(try world.usage() == (used, 0))
        try world.perform { try await $0.unpin(pin.id) }
        #expect(throws: ObjectError.noSuchPin) { try get(world, pin: pin.id) }
        #expect(throws: ObjectError.noSuchPin) { try world.perform { try await $0.unpin(pin.id) } }
        world.world.run(for: .seconds(20))
        #expect(try world.usage() == (0, 0))
        #expect(world.rows() == [:])
    }

    @Test func everyPinCountsByItself() throws {
        let world = try world()
        let (old, new) = (noise(300_000, seed: 1), noise(200_000, seed: 2))
        _ = try world.put("key", old)
        let pins = try [pin(world), pin(world)]
        _ = try world.put("key", new)
        let third = try pin(world)
        world.world.run(for: .seconds(60))
        let listed = try world.perform { try await $0.pins(after: nil) }
        #expect(listed.next == nil)
        #expect(Set(listed.pins) == Set(pins + [third]))
        try world.perform { try await $0.unpin(pins[0].id) }
        world.world.run(for: .seconds(60))
        #expect(try get(world, pin: pins[1].id) == old)
        try world.perform { try await $0.unpin(pins[1].id) }
        world.world.run(for: .seconds(60))
        #expect(world.rows()[.segments] == 1)
        #expect(try get(world, pin: third.id) == new)
        // The object itself needs no pin.
        try world.perform { try await $0.unpin(third.id) }
        world.world.run(for: .seconds(60))
        #expect(try world.get("key") == new)
        #expect(world.referenceCount == 1)
    }

    /// A manifest of pages, and two segments.
    @Test func aLargeVersionIsPinnedAsWell() throws {
        let world = try world()
        let bytes = [UInt8](repeating: 7, count: 101 << 20)
        _ = try world.put("key", bytes, piece: 1 << 20)
        let pin = try pin(world)
        try world.perform { try await $0.delete("key", in: "bucket") }
        world.world.run(for: .seconds(60))
        #expect(world.rows()[.manifests] == 1)
        let range = ByteRange.from(100 << 20, through: nil)
        #expect(try get(world, pin: pin.id, range) == Array(bytes.suffix(1 << 20)))
        try world.perform { try await $0.unpin(pin.id) }
        world.world.run(for: .seconds(20))
        #expect(world.rows() == [:])
    }

    @Test func aPinEndsWithItsTime() throws {
        let world = try world()
        _ = try world.put("key", noise(300_000))
        _ = try world.put("small", noise(300))
        let lasting = try pin(world, for: .seconds(600))
        let pins = try [pin(world, for: .seconds(40)), pin(world, "small", for: .seconds(40))]
        for key in ["key", "small"] { try world.perform { try await $0.delete(key, in: "bucket") } }
        world.world.run(for: .seconds(30))
        #expect(try get(world, pin: pins[0].id) == noise(300_000))
        #expect(try get(world, pin: pins[1].id) == noise(300))
        world.world.run(for: .seconds(11))
        for pin in pins {
            #expect(throws: ObjectError.noSuchPin) { try get(world, pin: pin.id) }
        }
        world.world.run(for: .seconds(10))
        #expect(world.rows()[.pins] == 1)
        #expect(try get(world, pin: lasting.id) == noise(300_000))
    }

    @Test func thereIsNothingToPin() throws {
        let world = try world()
        #expect(throws: ObjectError.noSuchKey) { try pin(world) }
        for id in ["", "xyz", String(repeating: "0", count: 32)] {
            #expect(throws: ObjectError.noSuchPin) { try get(world, pin: id) }
        }
        #expect(world.rows() == [:])
    }

    /// Gives the only segment that state, as a collector would, and returns it.
    private func condemn(_ world: ObjectWorld, _ state: SegmentState) throws -> SegmentID {
        let segment = try #require(world.holders().first?.segment)
        let key = ObjectRows.core(segment)
        let signing = AccountKeys(seed: [UInt8](repeating: 77, count: 32)).signing
        try world.shared.state.withLock { shared in
            let row = try SignedRow(protobuf: shared.registers[key]?.value ?? [])
            var core = try SegmentCore(protobuf: row.payload)
            core.state = state
            core.condemnation = [1]
            shared.registers[key]?.value = Rows.sign(core.protobufBytes(), at: key, with: signing)
        }
        return segment
    }

    @Test func aVersionOnItsWayOutIsNotPinned() throws {
        let world = try world()
        _ = try world.put("key", noise(300_000))
        _ = try condemn(world, .condemned)
        do {
            _ = try pin(world)
            Issue.record("it was pinned")
        } catch let ObjectError.unavailable(reason) {
            #expect(reason.contains("pin the object again"), "\(reason)")
        }
        world.world.run(for: .seconds(5))
        #expect(world.referenceCount <= 1)
        #expect(world.rows()[.pins] == nil && world.rows()[.layouts] == 1)
    }

    /// It may have read the references already: what is pinned then must not count on its own.
    @Test func aPinWaitsForACollectorThatLooks() throws {
        let world = try world()
        _ = try world.put("key", noise(300_000))
        let segment = try condemn(world, .condemning)
        let pin = try pin(world)
        let life = try world.shared.state.withLock { shared in
            let row = try SignedRow(
                protobuf: shared.registers[ObjectRows.core(segment)]?.value ?? [])
            return try SegmentCore(protobuf: row.payload).state
        }
        #expect(life == .live)
        try world.perform { try await $0.delete("key", in: "bucket") }
        world.world.run(for: .seconds(60))
        #expect(try get(world, pin: pin.id) == noise(300_000))
    }

    /// Removing an object and pinning it at the same time: the pin stands, or there is none.
    @Test(arguments: Array(0..<30))
    func aPinAgainstADeletion(milliseconds: Int) throws {
        let world = try world()
        let bytes = noise(700_000)
        _ = try world.put("key", bytes)
        let environment = world.gatewayNode.peer.environment
        world.shared.state.withLock { state in
            state.stall = { _, _ in
                do { try await environment.sleep(for: .milliseconds(1)) } catch {}
            }
        }
        let gateway = world.gateway
        let made = Mutex<PinInfo?>(nil)
        _ = world.world.spawn(world.gatewayNode.peer) {
            let pin = try await gateway.pin("key", in: "bucket", for: nil)
            made.withLock { $0 = pin }
        }
        world.world.run(for: .milliseconds(milliseconds))
        try world.perform { try await $0.delete("key", in: "bucket") }
        world.world.run(for: .seconds(60))
        guard let pin = made.withLock({ $0 }) else {
            #expect(world.rows() == [:])
            #expect(try world.usage() == (0, 0))
            return
        }
        #expect(try get(world, pin: pin.id) == bytes)
        try world.perform { try await $0.unpin(pin.id) }
        world.world.run(for: .seconds(20))
        #expect(world.rows() == [:])
    }

    /// A gateway that dies at any moment of a pin or of its removal leaves nothing behind.
    @Test(arguments: Array(stride(from: 1, to: 24, by: 2)))
    func aGatewayThatDiedLeavesNoHalfPin(milliseconds: Int) throws {
        let world = try world()
        let bytes = noise(300_000)
        _ = try world.put("key", bytes)
        let environment = world.gatewayNode.peer.environment
        let gateway = world.gateway
        world.shared.state.withLock { state in
            state.stall = { _, _ in
                do { try await environment.sleep(for: .milliseconds(1)) } catch {}
            }
        }
        _ = world.world.spawn(world.gatewayNode.peer) {
            let pin = try await gateway.pin("key", in: "bucket", for: nil)
            try await gateway.unpin(pin.id)
        }
        world.world.run(for: .milliseconds(milliseconds))
        world.gatewayNode.peer.crash()
        world.shared.state.withLock { $0.stall = nil }
        try world.startGateway()
        world.world.run(for: .seconds(60))
        let pins = try world.perform { try await $0.pins(after: nil).pins }
        #expect(try world.get("key") == bytes)
        #expect(world.referenceCount == 1 + pins.count)
        #expect(world.rows()[.pins] ?? 0 == pins.count)
        #expect(world.rows()[.layouts] == 1 + pins.count)
        try world.perform { try await $0.delete("key", in: "bucket") }
        for pin in pins {
            #expect(try get(world, pin: pin.id) == bytes)
            try world.perform { try await $0.unpin(pin.id) }
        }
        world.world.run(for: .seconds(20))
        #expect(world.rows() == [:])
    }

    /// Slower than anybody waits for: what it refers to may be gone when it would stand.
    @Test func aPinThatTookTooLongIsGivenUp() throws {
        let world = try world()
        _ = try world.put("key", noise(300_000))
        world.stallOnce(.layouts, isWrite: true, for: .seconds(45))
        do {
            _ = try pin(world)
            Issue.record("it was pinned")
        } catch let ObjectError.unavailable(reason) {
            #expect(reason.contains("given up"), "\(reason)")
        }
        world.world.run(for: .seconds(60))
        #expect(world.rows()[.pins] == nil)
        #expect(world.referenceCount == 1)
        #expect(try world.get("key") == noise(300_000))
    }
}
