import CyxCore
import SimulationHarness
import Synchronization

/// Which peers lie to readers of their shards.
final class LiarList: Sendable {
    private let liars = Mutex<Set<Int>>([])

    func contains(_ peer: SimulatedPeer) -> Bool { liars.withLock { $0.contains(peer.index) } }
    func set(_ peer: SimulatedPeer, lies: Bool) {
        liars.withLock { liars in
            if lies { liars.insert(peer.index) } else { liars.remove(peer.index) }
        }
    }
}

/// A holder lies to whoever reads shards from it, for a while.
struct LyingHolderNemesis: Nemesis {
    private var liar: (peer: SimulatedPeer, until: Instant)?

    mutating func inject(_ stage: NemesisStage) {
        guard liar == nil, stage.room > 0, let peer = stage.pick() else { return }
        stage.count("lying holder")
        stage.cluster.liars.set(peer, lies: true)
        stage.setCutOff(1, by: "lies")
        liar = (peer, stage.now + stage.random(.seconds(10), .seconds(60)))
    }

    mutating func step(_ stage: NemesisStage) {
        if let liar, liar.until <= stage.now { stop(stage) }
    }

    mutating func stop(_ stage: NemesisStage) {
        guard let liar else { return }
        stage.cluster.liars.set(liar.peer, lies: false)
        stage.setCutOff(0, by: "lies")
        self.liar = nil
    }
}
