import CyxCore
import CyxOverlay
import CyxTransport
import Testing

@Suite struct DiversityTests {
    private let now = Instant(nanoseconds: 0)

    private func peers(_ count: Int, seed: UInt64) -> [PeerID] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            PeerID(
                Digest(generator.next(), generator.next(), generator.next(), generator.next()))
        }
    }

    private func openTable() -> RoutingTable {
        var parameters = KademliaParameters()
        parameters.diversity = .networks
        return RoutingTable(local: PeerID(.zero), parameters: parameters, now: now)
    }

    @Test func oneNetworkGetsTwoOfABucketAndTenOfATable() {
        var table = openTable()
        for (number, peer) in peers(500, seed: 3).enumerated() {
            let address = SocketAddress(ipv4: (9, 1, 2, UInt8(number & 255)), port: 1)
            table.insert(PeerContact(peer: peer, address: address), answered: true, now: now)
        }
        #expect(table.count == 10)
        // Half of all IDs are in the farthest bucket.
        let far = table.closest(to: Digest(1 << 63, 0, 0, 0), count: 500, verifiedOnly: true)
            .filter { $0.peer.digest.word0 >> 63 == 1 }
        #expect(far.count == 2)
        for (number, peer) in peers(500, seed: 4).enumerated() {
            let address = SocketAddress(ipv4: (9, 1, UInt8(number & 255), 1), port: 1)
            table.insert(PeerContact(peer: peer, address: address), answered: true, now: now)
        }
        #expect(table.count > 60)
    }

    @Test func anIPv6ProviderIsBoundedBeyondItsSites() throws {
        var table = openTable()
        for (number, peer) in peers(500, seed: 5).enumerated() {
            // Each in a /48 of its own, all in one /32.
            let address = try SocketAddress(
                parsing: "[2a00:1111:\(String(number + 1, radix: 16))::1]:7")
            table.insert(PeerContact(peer: peer, address: address), answered: true, now: now)
        }
        #expect(table.count == 20)
    }

    @Test func anOpenTableKeepsAContactAtItsAdmittedAddress() {
        var table = openTable()
        let ids = peers(40, seed: 6).filter { $0.digest.word0 >> 63 == 1 }
        for (number, peer) in ids.prefix(3).enumerated() {
            let address = SocketAddress(ipv4: (9, 1, UInt8(number), 1), port: 1)
            table.insert(PeerContact(peer: peer, address: address), answered: true, now: now)
        }
        // All move into one network; the third would be one too many there.
        for peer in ids.prefix(3) {
            let address = SocketAddress(ipv4: (9, 9, 9, 9), port: 1)
            table.insert(PeerContact(peer: peer, address: address), answered: true, now: now)
        }
        let moved = table.closest(to: .zero, count: 3, verifiedOnly: true)
            .filter { $0.address == SocketAddress(ipv4: (9, 9, 9, 9), port: 1) }
        #expect(table.count == 3)
        #expect(moved.count == 2)
    }

    @Test func zonesGiveRoomUpOnlyToZonesThatHaveLess() {
        // One subnet, as a private network has.
        var table = RoutingTable(local: PeerID(.zero), now: now)
        func contact(_ number: UInt64) -> PeerContact {
            PeerContact(
                peer: PeerID(Digest(1 << 63 | number, 0, 0, 0)),
                address: SocketAddress(ipv4: (127, 0, 0, 1), port: UInt16(number + 1)))
        }
        for number in 0..<20 as Range<UInt64> {
            table.insert(contact(number), zone: "a", answered: true, now: now)
        }
        #expect(table.count == 20)
        for number in 20..<30 as Range<UInt64> {
            table.insert(contact(number), zone: "b", answered: true, now: now)
        }
        let all = table.closest(to: .zero, count: 30, verifiedOnly: true)
        #expect(all.count == 20)
        #expect(all.count { $0.peer.digest.word0 & 0xFFFF >= 20 } == 2)
        #expect(all.contains(contact(0)))
    }

    @Test(arguments: [
        ("192.168.1.1", false), ("10.0.0.1", false), ("127.0.0.1", false), ("172.31.0.1", false),
        ("172.32.0.1", true), ("100.64.0.1", false), ("169.254.1.1", false), ("8.8.8.8", true),
        ("224.0.0.1", false), ("0.1.2.3", false), ("[::1]", false), ("[fe80::1]", false),
        ("[fd00::1]", false), ("[2001:db8::1]", false), ("[2a00::1]", true),
    ])
    func onlyAddressesThatStrangersReachAreGlobal(_ host: String, _ isGlobal: Bool) throws {
        let address = try SocketAddress(parsing: "\(host):9")
        #expect(address.isGlobal == isGlobal)
    }

    @Test func whoHasLongBeenSilentIsCheckedAfterWhoNeverAnswered() {
        var table = RoutingTable(local: PeerID(.zero), now: now)
        let ids = peers(4, seed: 7)
        func contact(_ index: Int) -> PeerContact {
            PeerContact(peer: ids[index], address: SocketAddress(ipv4: (9, 0, 0, 1), port: 1))
        }
        table.insert(contact(0), answered: true, now: Instant(nanoseconds: 20))
        table.insert(contact(1), answered: true, now: Instant(nanoseconds: 10))
        table.insert(contact(2), answered: false, now: Instant(nanoseconds: 30))
        table.insert(contact(3), answered: true, now: Instant(nanoseconds: 90))
        let limit = Instant(nanoseconds: 50)
        let due = table.contactsToCheck(silentSince: limit, count: 9)
        #expect(due == [contact(2), contact(1), contact(0)])
        #expect(table.contactsToCheck(silentSince: limit, count: 2) == [contact(2), contact(1)])
    }

    @Test func aReplacementAnswersAgainBeforeOthersAreTold() {
        var table = RoutingTable(local: PeerID(.zero), now: now)
        func contact(_ number: UInt64) -> PeerContact {
            PeerContact(
                peer: PeerID(Digest(1 << 63 | number, 0, 0, 0)),
                address: SocketAddress(ipv4: (9, 0, 0, 1), port: 1))
        }
        for number in 0..<21 as Range<UInt64> {
            table.insert(contact(number), answered: true, now: now)
        }
        table.remove(contact(4).peer)
        #expect(table.count == 20)
        #expect(!table.closest(to: .zero, count: 30, verifiedOnly: true).contains(contact(20)))
        #expect(table.contactsToCheck(silentSince: now, count: 5) == [contact(20)])
    }

    @Test func theClosestAreThoseThatSortingAllWouldFind() {
        var table = RoutingTable(local: peers(1, seed: 8)[0], now: now)
        for peer in peers(2000, seed: 9) {
            let address = SocketAddress(ipv4: (9, 0, 0, 1), port: 1)
            table.insert(PeerContact(peer: peer, address: address), answered: true, now: now)
        }
        let all = table.closest(to: .zero, count: 2000, verifiedOnly: false).map(\.peer.digest)
        #expect(all.count == table.count)
        for target in peers(20, seed: 10).map(\.digest) + [table.local.digest] {
            let found = table.closest(to: target, count: 40, verifiedOnly: true)
            let expected = all.sorted { ($0 ^ target) < ($1 ^ target) }.prefix(40)
            #expect(found.map(\.peer.digest) == Array(expected))
        }
        let own = table.local.digest
        let twentieth = all.map { $0 ^ own }.sorted()[19]
        #expect(table.neighbourhood == twentieth)
    }
}
