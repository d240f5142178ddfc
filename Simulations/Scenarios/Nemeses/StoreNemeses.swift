import CyxCore
import CyxOverlay
import SimulationHarness

/// A disk is replaced by an empty one.
struct WipeNemesis: Nemesis {
    mutating func inject(_ stage: NemesisStage) {
        guard stage.mayLoseStore, stage.room > 0, let peer = stage.pick(), peer.index > 1 else {
            return
        }
        stage.count("wiped store")
        stage.noteLostStore()
        stage.takeDown(peer, for: stage.random(.milliseconds(100), .seconds(10)))
        peer.disk.wipe()
    }
}

/// A disk is put back from an older copy, as operators restore snapshots: with the same store ID, and
/// without what was promised and accepted since. Its peer must notice before the others count on it
/// (NoAmnesia), and its operator then begins with an empty store.
struct RestoredCopyNemesis: Nemesis {
    private enum Stage {
        case idle
        /// And what mark its peer had told when the copy was made.
        case copied(SimulatedPeer, SimulatedDisk.Copy, UInt64)
        case restored(SimulatedPeer, at: Instant)
    }

    /// Others must have seen the store so much further than the copy was said to be: the copy may
    /// have a mark that nobody had been told of yet, and is opened with the next one.
    private static let lead: UInt64 = 2
    /// Within that it must have noticed.
    private static let patience = Duration.seconds(20)
    private var current = Stage.idle

    mutating func inject(_ stage: NemesisStage) {
        guard case .idle = current, let peer = stage.pick(), peer.index > 1,
            let mark = stage.leastKnownMark(of: peer)
        else { return }
        current = .copied(peer, peer.disk.copy(), mark)
    }

    mutating func step(_ stage: NemesisStage) {
        switch current {
        case .idle: break
        case .copied(let peer, let copy, let told):
            guard peer.isRunning, stage.mayLoseStore, stage.room > 0,
                let known = stage.leastKnownMark(of: peer), known >= told + Self.lead
            else { return }
            stage.count("store put back from a copy")
            stage.noteLostStore()
            stage.setCutOff(1, by: "older copy")
            stage.cluster.crash(peer)
            peer.disk.putBack(copy)
            peer.restart()
            current = .restored(peer, at: stage.now)
        case .restored(let peer, let time):
            if stage.cluster.life(of: peer)?.overlay.snapshot.isStoreBehind == true {
                stage.count("older copy noticed")
                replace(peer, stage)
            } else if stage.now - time >= Self.patience {
                stage.violations.append("NoAmnesia: \(peer.name) serves from an older copy")
                replace(peer, stage)
            }
        }
    }

    mutating func stop(_ stage: NemesisStage) {
        guard case .restored(let peer, _) = current else { return }
        replace(peer, stage)
    }

    private mutating func replace(_ peer: SimulatedPeer, _ stage: NemesisStage) {
        stage.setCutOff(0, by: "older copy")
        stage.takeDown(peer, for: .seconds(1))
        peer.disk.wipe()
        current = .idle
    }
}
