import CyxCore
import CyxOverlay
import CyxTransport
import Testing

/// A network of routing tables that answer each other at once.
private struct TableNetwork {
    var contacts: [PeerContact] = []
    var tables: [RoutingTable] = []
    var index: [PeerID: Int] = [:]
    var dead: Set<PeerID> = []
    var generator: SeededGenerator

    /// `count` peers that each have met others at random, as a network that has run for a while.
    init(count: Int, seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        for number in 0..<count {
            let id = PeerID(Self.digest(&generator))
            let address = SocketAddress(
                ipv4: (10, 1, UInt8(number >> 8), UInt8(number & 255)), port: 1)
            contacts.append(PeerContact(peer: id, address: address))
            index[id] = number
        }
        for contact in contacts {
            var table = RoutingTable(local: contact.peer, now: Instant(nanoseconds: 0))
            for other in contacts.shuffled(using: &generator) {
                table.insert(other, answered: true, now: Instant(nanoseconds: 0))
            }
            tables.append(table)
        }
    }

    static func digest(_ generator: inout SeededGenerator) -> Digest {
        Digest(generator.next(), generator.next(), generator.next(), generator.next())
    }

    /// Looks `target` up from peer `start`; answers arrive in random order.
    mutating func lookup(_ target: Digest, from start: Int) -> Lookup {
        let parameters = KademliaParameters()
        let seeds = tables[start].closest(to: target, count: 40, verifiedOnly: false)
        var lookup = Lookup(
            target: target, local: contacts[start].peer, seeds: seeds, parameters: parameters)
        var inFlight: [PeerContact] = []
        while true {
            inFlight += lookup.next()
            #expect(inFlight.count <= parameters.concurrency.most)
            guard !inFlight.isEmpty else { break }
            let asked = inFlight.remove(
                at: Int.random(in: 0..<inFlight.count, using: &generator))
            if dead.contains(asked.peer) {
                lookup.handleFailure(of: asked.peer)
            } else if let number = index[asked.peer] {
                lookup.handleAnswer(
                    from: asked.peer,
                    contacts: tables[number].closest(to: target, count: 40, verifiedOnly: true))
            }
        }
        #expect(lookup.isFinished)
        return lookup
    }

    func closestLive(to target: Digest, except start: Int) -> [PeerID] {
        let live = contacts.map(\.peer).filter {
            !dead.contains($0) && $0 != contacts[start].peer
        }
        return Array(live.sorted { ($0.digest ^ target) < ($1.digest ^ target) }.prefix(20))
    }
}

@Suite struct KademliaTests {
    @Test func lookupsFindTheTrueClosestAlsoWhenThirtyPercentAreDead() {
        var network = TableNetwork(count: 1000, seed: 1)
        check(&network, deadShare: 0)
        // Dead, and still in everybody's tables.
        for contact in network.contacts
        where Int.random(in: 0..<100, using: &network.generator) < 30 {
            network.dead.insert(contact.peer)
        }
        check(&network, deadShare: 30)
    }

    private func check(_ network: inout TableNetwork, deadShare: Int) {
        var hops = 0
        var requests = 0
        var complete = 0
        let rounds = 50
        for _ in 0..<rounds {
            let start = Int.random(in: 0..<1000, using: &network.generator)
            let target = TableNetwork.digest(&network.generator)
            let lookup = network.lookup(target, from: start)
            let expected = network.closestLive(to: target, except: start)
            #expect(lookup.result.first?.peer == expected.first)
            if lookup.result.map(\.peer) == expected { complete += 1 }
            #expect(Set(lookup.result.map(\.peer)).intersection(expected).count >= 19)
            hops += lookup.hops
            requests += lookup.requests
        }
        print(
            "1,000 peers, \(deadShare) % dead: mean hops \(Double(hops) / Double(rounds)), "
                + "requests \(Double(requests) / Double(rounds)), exact \(complete) of \(rounds)")
        #expect(complete >= rounds * 9 / 10)
        #expect(Double(hops) / Double(rounds) < 2.5)
    }

    @Test func aLookupIsBoundedAgainstPeersThatInventContacts() {
        var generator = SeededGenerator(seed: 2)
        func invent() -> PeerContact {
            PeerContact(
                peer: PeerID(TableNetwork.digest(&generator)),
                address: SocketAddress(ipv4: (10, 0, 0, 1), port: 1))
        }
        let parameters = KademliaParameters()
        var lookup = Lookup(
            target: .zero, local: invent().peer, seeds: [invent()], parameters: parameters)
        var inFlight: [PeerContact] = []
        while true {
            inFlight += lookup.next()
            guard let asked = inFlight.popLast() else { break }
            lookup.handleAnswer(from: asked.peer, contacts: (0..<1000).map { _ in invent() })
            lookup.handleAnswer(from: invent().peer, contacts: [invent()])
        }
        #expect(lookup.requests <= parameters.lookupRequests)
        #expect(lookup.result.count <= parameters.bucketSize)
    }

    @Test func onlyContactsThatHaveAnsweredAreToldOn() {
        let members = (0..<5).map { makeMember($0).info.contact }
        let now = Instant(nanoseconds: 0)
        var table = RoutingTable(local: makeMember(99).peer, now: now)
        for member in members { table.insert(member, answered: false, now: now) }
        #expect(table.closest(to: .zero, count: 20, verifiedOnly: true).isEmpty)
        #expect(table.contactsToCheck(silentSince: now, count: 3).count == 3)
        table.insert(members[2], answered: true, now: now)
        #expect(table.closest(to: .zero, count: 20, verifiedOnly: true) == [members[2]])
        table.failed(members[2].peer)
        #expect(table.closest(to: .zero, count: 20, verifiedOnly: true).isEmpty)
        table.failed(members[2].peer)
        #expect(table.count == 4)
    }

    @Test func aFullBucketKeepsItsOldestAndReplacesTheDead() {
        // All in the far half of the key space: one bucket.
        let local = PeerID(.zero)
        func contact(_ number: UInt64) -> PeerContact {
            PeerContact(
                peer: PeerID(Digest(1 << 63 | number, 0, 0, 0)),
                address: SocketAddress(ipv4: (10, 0, 0, 1), port: 1))
        }
        let now = Instant(nanoseconds: 0)
        var table = RoutingTable(local: local, now: now)
        for number in 0..<20 as Range<UInt64> {
            table.insert(contact(number), answered: true, now: now)
        }
        #expect(table.insert(contact(20), answered: true, now: now) == contact(0))
        #expect(table.count == 20)
        table.remove(contact(5).peer)
        #expect(table.count == 20)
        let all = table.closest(to: .zero, count: 30, verifiedOnly: false)
        #expect(all.contains(contact(20)) && !all.contains(contact(5)))
        table.insert(
            PeerContact(peer: local, address: contact(0).address), answered: true, now: now)
        #expect(table.count == 20)
    }

    @Test func oldBucketsAreRefreshedOnce() {
        var generator = SeededGenerator(seed: 4)
        let local = makeMember(7).peer
        var table = RoutingTable(local: local, now: Instant(nanoseconds: 0))
        for number in 0..<50 as Range<UInt64> {
            table.insert(
                makeMember(number).info.contact, answered: true, now: Instant(nanoseconds: 0))
        }
        let later = Instant(nanoseconds: 1000)
        var depths: [Int] = []
        while let target = table.refreshTarget(before: later, now: later, using: &generator) {
            depths.append((target ^ local.digest).leadingZeroBitCount)
        }
        // Each bucket in use, and one beyond, exactly once.
        #expect(depths == Array(0..<depths.count))
        #expect((5...12).contains(depths.count))
    }
}
