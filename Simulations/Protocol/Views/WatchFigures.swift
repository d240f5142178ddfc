import CyxCore
import CyxOverlay
import CyxTables
import CyxTransport

/// How soon the death of a custodian or holder that is nobody's neighbour is known to those who ask
/// after it, and whether the peers that keep a partition's view are found.
package struct WatchFigures: Sendable, Equatable {
    package var peers: Int
    /// Seconds from a death until it is known.
    package var custodians: Spread
    package var holders: Spread
    /// Lookups whose eight closest are the eight closest live peers there are.
    package var exact: Int
    /// Lookups of whose eight closest one was told the view by another lookup's finder.
    package var found: Int
    package var lookups: Int

    private static let deadShare = 0.1
    private static let trials = 200
    private static let asked = 8

    /// `holders` of segments are on each list beside 8 custodians; a tenth of the network is dead.
    package static func measure(
        peers: Int, holders: Int, lookups: Int, seed: UInt64
    ) -> WatchFigures {
        var parameters = KademliaParameters()
        parameters.diversity = .networks
        var run = LookupRun(
            population: Population(
                honest: peers, deadShare: deadShare, parameters: parameters, seed: seed),
            model: .planetLab, loss: 0.01, seed: seed)
        let keys = (0..<lookups).map { _ in run.randomKey() }
        let teaching = run.run(.explore, keys: keys, paths: parameters.paths, asksRegion: true)
        let asking = run.run(.explore, keys: keys, paths: parameters.paths, asksRegion: true)
        var (exact, found) = (0, 0)
        for (teacher, asker) in zip(teaching, asking) {
            let truth = run.population.closestLive(to: asker.lookup.target, asked) {
                $0 != asker.origin
            }.map { run.population.ids[$0] }
            let result = asker.lookup.result.prefix(asked).map(\.peer)
            let told = Set(teacher.lookup.result.prefix(TableService.teachWidth).map(\.peer))
            if result == truth { exact += 1 }
            if result.contains(where: told.contains) { found += 1 }
        }
        let times = asking.compactMap { operation in
            operation.finished.map { Duration.nanoseconds($0 - operation.started) }
        }
        var generator = SeededGenerator(seed: seed)
        func seconds(_ interest: WatchList.Interest) -> Spread {
            Spread(
                (0..<trials).map { _ in
                    death(of: interest, holders: holders, lookups: times, &generator)
                })
        }
        return WatchFigures(
            peers: peers, custodians: seconds(.custodians), holders: seconds(.holders),
            exact: exact, found: found, lookups: lookups)
    }

    /// Seconds until a list shows that one of its members is dead.
    private static func death(
        of interest: WatchList.Interest, holders: Int, lookups: [Duration],
        _ generator: inout SeededGenerator
    ) -> Double {
        let infos = (0..<holders + 8).map { _ in
            MemberInfo(
                contact: PeerContact(
                    peer: PeerID(generator.digest()),
                    address: SocketAddress(ipv4: (20, 0, 0, 1), port: 7700)),
                roles: .storage, zone: "", store: nil, allocatedBytes: 0, freeBytes: 0)
        }
        let byPeer = Dictionary(uniqueKeysWithValues: infos.map { ($0.peer, $0) })
        var list = WatchList()
        var now = Instant(nanoseconds: 0)
        list.want(Set(infos.prefix(8).map(\.peer)), for: .custodians, now: now)
        list.want(Set(infos.dropFirst(8).map(\.peer)), for: .holders, now: now)
        let victim = interest == .custodians ? infos[0].peer : infos[8].peer
        let interval = interest.interval.nanoseconds
        let died = Instant(
            nanoseconds: Int64.random(in: interval..<interval * 2, using: &generator))
        while list.member(victim)?.state != .dead {
            var round = Duration.seconds(0)
            for peer in list.takeDue(WatchList.width, now: now) {
                guard let info = byPeer[peer] else { continue }
                if peer == victim, now >= died {
                    // No answer, nor do its neighbours know it at another address.
                    round = MembershipTimings.production.probeTimeout
                    round += lookups.randomElement(using: &generator) ?? .zero
                } else {
                    list.handleWord(info, .alive, now: now)
                }
            }
            if round > .zero { list.handleFailure(of: victim, now: now + round) }
            now = now + max(round, .zero) + WatchList.pause
        }
        let known = list.member(victim)?.since ?? now
        return (known - died).inSeconds
    }
}
