import CyxCore
import CyxObjects
import CyxTables
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

    private func replace(_ world: ObjectWorld, _ entry: HolderEntry, _ receipt: StoreReceipt) {
        world.shared.state.withLock { state in
            for key in state.merges.keys where key.table == .holders {
                state.merges[key]?.updateValue(receipt.protobufBytes(), forKey: entry.element)
            }
        }
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
        let (entry, receipt) = try row(world)[2]
        var forged = receipt
        forged.signature[0] ^= 1
        replace(world, entry, forged)
        #expect(try world.runUntilFull(segments: 1))
        let after = world.holders().map(\.entry)
        #expect(!after.contains(entry))
        #expect(after.count { $0.index == entry.index } == 1)
        #expect(after.count == 14)
    }
}
