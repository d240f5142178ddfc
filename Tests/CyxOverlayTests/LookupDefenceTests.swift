import CyxCore
import CyxOverlay
import CyxTransport
import Testing

@Suite struct LookupDefenceTests {
    /// A contact at `distance` of the target zero, in a network of its own unless told otherwise.
    private func contact(_ distance: UInt64, network: UInt64? = nil) -> PeerContact {
        let network = network ?? distance
        let address = SocketAddress(
            ipv4: (9, UInt8(network >> 8 & 255), UInt8(network & 255), 1), port: 1)
        return PeerContact(peer: PeerID(Digest(distance << 40, 0, 0, 0)), address: address)
    }

    private func lookup(
        seeds: [PeerContact], paths: Int = 1, region: UInt64? = nil
    ) -> Lookup {
        var parameters = KademliaParameters()
        parameters.diversity = .networks
        return Lookup(
            target: .zero, local: PeerID(Digest(0, 0, 0, 1)), seeds: seeds, parameters: parameters,
            paths: paths, region: region.map { Digest($0 << 40, 0, 0, 0) })
    }

    /// Lets everybody answer with what `answers` says, until there is nobody left to ask.
    private func finish(
        _ lookup: inout Lookup, _ answers: (PeerContact) -> [PeerContact]?
    ) -> [PeerContact] {
        var asked: [PeerContact] = []
        while true {
            let batch = lookup.next()
            if batch.isEmpty { return asked }
            for contact in batch {
                asked.append(contact)
                if let contacts = answers(contact) {
                    lookup.handleAnswer(from: contact.peer, contacts: contacts)
                } else {
                    lookup.handleFailure(of: contact.peer)
                }
            }
        }
    }

    @Test func aCrowdInOneNetworkGetsTwoResults() {
        let crowd = (1...40).map { contact($0, network: 7) }
        let others = (100...140).map { contact($0) }
        var lookup = lookup(seeds: crowd + others)
        let asked = finish(&lookup) { _ in [] }
        #expect(asked.count { crowd.contains($0) } == 2)
        #expect(lookup.result.count == 20)
        #expect(lookup.result.count { crowd.contains($0) } == 2)
        #expect(lookup.result[2] == contact(100))
    }

    @Test func aSilentMemberOfACrowdMakesRoomForAnother() {
        let crowd = (1...4).map { contact($0, network: 7) }
        var lookup = lookup(seeds: crowd)
        let asked = finish(&lookup) { $0 == crowd[0] ? nil : [] }
        #expect(asked.count == 3)
        #expect(lookup.result == [crowd[1], crowd[2]])
    }

    @Test func aCrowdAtAKeyDoesNotHideWhoKnowsThePeersBehind() {
        // Only those beyond the region know the honest ones in it.
        let crowd = (1...20).map { contact($0) }
        let honest = (60...70).map { contact($0) }
        let beyond = (200...240).map { contact($0) }
        var lookup = lookup(seeds: crowd + beyond, region: 119)
        _ = finish(&lookup) { beyond.contains($0) ? honest : [] }
        #expect(Set(honest).isSubset(of: lookup.result))
    }

    @Test func aRegionIsAskedWholeHoweverManyAreClosest() {
        // 60 in 60 networks next to the target, and 20 honest ones in the region behind them.
        let crowd = (1...60).map { contact($0) }
        let honest = (100...119).map { contact($0) }
        let beyond = (200...240).map { contact($0) }
        var plain = lookup(seeds: crowd + honest + beyond)
        _ = finish(&plain) { _ in [] }
        #expect(plain.result.allSatisfy { crowd.contains($0) })
        var wide = lookup(seeds: crowd + honest + beyond, region: 119)
        _ = finish(&wide) { _ in [] }
        #expect(Set(wide.result) == Set(crowd + honest))
    }

    @Test func pathsShareNobodyAndOneLiarMisleadsOneOnly() {
        let seeds = (1000...1002).map { contact($0) }
        let honest = (100...110).map { contact($0) }
        var lookup = lookup(seeds: seeds, paths: 3)
        var asked: [PeerContact] = []
        asked = finish(&lookup) { peer in
            // The first seed and all it names lie: they name only each other, ever closer.
            if peer == seeds[0] { return (1...40).map { contact($0) } }
            return seeds.contains(peer) ? honest : []
        }
        #expect(Set(asked).count == asked.count)
        #expect(Set(honest).isSubset(of: asked))
    }

    @Test func whoNamesTheDeadIsNotFollowedFurther() {
        let seeds = [contact(5000), contact(5001)]
        let honest = (1000...1010).map { contact($0) }
        var lookup = lookup(seeds: seeds)
        let asked = finish(&lookup) { peer in
            if peer == seeds[0] { return (1...40).map { contact($0) } }
            if peer == seeds[1] { return honest }
            return honest.contains(peer) ? [] : nil
        }
        #expect(Set(lookup.result) == Set(seeds + honest))
        // Eight failures, and what was under way by then.
        #expect(asked.count { $0.peer.digest < contact(41).peer.digest } <= 18)
    }

    @Test func aStalledRequestHoldsNothingUpAndMayStillBeAnswered() {
        let seeds = (1...3).map { contact($0) }
        var lookup = lookup(seeds: seeds)
        let first = lookup.next()
        #expect(first == seeds)
        lookup.handleAnswer(from: seeds[1].peer, contacts: [])
        lookup.handleAnswer(from: seeds[2].peer, contacts: [])
        #expect(!lookup.isFinished)
        lookup.handleStall(of: seeds[0].peer)
        #expect(lookup.isFinished)
        #expect(lookup.result == Array(seeds[1...]))
        lookup.handleAnswer(from: seeds[0].peer, contacts: [])
        #expect(lookup.result == seeds)
        lookup.handleStall(of: seeds[0].peer)
        lookup.handleFailure(of: seeds[0].peer)
        #expect(lookup.result == seeds)
    }

    @Test func patienceFollowsHowLongAnswersTake() {
        var times = AnswerTimes(initial: .milliseconds(500))
        #expect(times.patience == .milliseconds(500))
        for _ in 0..<50 { times.record(.milliseconds(100)) }
        #expect(times.patience > .milliseconds(99) && times.patience < .milliseconds(110))
        times.record(.milliseconds(400))
        #expect(times.patience > .milliseconds(200))
        for _ in 0..<50 { times.record(.seconds(5)) }
        #expect(times.patience == AnswerTimes.bounds.most)
    }
}
