import CyxCore
import CyxObjects
import CyxOverlay
import CyxStorage
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

/// Whole peers that audit each other; a period lasts 20 virtual seconds.
@Suite struct AuditWorldTests {
    private func world(
        storers: Int, timings: ObjectTimings = .devnet
    ) throws -> ObjectWorld {
        let world = try ObjectWorld(storers: storers, audits: true, timings: timings)
        try world.createBucket()
        _ = try world.put("key", noise(500_000))
        #expect(try world.runUntilFull(segments: 1))
        return world
    }

    /// Outcomes by peer, as all auditors remember them.
    private func outcomes(
        _ world: ObjectWorld
    ) throws -> [PeerID: [AuditOutcome: Int]] {
        var sum: [PeerID: [AuditOutcome: Int]] = [:]
        for node in world.nodes where node.peer.isRunning {
            guard let auditor = world.auditor(node) else { continue }
            for record in try world.world.perform(on: node.peer, { await auditor.log }) {
                sum[record.peer, default: [:]][record.outcome, default: 0] += 1
            }
        }
        return sum
    }

    private func rows(_ world: ObjectWorld, _ table: TableID) -> Int {
        world.shared.state.withLock { state in
            state.merges.filter { $0.key.table == table }
                .reduce(0) { $0 + $1.value.count { $0.value != nil } }
        }
    }

    @Test func honestPeersPassAndNothingComesOfIt() throws {
        var timings = ObjectTimings.devnet
        timings.audits.placementPeriods = 3
        let world = try world(storers: 14, timings: timings)
        world.world.run(for: .seconds(400))
        let outcomes = try outcomes(world)
        // Sixteen periods or more, in each of which each holder is asked at least once.
        #expect(outcomes.count == 14)
        for (_, counts) in outcomes {
            #expect((counts[.passed] ?? 0) >= 12)
            #expect(counts.keys.allSatisfy { $0 == .passed })
        }
        #expect(rows(world, .evidence) == 0)
        #expect(rows(world, .verdicts) == 0)
        #expect(rows(world, .tallies) > 0)
        for node in world.nodes { #expect(world.book(node).entries == [:]) }
        // All rank candidates under the same two beacons, begun before they were used.
        let values = world.nodes.map { world.salts($0).map(\.value) }
        #expect(Set(values).count == 1 && Set(values[0]).count == 2)
        for salt in world.salts(world.nodes[3]) {
            let age = world.world.now - salt.unknownUntil
            #expect(age >= .seconds(40) && age < .seconds(40 + 120 + 20))
        }
    }

    @Test func aHolderThatLostItsShardIsProvenWrongWarnedAndReplaced() throws {
        let world = try world(storers: 16)
        let victim = try #require(world.holders().map(\.entry.peer).first)
        let segment = try #require(world.holders().first?.segment)
        let node = try #require(world.node(victim))
        let store = world.store(node)
        // Behind the holder's back: no order of the owner's.
        try world.world.perform(on: node.peer) { try await store.delete(segment: segment) }
        world.world.run(for: .seconds(200))
        #expect(try (outcomes(world)[victim]?[.wrong] ?? 0) >= 1)
        #expect(rows(world, .evidence) >= 1)
        #expect(!world.holders().contains { $0.entry.peer == victim })
        #expect(try world.runUntilFull(segments: 1))
        let entry = world.book(world.nodes[0]).entries[victim]
        #expect(entry?.verdict == .warned)
        #expect(entry?.reason == .wrong)
        #expect(world.book(world.nodes[0]).entries.count == 1)
        // Anybody can check what it is accused of.
        let proof = try #require(
            world.shared.state.withLock { state in
                state.merges.first { $0.key.table == .evidence }?.value.values.first
            })
        let evidence = try AuditEvidence(protobuf: try #require(proof))
        #expect(evidence.proven?.peer == victim)
        #expect(evidence.proven?.shard.segment == segment)
    }

    @Test func aDeletedSegmentIsNobodysFault() throws {
        let world = try world(storers: 14)
        // The segment is condemned, and its rows stay, as they do while some holder cannot be told.
        let changes = Mutex(0)
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                guard isWrite, key.table == .segments else { return nil }
                return changes.withLock { count in
                    count += 1
                    return count <= 2 ? nil : .unavailable("slow")
                }
            }
        }
        try world.perform { try await $0.delete("key", in: "bucket") }
        world.world.run(for: .seconds(200))
        var voided = 0
        for (_, counts) in try outcomes(world) {
            #expect(counts[.wrong] == nil && counts[.unknown] == nil)
            voided += counts[.void] ?? 0
        }
        #expect(voided > 0)
        #expect(rows(world, .evidence) == 0)
    }

    @Test func absentAndSilentPeersAreToldApart() throws {
        let world = try world(storers: 14)
        let dead = world.nodes[10]
        let silent = world.nodes[11]
        // An outcome takes three questions; the clock starts before the peers fail.
        world.override(silent, .auditShard) { _, _ in
            throw RPCFailure(code: ShardRefusal.storeFailed.rawValue, message: "disk")
        }
        world.kill(dead)
        world.world.run(for: .seconds(240))
        let outcomes = try outcomes(world)
        #expect((outcomes[dead.id]?[.offline] ?? 0) > 0)
        #expect(outcomes[dead.id]?[.unknown] == nil && outcomes[dead.id]?[.wrong] == nil)
        #expect((outcomes[silent.id]?[.unknown] ?? 0) > 0)
        #expect(outcomes[silent.id]?[.wrong] == nil)
        #expect(rows(world, .evidence) == 0)
    }

    @Test func aBannedPeerIsReplacedAndGetsNothingNew() throws {
        let world = try world(storers: 16)
        let banned = try #require(world.holders().map(\.entry.peer).first)
        // What its custodians have counted before: thirty proven wrong answers too many.
        var row = Standing(peer: banned).row
        row.firstWindow = 1
        row.window = 1
        row.wrong = TrackRow(alpha: 940, beta: 60)
        world.shared.state.withLock { state in
            state.registers[AuditRows.standing(banned)] = (row.protobufBytes(), 1)
        }
        world.world.run(for: .seconds(200))
        #expect(world.book(world.nodes[1]).verdict(banned) == .banned)
        #expect(!world.holders().contains { $0.entry.peer == banned })
        #expect(try world.runUntilFull(segments: 1))
        // The gateway of these tests reads no verdicts: the rebuilt shards show that placement
        // passes it over.
        for node in world.nodes.prefix(1) where node.id != banned { world.kill(node) }
        #expect(try world.runUntilFull(segments: 1))
        #expect(!world.holders().contains { $0.entry.peer == banned })
    }
}
