import CyxCore
import CyxTables
import Testing

/// Which partitions there are, by the certificates that a peer has come upon.
@Suite struct PartitionCatalogTests {
    private static func partition(_ depth: UInt8, _ index: UInt64) throws -> Partition {
        try #require(Partition(depth: depth, index: index))
    }

    /// A certificate of which nothing counts but what view it is of.
    private static func certificate(
        _ depth: UInt8, _ index: UInt64, epoch: UInt32, generation: UInt32 = 0,
        after previous: Partition? = nil
    ) throws -> ViewCertificate {
        let id = ViewID(
            partition: try partition(depth, index), generation: generation, epoch: epoch)
        let view = View(
            id: id, members: [ViewMember(peer: PeerID(.zero), store: StoreID(.zero))], quorum: 1)
        var before = view
        before.id.partition = previous ?? id.partition
        before.id.epoch = epoch &- 1
        return ViewCertificate(view: view, previous: before, round: 1, signatures: [])
    }

    private static func catalog() -> PartitionCatalog {
        PartitionCatalog(genesisDepth: 1, depthMax: 5)
    }

    /// 110000…, in the upper half.
    private static let position = Digest(0xc000_0000_0000_0000, 0, 0, 0)

    @Test func partitionsKnowWhatLiesInThem() throws {
        let whole = try Self.partition(2, 1)
        let children = try #require(whole.children)
        #expect(children.lower.parent == whole && children.upper.parent == whole)
        #expect(children.lower.sibling == children.upper && whole.sibling?.index == 0)
        #expect(whole.lowerBound == children.lower.lowerBound)
        #expect(whole.upperBound == children.upper.upperBound)
        #expect(children.lower.upperBound == children.upper.lowerBound)
        #expect(whole.contains(children.upper) && !children.upper.contains(whole))
        #expect(!(try Self.partition(2, 0)).overlaps(children.lower))
        #expect(try Self.partition(UInt8(Partition.depthLimit), 0).children == nil)
        #expect(whole < children.lower && children.lower < children.upper)
        #expect(try children.upper < Self.partition(2, 2))
    }

    @Test func aDeeperViewTellsThatAllAroundItHaveSplit() throws {
        var catalog = Self.catalog()
        #expect(try catalog.partition(holding: Self.position) == Self.partition(1, 1))
        #expect(catalog.take(try Self.certificate(1, 1, epoch: 4)) == .newer)
        #expect(catalog.take(try Self.certificate(3, 0b111, epoch: 9)) == .newer)
        // Of the other parts nothing is known but that they are there.
        #expect(try catalog.partition(holding: Self.position) == Self.partition(3, 0b110))
        #expect(
            try catalog.parts(of: Self.partition(1, 1)) == [
                Self.partition(2, 0b10), Self.partition(3, 0b110), Self.partition(3, 0b111),
            ])
        #expect(try catalog.part(of: Self.partition(1, 1)) == Self.partition(3, 0b111))
        #expect(try catalog[Self.partition(1, 1)] == nil)
        #expect(try catalog.parts(of: Self.partition(1, 0)) == [Self.partition(1, 0)])
        // Whatever comes late of the whole is over.
        #expect(catalog.take(try Self.certificate(1, 1, epoch: 5)) == .outdated)
        #expect(catalog.take(try Self.certificate(2, 0b11, epoch: 8)) == .outdated)
        #expect(catalog.take(try Self.certificate(2, 0b10, epoch: 5)) == .newer)
        #expect(catalog.take(try Self.certificate(2, 0b10, epoch: 5)) == .outdated)
    }

    @Test func aLaterGenerationJoinsWhatHadSplitAndAnEarlierOneCountsNoMore() throws {
        var catalog = Self.catalog()
        #expect(catalog.take(try Self.certificate(2, 0b10, epoch: 5)) == .newer)
        #expect(catalog.take(try Self.certificate(1, 1, epoch: 0, generation: 7)) == .joined)
        #expect(try catalog.partition(holding: Self.position) == Self.partition(1, 1))
        #expect(try catalog[Self.partition(2, 0b10)] == nil)
        let given = try Self.certificate(2, 0b10, epoch: 6)
        #expect(try catalog.joined(after: given.view.id) == catalog[Self.partition(1, 1)])
        #expect(catalog.take(given) == .outdated)
        #expect(catalog.take(try Self.certificate(3, 0b100, epoch: 9)) == .outdated)
        #expect(catalog.take(try Self.certificate(2, 0b11, epoch: 1, generation: 7)) == .newer)
        #expect(try catalog.hasSplit(Self.partition(1, 1)))
    }

    /// Else whoever makes up views has a peer remember ever more of them.
    @Test func howDeepPartitionsGoAndHowManyAreRememberedIsBounded() throws {
        var catalog = Self.catalog()
        #expect(
            try catalog.mayExist(Self.partition(5, 0)) && !catalog.mayExist(Self.partition(6, 0)))
        #expect(try !catalog.mayExist(Self.partition(0, 0)))

        var large = PartitionCatalog(genesisDepth: 1, depthMax: 21)
        for index in 0..<UInt64(1 << 15) where !large.isFull {
            _ = large.take(try Self.certificate(16, index, epoch: 20))
        }
        #expect(large.isFull)
        _ = large.take(try Self.certificate(3, 0b110, epoch: 3))
        let left = try Self.partition(3, 0b110)
        large.keepForGood(left)
        let held = try Self.certificate(3, 0b101, epoch: 3).view.id
        large.shrink(to: [held.partition: held])
        #expect(!large.isFull)
        #expect(large.newest.map(\.view.partition) == [left])
        #expect(large.take(try Self.certificate(3, 0b110, epoch: 2)) == .outdated)
        // What is held stays a part of what has split, although its own view is not known.
        #expect(large.partition(holding: held.partition.lowerBound) == held.partition)
        _ = catalog.take(try Self.certificate(2, 0, epoch: 1))
    }
}
