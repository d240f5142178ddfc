import CyxCore
import CyxOverlay
import CyxTables
import CyxTransport
import Testing

/// Which members of a view are replaced, by what membership says of them.
@Suite struct ViewPlannerTests {
    private static let partition = Partition(holding: .zero, depth: 0)

    private static func peer(_ number: UInt64) -> PeerID { PeerID(Digest(number << 56, 0, 0, 0)) }
    private static func store(_ number: UInt64) -> StoreID { StoreID(Digest(number, 1, 1, 1)) }

    private static let view = View(
        id: ViewID(partition: partition, generation: 0, epoch: 3),
        members: (1...5).map { ViewMember(peer: peer($0), store: store($0)) }, quorum: 3)

    /// Of eight peers that store, of which five are in the view, the first is in `state` since 0.
    private func successor(_ state: MemberState, after seconds: Int64) -> View? {
        var members: [PeerID: Member] = [:]
        for number in 1...8 as ClosedRange<UInt64> {
            let info = MemberInfo(
                contact: PeerContact(
                    peer: Self.peer(number),
                    address: SocketAddress(ipv4: (10, 0, 0, UInt8(number)), port: 7700)),
                roles: .storage, zone: "", store: Self.store(number), allocatedBytes: 1,
                freeBytes: 1)
            members[info.peer] = Member(
                info: info, state: number == 1 ? state : .alive, since: Instant(nanoseconds: 0))
        }
        let planner = ViewPlanner(
            deathDelay: .seconds(60),
            snapshot: MembershipSnapshot(localPeer: Self.peer(2), members: members),
            absentSince: [:], isSettled: false, now: Instant(nanoseconds: seconds * 1_000_000_000))
        return planner.successor(of: Self.view)
    }

    @Test func whoLeavesIsReplacedAtOnce() {
        #expect(successor(.left, after: 0)?.contains(Self.peer(1)) == false)
        #expect(successor(.left, after: 0)?.members.count == 5)
    }

    @Test func theDeadAreReplacedAfterAWhile() {
        #expect(successor(.dead, after: 59) == nil)
        #expect(successor(.dead, after: 60)?.contains(Self.peer(1)) == false)
    }

    @Test func whoIsAwayOrOnlySuspectedKeepsItsSeat() {
        #expect(successor(.away, after: 20 * 3600) == nil)
        #expect(successor(.suspect, after: 3600) == nil)
    }
}
