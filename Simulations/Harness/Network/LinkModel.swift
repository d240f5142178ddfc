package import CyxCore
internal import Synchronization

/// How datagrams fare on a link. Chances are per datagram, 0 to 1.
package struct LinkQuality: Sendable, Equatable {
    package var latency: Duration = .microseconds(500)
    /// Added to `latency`, uniformly from 0 to this.
    package var jitter: Duration = .microseconds(500)
    package var loss = 0.0
    package var duplication = 0.0
    /// How many datagrams are held back by `reorderingDelay`, so that later ones overtake them.
    package var reordering = 0.0
    package var reorderingDelay: Duration = .milliseconds(20)
    /// How many messages arrive once more, up to `replayDelay` later. Of messages alone: between
    /// packets, the transport's packet numbers stand in the way.
    package var replay = 0.0
    package var replayDelay: Duration = .seconds(2)
    package init() {}
}

/// Decides what happens to each datagram between two addresses, from the world's seed.
package final class LinkModel: Sendable {
    private struct Link: Hashable {
        var from: UInt128
        var to: UInt128
    }

    private struct State {
        var quality: LinkQuality
        var overrides: [Link: LinkQuality] = [:]
        var blocked: Set<Link> = []
        /// Peers of different groups cannot reach one another; unlisted ones are of group 0.
        var groups: [UInt128: Int] = [:]
        var cloggedUntil: [Link: Instant] = [:]
        var generator: SeededGenerator
        var lost: UInt64 = 0
        var sent: UInt64 = 0
    }

    private let state: Mutex<State>

    init(quality: LinkQuality, seed: UInt64) {
        state = Mutex(State(quality: quality, generator: SeededGenerator(seed: seed)))
    }

    package var sentCount: UInt64 { state.withLock { $0.sent } }
    package var lostCount: UInt64 { state.withLock { $0.lost } }

    package func setQuality(_ quality: LinkQuality) { state.withLock { $0.quality = quality } }
    package func change(_ change: (inout LinkQuality) -> Void) {
        state.withLock { change(&$0.quality) }
    }

    /// Gives one direction of one link a quality of its own; nil takes it away again.
    package func setQuality(
        _ quality: LinkQuality?, from: SimulatedPeer, to: SimulatedPeer
    ) {
        state.withLock { $0.overrides[Link(from: from.address.ip, to: to.address.ip)] = quality }
    }

    /// Blocks one direction only.
    package func block(from: SimulatedPeer, to: SimulatedPeer) {
        _ = state.withLock { $0.blocked.insert(Link(from: from.address.ip, to: to.address.ip)) }
    }

    package func unblock(from: SimulatedPeer, to: SimulatedPeer) {
        _ = state.withLock { $0.blocked.remove(Link(from: from.address.ip, to: to.address.ip)) }
    }

    /// Splits the network: peers of `groups[i]` reach only each other; the rest form a group too.
    package func partition(_ groups: [[SimulatedPeer]]) {
        state.withLock { state in
            state.groups = [:]
            for (number, group) in groups.enumerated() {
                for peer in group { state.groups[peer.address.ip] = number + 1 }
            }
        }
    }

    /// Ends partitions and one-way blocks.
    package func heal() {
        state.withLock { state in
            state.groups = [:]
            state.blocked = []
        }
    }

    /// Holds everything sent on a link until `until`, then delivers it.
    package func clog(from: SimulatedPeer, to: SimulatedPeer, until: Instant) {
        let link = Link(from: from.address.ip, to: to.address.ip)
        state.withLock { $0.cloggedUntil[link] = until }
    }

    /// When a message that arrives at `time` arrives again, if it does.
    func replay(of time: Instant) -> Instant? {
        state.withLock { state in
            guard Self.strikes(state.quality.replay, &state.generator) else { return nil }
            let most = state.quality.replayDelay.nanoseconds
            return time + .nanoseconds(Int64.random(in: 0...most, using: &state.generator))
        }
    }

    /// When the copies of a datagram sent now arrive: none if it is lost, two if duplicated.
    func arrivals(from: UInt128, to: UInt128, now: Instant) -> [Instant] {
        state.withLock { state in
            state.sent += 1
            let link = Link(from: from, to: to)
            let quality = state.overrides[link] ?? state.quality
            let isCut =
                state.blocked.contains(link)
                || state.groups[from, default: 0] != state.groups[to, default: 0]
            let isLost = Self.strikes(quality.loss, &state.generator)
            guard !isCut, !isLost else {
                state.lost += 1
                return []
            }
            var times = [Self.arrival(quality, now, &state.generator)]
            if Self.strikes(quality.duplication, &state.generator) {
                times.append(Self.arrival(quality, now, &state.generator))
            }
            if let until = state.cloggedUntil[link] {
                if until > now { times = times.map { max($0, until) } }
            }
            return times
        }
    }

    private static func arrival(
        _ quality: LinkQuality, _ now: Instant, _ generator: inout SeededGenerator
    ) -> Instant {
        let jitter = max(0, quality.jitter.nanoseconds)
        let extra = jitter == 0 ? 0 : Int64.random(in: 0...jitter, using: &generator)
        var time = now + quality.latency + .nanoseconds(extra)
        if strikes(quality.reordering, &generator) { time = time + quality.reorderingDelay }
        return time
    }

    private static func strikes(_ chance: Double, _ generator: inout SeededGenerator) -> Bool {
        chance > 0 && Double.random(in: 0..<1, using: &generator) < chance
    }
}
