import CyxCore
import CyxCrypto
import CyxObjects
import CyxStorage
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// Data of accounts whose leases have ended goes, that of all others stays.
@Suite struct LeaseTests {
    private static let seed = [UInt8](repeating: 77, count: 32)
    private static let lease = Duration.seconds(12)

    private func world(
        lease: Duration?, storers: Int = 4, audits: Bool = false,
        _ adjust: (inout ObjectTimings) -> Void = { _ in }
    ) throws -> ObjectWorld {
        var timings = ObjectTimings.hastyCollection
        adjust(&timings)
        let world = try ObjectWorld(
            storers: storers, audits: audits, upkeep: true, lease: lease, timings: timings)
        try world.createBucket()
        return world
    }

    /// What the account's row says; nil: there is none.
    private func row(_ world: ObjectWorld) throws -> LeaseRow? {
        let key = ObjectRows.lease(AccountKeys(seed: Self.seed).account)
        return try world.shared.state.withLock { state in
            guard let value = state.registers[key]?.value else { return nil }
            return try LeaseRow(protobuf: try SignedRow(protobuf: value).payload)
        }
    }

    private func now(_ world: ObjectWorld) -> Int64 {
        world.nodes[0].peer.environment.wallTime().milliseconds
    }

    @Test func aLeaseIsRenewedAtAThirdOfItsTime() throws {
        let world = try world(lease: Self.lease)
        world.world.run(for: .seconds(60))
        #expect(try #require(try row(world)).untilMs - now(world) >= 8_000 - 10)
        // Two renewals may fail.
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                isWrite && key.table == .leases ? .unavailable("slow") : nil
            }
        }
        world.world.run(for: .seconds(7))
        #expect(try #require(try row(world)).untilMs > now(world))
        world.shared.state.withLock { $0.fault = nil }
        // Who failed does not wait for the next third.
        world.world.run(for: .seconds(10))
        #expect(try #require(try row(world)).untilMs - now(world) >= 8_000 - 10)
        #expect(try row(world)?.resumedMs == 0)
    }

    @Test func withoutALeaseDataStaysForEver() throws {
        let world = try world(lease: nil)
        _ = try world.put("key", noise(300_000))
        let used = try world.usage().used
        world.gatewayNode.peer.crash()
        world.world.run(for: .seconds(600))
        #expect(try row(world) == nil)
        #expect(try world.usage() == (used, 0))
    }

    @Test func dataGoesAfterItsLeaseAndTheGrace() throws {
        let world = try world(lease: Self.lease)
        _ = try world.put("key", noise(300_000))
        world.world.run(for: .seconds(60))
        let used = try world.usage().used
        #expect(used > 0)
        world.gatewayNode.peer.crash()
        // Renewed 4 s ago at most: 28 s are left.
        world.world.run(for: .seconds(27))
        #expect(try world.usage() == (used, 0))
        world.world.run(for: .seconds(10))
        #expect(try world.usage() == (0, used))
        world.world.run(for: .seconds(10))
        #expect(try world.usage() == (0, 0))
        // Nobody begins to repair that.
        world.world.run(for: .seconds(60))
        #expect(try world.usage() == (0, 0))
    }

    @Test func whoRenewsInTimeGetsEverythingBack() throws {
        let world = try world(lease: Self.lease) { $0.collection.trash = .seconds(60) }
        let bytes = (0..<3).map { noise(300_000, seed: $0) }
        for (number, body) in bytes.enumerated() { _ = try world.put("key\(number)", body) }
        let used = try world.usage().used
        world.gatewayNode.peer.crash()
        world.world.run(for: .seconds(50))
        #expect(try world.usage() == (0, used))
        try world.startGateway()
        world.world.run(for: .seconds(5))
        #expect(try #require(try row(world)).resumedMs > now(world) - 6_000)
        #expect(try world.usage() == (used, 0))
        for (number, body) in bytes.enumerated() { #expect(try world.get("key\(number)") == body) }
        // It goes on as ever.
        world.world.run(for: .seconds(120))
        #expect(try world.usage() == (used, 0))
    }

    /// A quorum that cannot be asked does not say that a lease has ended, nor that it has not.
    @Test func nothingGoesThatNobodyCanBeAskedAbout() throws {
        let world = try world(lease: Self.lease)
        _ = try world.put("key", noise(300_000))
        let used = try world.usage().used
        world.gatewayNode.peer.crash()
        world.shared.state.withLock { state in
            state.fault = { key, _ in key.table == .leases ? .unavailable("no quorum") : nil }
        }
        world.world.run(for: .seconds(120))
        #expect(try world.usage() == (used, 0))
        world.shared.state.withLock { $0.fault = nil }
        world.world.run(for: .seconds(5))
        #expect(try world.usage() == (0, used))
        world.shared.state.withLock { state in
            state.fault = { key, _ in key.table == .leases ? .unavailable("no quorum") : nil }
        }
        world.world.run(for: .seconds(60))
        #expect(try world.usage() == (0, used))
    }

    /// The configuration of whoever is there counts.
    @Test func aGatewayWithoutALeaseMakesOneEndless() throws {
        let world = try world(lease: Self.lease)
        _ = try world.put("key", noise(300_000))
        world.world.run(for: .seconds(5))
        let used = try world.usage().used
        #expect(try #require(try row(world)).untilMs > 0)
        world.gatewayNode.peer.crash()
        world.lease = nil
        try world.startGateway()
        world.world.run(for: .seconds(3))
        #expect(try #require(try row(world)).untilMs == 0)
        world.gatewayNode.peer.crash()
        world.world.run(for: .seconds(120))
        #expect(try world.usage() == (used, 0))
    }

    enum Fate: CaseIterable { case renewed, unreadable, ended }

    /// Repair would work against the holders that let it go.
    @Test(arguments: Fate.allCases)
    func onlyWhatHasNoLeaseAnyMoreIsNotRepaired(fate: Fate) throws {
        // Long after nobody looks after it any more, and long before anybody deletes it.
        let world = try world(lease: Self.lease, storers: 7) { $0.leases.grace = .seconds(200) }
        _ = try world.put("key", noise(300_000))
        let holders = world.holders()
        if fate != .renewed { world.gatewayNode.peer.crash() }
        if fate == .unreadable {
            world.shared.state.withLock { state in
                state.fault = { key, _ in key.table == .leases ? .unavailable("no quorum") : nil }
            }
        }
        world.world.run(for: .seconds(130))
        let first = try #require(holders.first).entry.peer
        let victim = try #require(world.nodes.first { $0.id == first })
        let before = try world.usage().used
        world.kill(victim)
        world.world.run(for: .seconds(40))
        let left = world.nodes.filter { $0.id != victim.id }
        let used = try left.reduce(Int64(0)) { sum, node in
            let store = world.store(node)
            return sum + (try world.world.perform(on: node.peer) { await store.usage.used })
        }
        if fate == .ended { #expect(used < before) } else { #expect(used == before) }
    }

    /// Who has deleted what it should is not held to have lost it.
    @Test func nobodyIsAuditedForWhatItLetGo() throws {
        let world = try world(lease: Self.lease, storers: 5, audits: true) {
            $0.collection.trash = .seconds(120)
            $0.audits.period = .seconds(10)
            $0.audits.window = .seconds(20)
            // Holders take their time to bring back what is asked for again.
            $0.collection.sweep = (.milliseconds(20), .seconds(15))
            $0.leases.settle = .seconds(30)
        }
        for number in 0..<6 { _ = try world.put("key\(number)", noise(200_000)) }
        let used = try world.usage().used
        world.gatewayNode.peer.crash()
        world.world.run(for: .seconds(100))
        #expect(try world.usage() == (0, used))
        try world.startGateway()
        world.world.run(for: .seconds(100))
        for node in world.nodes {
            for other in world.nodes {
                #expect(world.book(node).verdict(other.id) == .good)
            }
            let log = try world.world.perform(on: node.peer) { [auditor = world.auditor(node)] in
                await auditor?.log ?? []
            }
            #expect(!log.contains { $0.outcome == .wrong })
        }
    }

    @Test func onlyTheAccountWritesItsLease() throws {
        let (own, other) = (
            AccountKeys(seed: Self.seed), AccountKeys(seed: [UInt8](repeating: 1, count: 32))
        )
        let key = ObjectRows.lease(own.account)
        let row = LeaseRow(untilMs: 1).protobufBytes()
        let good = Rows.sign(row, at: key, with: own.signing)
        #expect(ObjectRowRules.validate(key, nil, good) == nil)
        #expect(
            ObjectRowRules.validate(key, nil, Rows.sign(row, at: key, with: other.signing)) != nil)
        // A row that somebody else stored there all the same ends nothing.
        let world = try world(lease: nil)
        _ = try world.put("key", noise(300_000))
        let used = try world.usage().used
        world.shared.state.withLock { state in
            state.registers[key] = (Rows.sign(row, at: key, with: other.signing), 1)
        }
        world.world.run(for: .seconds(60))
        #expect(try world.usage() == (used, 0))
    }
}
