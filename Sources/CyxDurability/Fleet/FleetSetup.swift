package import CyxCore
package import CyxObjects

/// A network as repair sees it.
package struct FleetSetup: Sendable {
    package var peers = 1000
    package var zones = 20
    /// Segments that are followed. They may be a sample of what the peers really hold: then what
    /// the throttle gives belongs to the sample in the same share.
    package var segments = 2000
    package var code = Redundancy(dataShards: 10, parityShards: 4)
    /// Content of one segment.
    package var segmentBytes = 64 << 20
    package var timings = RepairTimings.production
    package var limits = RepairLimits.production
    /// Ranges of the key space, each with custodians of its own.
    package var partitions = 256
    /// From a peer's end until the others take it for dead.
    package var detection = Duration.seconds(20)
    package init() {}

    package var fileBytes: Int { code.shardBytes(segmentBytes) }
}

/// One place for a peer in a fleet. A peer that is lost for good may be followed by a new one.
struct FleetSlot {
    var peer: PeerID
    var store: StoreID
    var zone: Int
    var isUp = true
    /// Grows with every start and end: what was begun in another life is void.
    var life = 0
}

/// A segment of a fleet: what the rows say, and what is on disks.
struct FleetSegment {
    var shape: SegmentShape
    var entries: [HolderEntry]
    /// Whatever a disk still has, also what no row names: (index, slot) with the peer it was.
    var copies: [Copy]
    /// Distinct indices that a reader gets.
    var readable: Int
    /// The most that were missing at once since it was full last.
    var mostMissing = 0
    var isLost = false
    /// Grows whenever it is put down anew.
    var life = 0

    struct Copy: Hashable {
        var index: Int
        var slot: Int
        var peer: PeerID
    }
}

/// A rebuild, or a move, on its way.
package struct FleetRebuild: Sendable {
    package struct Target: Hashable, Sendable {
        package var index: Int
        package var slot: Int
        var life: Int
    }

    package var segment: Int
    package var repairer: Int
    var repairerLife: Int
    var segmentLife: Int
    var task: RepairTask
    /// One holder of each of k indices.
    package var sources: [(index: Int, slot: Int)]
    package var targets: [Target]
    /// How many there were to be.
    var wanted = 0
    package var begun: Instant
}
