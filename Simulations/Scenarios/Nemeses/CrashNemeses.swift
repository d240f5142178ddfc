import CyxAssembly
import CyxCore
import CyxTables
import SimulationHarness

/// A process dies and comes back.
struct CrashNemesis: Nemesis {
    mutating func inject(_ stage: NemesisStage) {
        guard stage.room > 0, let peer = stage.pick() else { return }
        stage.count("crash and restart")
        stage.takeDown(peer, for: stage.random(.milliseconds(100), .seconds(60)))
    }
}

/// A gateway dies in the midst of an operation, at any of its steps.
struct GatewayCrashNemesis: Nemesis {
    mutating func inject(_ stage: NemesisStage) {
        let busy = stage.busy()
        guard stage.room > 0, let peer = busy.randomElement(using: &stage.generator) else {
            return
        }
        stage.count("gateway crash in an operation")
        // Between two steps of the scenario: wherever the operation is by then.
        let world = stage.cluster.world
        world.run(for: stage.random(.milliseconds(1), .milliseconds(500)))
        stage.takeDown(peer, for: stage.random(.milliseconds(100), .seconds(10)))
    }
}

/// A peer comes and goes at about the time that others take to declare it dead and replace it.
struct FlapNemesis: Nemesis {
    private static let repeats = 4
    private var flaps: [(peer: SimulatedPeer, at: Instant)] = []

    mutating func inject(_ stage: NemesisStage) {
        guard stage.room > 0, flaps.isEmpty, let peer = stage.pick() else { return }
        stage.count("flapping peer")
        let death = stage.cluster.options.profile.tables.deathDelay
        for number in 0..<Self.repeats {
            flaps.append((peer, stage.now + death * (3 * number)))
        }
    }

    mutating func step(_ stage: NemesisStage) {
        let death = stage.cluster.options.profile.tables.deathDelay
        for (peer, at) in flaps where at <= stage.now && stage.room > 0 {
            stage.takeDown(peer, for: stage.random(death / 2, death * 2))
        }
        flaps.removeAll { $0.at <= stage.now }
    }

    mutating func stop(_ stage: NemesisStage) { flaps = [] }
}

/// A zone is gone at once, and comes back.
struct ZoneNemesis: Nemesis {
    mutating func inject(_ stage: NemesisStage) {
        let zones = stage.cluster.options.zones
        guard zones > 2, stage.unreachable == 0 else { return }
        let zone = Int.random(in: 0..<zones, using: &stage.generator)
        let time = stage.random(.seconds(3), .seconds(40))
        stage.count("zone lost and back")
        for peer in stage.cluster.running where peer.index % zones == zone {
            stage.takeDown(peer, for: time)
        }
    }
}

/// Power fails for everyone at once, and returns to each in its own time.
struct PowerNemesis: Nemesis {
    mutating func inject(_ stage: NemesisStage) {
        guard stage.unreachable == 0 else { return }
        stage.count("full power-off")
        for peer in stage.cluster.running {
            stage.takeDown(peer, for: stage.random(.seconds(1), .seconds(8)))
        }
    }
}
