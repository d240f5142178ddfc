package import CyxCore
internal import Synchronization

/// Whom this peer gives no new shards, by the network's verdicts and by its own bad experience.
package final class StandingBook: Sendable {
    /// How long a peer whose shard turned out bad is passed over where there are others.
    static let distrustTime = Duration.seconds(3600)
    /// Peers that are distrusted at once; the one whose time ends first makes room.
    static let distrusted = 1024

    package struct Entry: Hashable, Sendable {
        package var verdict: Verdict
        package var reason: VerdictReason
        /// The window of audits that led to it.
        package var window: UInt64

        package init(_ verdict: Verdict, _ reason: VerdictReason, window: UInt64) {
            self.verdict = verdict
            self.reason = reason
            self.window = window
        }
    }

    private struct State {
        var entries: [PeerID: Entry] = [:]
        var distrust: [PeerID: Instant] = [:]
        var uptime: Double?
    }

    private let state = Mutex(State())

    package init() {}

    /// Peers that are not in good standing.
    package var entries: [PeerID: Entry] { state.withLock { $0.entries } }

    package func verdict(_ peer: PeerID) -> Verdict {
        state.withLock { $0.entries[peer]?.verdict ?? .good }
    }

    package func replace(_ entries: [PeerID: Entry]) {
        state.withLock { $0.entries = entries }
    }

    /// Mean share of the time for which storage peers are up, as audits found; nil while too little
    /// is known.
    package var uptime: Double? { state.withLock { $0.uptime } }

    package func setUptime(_ uptime: Double?) { state.withLock { $0.uptime = uptime } }

    /// Peers with at least that verdict.
    package func peers(atLeast verdict: Verdict) -> Set<PeerID> {
        state.withLock { state in
            Set(state.entries.filter { $0.value.verdict >= verdict }.map(\.key))
        }
    }

    /// Notes that `peer` gave something bad. It costs it only this peer's preference.
    package func distrust(_ peer: PeerID, now: Instant) {
        state.withLock { state in
            if state.distrust.count >= StandingBook.distrusted,
                let first = state.distrust.min(by: {
                    ($0.value, $0.key) < ($1.value, $1.key)
                })
            {
                state.distrust[first.key] = nil
            }
            state.distrust[peer] = now + StandingBook.distrustTime
        }
    }

    package func distrusted(now: Instant) -> Set<PeerID> {
        state.withLock { state in
            state.distrust = state.distrust.filter { $0.value > now }
            return Set(state.distrust.keys)
        }
    }
}
