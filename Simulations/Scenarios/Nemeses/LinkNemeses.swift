import CyxCore
import SimulationHarness

/// A few peers are cut off from the rest.
struct PartitionNemesis: Nemesis {
    private var until: Instant?

    mutating func inject(_ stage: NemesisStage) {
        let room = stage.room
        guard until == nil, room > 0 else { return }
        stage.count("partition")
        let size = Int.random(in: 1...room, using: &stage.generator)
        let group = stage.cluster.running.shuffled(using: &stage.generator).prefix(size)
        stage.cluster.world.links.partition([Array(group)])
        stage.setCutOff(size, by: "partition")
        until = stage.now + stage.random(.seconds(5), .seconds(60))
    }

    mutating func step(_ stage: NemesisStage) {
        guard let until, until <= stage.now else { return }
        stage.cluster.world.links.partition([])
        stage.setCutOff(0, by: "partition")
        self.until = nil
    }
}

/// One peer no longer hears another, which still hears it.
struct OneWayNemesis: Nemesis {
    private var blocks: [(from: SimulatedPeer, to: SimulatedPeer, until: Instant)] = []

    mutating func inject(_ stage: NemesisStage) {
        guard let from = stage.pick(), let to = stage.pick(), from.index != to.index else { return }
        stage.count("one-way block")
        stage.cluster.world.links.block(from: from, to: to)
        blocks.append((from, to, stage.now + stage.random(.seconds(5), .seconds(60))))
    }

    mutating func step(_ stage: NemesisStage) {
        for block in blocks where block.until <= stage.now {
            stage.cluster.world.links.unblock(from: block.from, to: block.to)
        }
        blocks.removeAll { $0.until <= stage.now }
    }
}

/// A link holds everything back for a while, then delivers it.
struct ClogNemesis: Nemesis {
    mutating func inject(_ stage: NemesisStage) {
        guard let from = stage.pick(), let to = stage.pick(), from.index != to.index else { return }
        stage.count("clogged link")
        stage.cluster.world.links.clog(
            from: from, to: to, until: stage.now + stage.random(.seconds(1), .seconds(10)))
    }
}

/// A clock jumps by up to half a second.
struct ClockStepNemesis: Nemesis {
    mutating func inject(_ stage: NemesisStage) {
        guard let peer = stage.pick() else { return }
        stage.count("clock step")
        peer.clock.step(byMilliseconds: Int64.random(in: -500...500, using: &stage.generator))
    }
}

/// A clock is an hour ahead or behind, and is set right again.
struct ClockHourNemesis: Nemesis {
    private static let hour: Int64 = 3_600_000
    private var wrong: (peer: SimulatedPeer, by: Int64, until: Instant)?

    mutating func inject(_ stage: NemesisStage) {
        guard wrong == nil, stage.room > 0, let peer = stage.pick() else { return }
        stage.count("clock an hour off")
        let step = Bool.random(using: &stage.generator) ? Self.hour : -Self.hour
        peer.clock.step(byMilliseconds: step)
        // Whoever has to shake hands anew is refused for its clock (`decisions.md` §D).
        stage.setCutOff(1, by: "clock")
        wrong = (peer, step, stage.now + stage.random(.seconds(5), .seconds(40)))
    }

    mutating func step(_ stage: NemesisStage) {
        if let wrong, wrong.until <= stage.now { stop(stage) }
    }

    mutating func stop(_ stage: NemesisStage) {
        guard let wrong else { return }
        wrong.peer.clock.step(byMilliseconds: -wrong.by)
        stage.setCutOff(0, by: "clock")
        self.wrong = nil
    }
}
