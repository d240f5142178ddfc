import CyxCore
import CyxCrypto
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// Who vouches for an entry of a holders' row.
@Suite struct ReceiptTests {
    /// The row of the only segment, decoded.
    private func row(
        _ world: ObjectWorld
    ) throws -> [(entry: HolderEntry, receipt: StoreReceipt)] {
        let rows = world.shared.state.withLock { state in
            state.merges.filter { $0.key.table == .holders }.map(\.value)
        }
        let row = try #require(rows.first)
        return try row.compactMap { element, value in
            guard let value else { return nil }
            return (try HolderEntry(element: element), try StoreReceipt(protobuf: value))
        }.sorted { $0.0.index < $1.0.index }
    }

    /// Writes `receipt` into the row, under the name that it gives itself.
    private func add(_ world: ObjectWorld, _ receipt: StoreReceipt) throws -> HolderEntry {
        let entry = try #require(receipt.claim).entry
        world.shared.state.withLock { state in
            for key in state.merges.keys where key.table == .holders {
                state.merges[key]?.updateValue(receipt.protobufBytes(), forKey: entry.element)
            }
        }
        return entry
    }

    private func strike(_ world: ObjectWorld, _ entry: HolderEntry) {
        world.shared.state.withLock { state in
            for key in state.merges.keys where key.table == .holders {
                state.merges[key]?.updateValue(nil, forKey: entry.element)
            }
        }
    }

    /// `receipt`, as if the peer with that key had given it.
    private func forged(_ receipt: StoreReceipt, _ node: ObjectWorld.Node) throws -> StoreReceipt {
        var forged = receipt
        forged.peerKey = node.signing.verifyingKey.bytes
        return forged
    }

    @Test func aReceiptProvesOnlyItsOwnEntry() throws {
        let world = try ObjectWorld(storers: 14)
        try world.createBucket()
        _ = try world.put("key", noise(500_000))
        let row = try row(world)
        let core = try #require(
            world.shared.state.withLock { state in
                state.registers.first { $0.key.table == .segments }
            })
        let shape = try SegmentShape.verified(
            try #require(core.value.value), of: SegmentID(core.key.position)
        ).shape
        for (entry, receipt) in row {
            #expect(receipt.proves(entry, in: shape))
            var other = entry
            other.store = StoreID(.zero)
            #expect(!receipt.proves(other, in: shape))
            var longer = receipt
            longer.fileBytes += 1
            #expect(!longer.proves(entry, in: shape))
            var bent = receipt
            bent.signature[5] ^= 1
            #expect(!bent.proves(entry, in: shape))
        }
        #expect(!row[0].receipt.proves(row[1].entry, in: shape))
    }

    @Test func anEntryWithoutItsHoldersSignatureIsReplaced() throws {
        let world = try ObjectWorld(storers: 16)
        try world.createBucket()
        _ = try world.put("key", noise(500_000))
        let (genuine, receipt) = try row(world)[2]
        var forged = receipt
        forged.signature[0] ^= 1
        strike(world, genuine)
        let entry = try add(world, forged)
        #expect(try world.runUntilFull(segments: 1))
        let after = world.holders().map(\.entry)
        #expect(!after.contains(entry))
        #expect(!after.contains(genuine))
        #expect(after.count { $0.index == entry.index } == 1)
        #expect(after.count == 14)
    }

    @Test func aReceiptCannotBeWrittenOverAnother() throws {
        let world = try ObjectWorld(storers: 14)
        try world.createBucket()
        _ = try world.put("key", noise(500_000))
        let (entry, receipt) = try row(world)[2]
        let key = ObjectRows.holders(try #require(world.holders().first).segment)
        #expect(ObjectRowRules.validate(key, entry.element, receipt.protobufBytes()) == nil)
        var bent = receipt
        bent.signature[0] ^= 1
        #expect(ObjectRowRules.validate(key, entry.element, bent.protobufBytes()) != nil)
        var moved = entry
        moved.index += 1
        #expect(ObjectRowRules.validate(key, moved.element, receipt.protobufBytes()) != nil)
    }

    /// Names without receipts: neither who is named suffers for it nor who reads.
    @Test func whoIsFalselyNamedIsNeitherShownNorAskedNorBlamed() throws {
        let world = try ObjectWorld(storers: 18, audits: true)
        try world.createBucket()
        let bytes = noise(500_000)
        _ = try world.put("key", bytes)
        #expect(try world.runUntilFull(segments: 1))
        let genuine = try row(world)
        let holders = Set(genuine.map(\.entry.peer))
        let named = world.nodes.filter { !holders.contains($0.id) }
        #expect(named.count == 4)
        var entries: [HolderEntry] = []
        for (number, holder) in genuine.enumerated() {
            entries.append(try add(world, forged(holder.receipt, named[number % 4])))
        }
        // Readers fall back on the row when holders that they know of are gone.
        for holder in holders.prefix(2) { world.kill(try #require(world.node(holder))) }
        world.book(world.gatewayNode).replace([:])
        let reader = world.addReader()
        let shown = try world.world.perform(on: reader.peer) {
            try await reader.gateway.placement(of: "key", in: "bucket")
        }
        #expect(shown.flatMap(\.holders).count == 14)
        #expect(shown.flatMap(\.holders).allSatisfy { !entries.contains($0) })
        #expect(try world.get("key") == bytes)
        world.world.run(for: .seconds(100))
        let suspects = world.book(world.gatewayNode).distrusted(now: world.world.now)
        #expect(suspects.isDisjoint(with: named.map(\.id)))
        for node in world.nodes {
            #expect(world.book(node).entries[named[0].id] == nil)
        }
        let accused = world.shared.state.withLock { state in
            state.merges.keys.filter { $0.table == .evidence }.count
        }
        #expect(accused == 0)
    }
}
