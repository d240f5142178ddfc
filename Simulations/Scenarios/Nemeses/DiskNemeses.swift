import CyxCore
import SimulationHarness

/// Reads and writes of one disk fail now and then.
struct DiskErrorNemesis: Nemesis {
    private var ill: (peer: SimulatedPeer, until: Instant)?

    mutating func inject(_ stage: NemesisStage) {
        guard ill == nil, stage.room > 0, let peer = stage.pick() else { return }
        stage.count("disk with errors")
        var faults = DiskFaults()
        faults.readError = Double.random(in: 0...0.1, using: &stage.generator)
        faults.writeError = Double.random(in: 0...0.2, using: &stage.generator)
        faults.keepsPrefixAtCrash = true
        peer.disk.setFaults(faults)
        stage.setCutOff(1, by: "disk errors")
        ill = (peer, stage.now + stage.random(.seconds(2), .seconds(30)))
    }

    mutating func step(_ stage: NemesisStage) {
        if let ill, ill.until <= stage.now { stop(stage) }
    }

    mutating func stop(_ stage: NemesisStage) {
        guard let ill else { return }
        ill.peer.disk.setFaults(DiskFaults())
        stage.revive(ill.peer)
        stage.setCutOff(0, by: "disk errors")
        self.ill = nil
    }
}

/// A disk is full for a while.
struct FullDiskNemesis: Nemesis {
    private var full: (peer: SimulatedPeer, until: Instant)?

    mutating func inject(_ stage: NemesisStage) {
        guard full == nil, stage.room > 0, let peer = stage.pick() else { return }
        stage.count("full disk")
        peer.disk.setCapacity(peer.disk.usedBytes)
        stage.setCutOff(1, by: "full disk")
        full = (peer, stage.now + stage.random(.seconds(5), .seconds(40)))
    }

    mutating func step(_ stage: NemesisStage) {
        if let full, full.until <= stage.now { stop(stage) }
    }

    mutating func stop(_ stage: NemesisStage) {
        guard let full else { return }
        full.peer.disk.setCapacity(stage.cluster.options.world.diskCapacity)
        stage.revive(full.peer)
        stage.setCutOff(0, by: "full disk")
        self.full = nil
    }
}

/// A disk says that shards are durable while they are not, and then loses power: what was written
/// meanwhile is gone. Of shards alone: a disk that lies about rows makes its peer forget promises,
/// which nothing but lying members' quorums (A1, open networks) can bear.
struct LyingFlushNemesis: Nemesis {
    private var liar: (peer: SimulatedPeer, until: Instant)?

    mutating func inject(_ stage: NemesisStage) {
        guard liar == nil, stage.room > 0, let peer = stage.pick() else { return }
        stage.count("lying fsync of shards, then power loss")
        var faults = DiskFaults()
        faults.liesAboutShards = true
        peer.disk.setFaults(faults)
        liar = (peer, stage.now + stage.random(.seconds(2), .seconds(20)))
    }

    mutating func step(_ stage: NemesisStage) {
        if let liar, liar.until <= stage.now { stop(stage) }
    }

    mutating func stop(_ stage: NemesisStage) {
        guard let liar else { return }
        stage.takeDown(liar.peer, for: .seconds(2))
        liar.peer.disk.setFaults(DiskFaults())
        self.liar = nil
    }
}

/// Bits of stored shards flip.
struct BitRotNemesis: Nemesis {
    private static let bitsMax = 3
    /// Shards are longer, the store's own rows are shorter.
    private static let valueBytesMin = 64

    mutating func inject(_ stage: NemesisStage) {
        guard let peer = stage.pick() else { return }
        stage.count("flipped bits of shards")
        peer.disk.flipBits(
            in: "shards", count: Int.random(in: 1...Self.bitsMax, using: &stage.generator),
            valueBytesMin: Self.valueBytesMin)
    }
}
