import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// Small bodies that come together share segments, and nothing else.
@Suite struct PackTests {
    @Test func bodiesThatComeTogetherShareSegments() throws {
        let world = try ObjectWorld.packing(storers: 6)
        #expect(try world.putTogether().isEmpty)
        #expect(world.referenceCounts() == [1, 1, Packing.count - Packing.atOnce])
        try world.expectAll()
        // A gateway that remembers nothing finds each among the others.
        try world.restartGateway()
        try world.expectAll()
        let last = Packing.count - 1
        #expect(
            try world.get("\(last)", .from(100, through: 4999))
                == Array(Packing.body(last)[100..<5000]))
        world.kill(world.nodes[0])
        world.kill(world.nodes[1])
        try world.restartGateway()
        try world.expectAll()
    }

    @Test func oneBodyAfterAnotherHasASegmentOfItsOwn() throws {
        let world = try ObjectWorld.packing()
        for number in 0..<3 { _ = try world.put("\(number)", Packing.body(number)) }
        #expect(world.referenceCounts() == [1, 1, 1])
    }

    @Test func bucketsShareASegmentAndNoKeys() throws {
        let world = try ObjectWorld.packing()
        _ = try world.perform { try await $0.createBucket("other") }
        let bucket: @Sendable (Int) -> String = { $0.isMultiple(of: 2) ? "bucket" : "other" }
        #expect(try world.putTogether(bucket: bucket).isEmpty)
        #expect(world.referenceCounts().last == Packing.count - Packing.atOnce)
        try world.restartGateway()
        for number in 0..<Packing.count {
            let read = try world.perform { gateway in
                var source = try await gateway.get(
                    "\(number)", in: bucket(number), range: .whole
                ).source
                var bytes: [UInt8] = []
                while let piece = try await source.next() { bytes += piece }
                return bytes
            }
            #expect(read == Packing.body(number))
        }
    }

    @Test func aSegmentGoesWithTheLastOfThoseThatShareIt() throws {
        let world = try ObjectWorld.packing()
        #expect(try world.putTogether().isEmpty)
        let kept = Packing.count - 1
        let segment = try world.perform {
            try await $0.placement(of: "\(kept)", in: "bucket")[0].segment
        }
        let writes = world.shared.state.withLock { $0.writes.count }
        for number in 0..<kept {
            try world.perform { try await $0.delete("\(number)", in: "bucket") }
        }
        world.world.run(for: .seconds(10))
        #expect(world.referenceCounts() == [1])
        // Its core was never touched, so that no claim of a neighbour could fail.
        let touched = world.shared.state.withLock { state in
            state.writes[writes...].contains(ObjectRows.core(segment))
        }
        #expect(!touched)
        try world.restartGateway()
        #expect(try world.get("\(kept)") == Packing.body(kept))
        try world.perform { try await $0.delete("\(kept)", in: "bucket") }
        world.world.run(for: .seconds(60))
        #expect(world.rows() == [:])
        #expect(try world.usage() == (0, 0))
    }

    @Test(arguments: [TableID.holders, .references, .segments])
    func aPackThatFailsLeavesNothing(table: TableID) throws {
        let world = try ObjectWorld.packing()
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                isWrite && key.table == table ? .unavailable("slow") : nil
            }
        }
        #expect(try world.putTogether().count == Packing.count)
        world.shared.state.withLock { $0.fault = nil }
        world.world.run(for: .seconds(60))
        #expect(world.rows() == [:])
        #expect(try world.usage() == (0, 0))
        #expect(try world.putTogether().isEmpty)
        try world.expectAll()
    }

    /// Whoever collects may have condemned their segment in between (B5): no head may name it.
    @Test func aPackThatCannotBeClaimedCommitsNothing() throws {
        let world = try ObjectWorld.packing()
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                !isWrite && key.table == .segments ? .unavailable("slow") : nil
            }
        }
        #expect(try world.putTogether().count == Packing.count)
        world.shared.state.withLock { $0.fault = nil }
        try world.expectAll(but: Set(0..<Packing.count))
    }

    @Test func oneWriteThatFailsTakesNobodyAlong() throws {
        let world = try ObjectWorld.packing()
        let hasFailed = Mutex(0)
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                guard isWrite, key.table == .layouts else { return nil }
                let number = hasFailed.withLock { failed in
                    failed += 1
                    return failed
                }
                return number == Packing.atOnce + 2 ? .unavailable("slow") : nil
            }
        }
        let failed = try world.putTogether()
        #expect(failed.count == 1)
        world.shared.state.withLock { $0.fault = nil }
        world.world.run(for: .seconds(60))
        #expect(world.referenceCounts() == [1, 1, Packing.count - Packing.atOnce - 1])
        try world.restartGateway()
        try world.expectAll(but: failed)
    }

    /// One waits for its pack, one's pack is being stored.
    @Test func whoIsCancelledTakesNobodyAlong() throws {
        let world = try ObjectWorld.packing()
        let environment = world.gatewayNode.peer.environment
        world.shared.state.withLock { state in
            state.stall = { key, isWrite in
                guard isWrite, key.table == .segments else { return }
                do { try await environment.sleep(for: .milliseconds(500)) } catch {}
            }
        }
        let cancelled: [Int: Duration] = [5: .milliseconds(100), 7: .milliseconds(800)]
        let failed = try world.putTogether(cancelled: cancelled)
        #expect(failed == Set(cancelled.keys))
        world.shared.state.withLock { $0.stall = nil }
        world.world.run(for: .seconds(60))
        #expect(
            world.referenceCounts() == [1, 1, Packing.count - Packing.atOnce - cancelled.count])
        try world.restartGateway()
        try world.expectAll(but: failed)
        for number in 0..<Packing.count where !failed.contains(number) {
            try world.perform { try await $0.delete("\(number)", in: "bucket") }
        }
        world.world.run(for: .seconds(100))
        _ = try world.perform { try await $0.list("bucket", ListRequest()) }
        world.world.run(for: .seconds(10))
        #expect(world.rows() == [:])
        #expect(try world.usage() == (0, 0))
    }

    /// All of a write is there, or nothing, whenever the gateway dies.
    @Test(arguments: [1, 2, 3, 4, 5, 6, 8, 10, 14])
    func aPackWhoseGatewayDiesLeavesWholeObjects(after milliseconds: Int) throws {
        let world = try ObjectWorld.packing()
        let gateway = world.gateway
        for number in 0..<Packing.count {
            let bytes = Packing.body(number)
            _ = world.world.spawn(world.gatewayNode.peer) {
                try await gateway.put(
                    "\(number)", in: "bucket", options: PutOptions(), body: FixedBytes(bytes))
            }
        }
        world.world.run(for: .milliseconds(milliseconds))
        world.gatewayNode.peer.crash()
        world.world.run(for: .seconds(1))
        try world.startGateway()
        world.world.run(for: .seconds(140))
        let listed = try world.perform { try await $0.list("bucket", ListRequest()) }.objects
        for object in listed {
            let number = try #require(Int(object.key))
            #expect(try world.get(object.key) == Packing.body(number))
        }
        #expect(world.referenceCounts().reduce(0, +) == listed.count)
        for object in listed {
            try world.perform { try await $0.delete(object.key, in: "bucket") }
        }
        world.world.run(for: .seconds(100))
        #expect(world.rows()[.segments] == nil)
        #expect(try world.usage() == (0, 0))
    }

    @Test func aPinKeepsASharedSegmentAndNothingElseDoes() throws {
        let world = try ObjectWorld.packing()
        #expect(try world.putTogether().isEmpty)
        let number = Packing.count - 2
        let pin = try world.perform { try await $0.pin("\(number)", in: "bucket", for: nil) }
        for number in 0..<Packing.count {
            try world.perform { try await $0.delete("\(number)", in: "bucket") }
        }
        world.world.run(for: .seconds(60))
        try world.restartGateway()
        let read = try world.perform { gateway in
            var source = try await gateway.get(pin: pin.id, range: .whole).source
            var bytes: [UInt8] = []
            while let piece = try await source.next() { bytes += piece }
            return bytes
        }
        #expect(read == Packing.body(number))
        #expect(world.rows()[.segments] == 1)
        try world.perform { try await $0.unpin(pin.id) }
        world.world.run(for: .seconds(60))
        #expect(world.rows() == [:])
        #expect(try world.usage() == (0, 0))
    }

    @Test func aGatewayThatRunsNothingPutsBodiesAlone() throws {
        let world = try ObjectWorld.packing()
        let (peer, gateway) = world.addReader(reachesPeers: true)
        let bytes = Packing.body(3)
        _ = try world.world.perform(on: peer) {
            try await gateway.put(
                "alone", in: "bucket", options: PutOptions(), body: FixedBytes(bytes))
        }
        #expect(try world.get("alone") == bytes)
    }
}
