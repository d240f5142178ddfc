import CyxCore
import CyxOverlay
import CyxTransport
import Testing

func makeMember(_ number: UInt64, zone: String = "a", state: MemberState = .alive) -> Member {
    var generator = SeededGenerator(seed: number)
    let peer = PeerID(
        Digest(generator.next(), generator.next(), generator.next(), generator.next()))
    let address = SocketAddress(ipv4: (10, 0, UInt8(number >> 8), UInt8(number & 255)), port: 7700)
    let info = MemberInfo(
        contact: PeerContact(peer: peer, address: address), roles: .storage, zone: zone,
        store: nil, allocatedBytes: 1 << 30, freeBytes: 1 << 30)
    return Member(info: info, state: state, since: Instant(nanoseconds: 0))
}

private func position(_ number: UInt64) -> Digest { Digest(number, 0, 0, 0) }

@Suite struct RendezvousTests {
    @Test func everyOrderOfInputRanksTheSame() {
        let members = (0..<20).map { makeMember($0) }
        let ranked = Rendezvous.rank(position: position(3), members: members)
        #expect(ranked == Rendezvous.rank(position: position(3), members: members.reversed()))
        #expect(
            ranked.map(\.peer)
                != Rendezvous.rank(position: position(4), members: members).map(\.peer))
    }

    @Test func aLeavingMemberMovesOnlyWhatWasItsOwn() {
        let members = (0..<20).map { makeMember($0) }
        var moved = 0
        for number in 0..<400 as Range<UInt64> {
            let before = Rendezvous.rank(position: position(number), members: members)
            let after = Rendezvous.rank(
                position: position(number), members: Array(members.dropFirst()))
            if before[0].peer == members[0].peer {
                moved += 1
                #expect(after[0].peer == before[1].peer)
            } else {
                #expect(after[0].peer == before[0].peer)
            }
        }
        // 20 expected, standard deviation 4.4.
        #expect((5...38).contains(moved))
    }

    @Test func twiceTheWeightComesFirstTwiceAsOften() {
        let members = (0..<3).map { makeMember($0) }
        var first = 0
        for number in 0..<4000 as Range<UInt64> {
            let ranked = Rendezvous.rank(position: position(number), members: members) {
                $0.peer == members[0].peer ? 2 : 1
            }
            if ranked[0].peer == members[0].peer { first += 1 }
        }
        // Half of them, standard deviation 32.
        #expect((1850...2150).contains(first))
    }

    @Test func zonesAreCappedWhereTheySuffice() {
        let members = (0..<12).map { makeMember($0, zone: ["a", "b", "c"][Int($0) % 3]) }
        let few = Rendezvous.spread(members, count: 6, maximumPerZone: 2)
        for zone in ["a", "b", "c"] { #expect(few.filter { $0.info.zone == zone }.count == 2) }
        let lopsided = members.filter { $0.info.zone == "a" } + [members[1]]
        #expect(Rendezvous.spread(lopsided, count: 4, maximumPerZone: 1).count == 4)
        #expect(Rendezvous.spread(lopsided, count: 9, maximumPerZone: 1).count == 5)
        #expect(Rendezvous.spread([], count: 3, maximumPerZone: 1).isEmpty)
    }
}
