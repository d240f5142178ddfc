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

    /// A peer that stores, in `state` since 0.
    private static func member(
        _ number: UInt64, _ state: MemberState = .alive, joined: Int64 = 0, isDraining: Bool = false
    ) -> Member {
        let info = MemberInfo(
            contact: PeerContact(
                peer: peer(number),
                address: SocketAddress(ipv4: (10, 0, 0, UInt8(number)), port: 7700)),
            roles: .storage, zone: "", store: store(number), allocatedBytes: 1, freeBytes: 1,
            isDraining: isDraining)
        return Member(
            info: info, state: state, since: Instant(nanoseconds: 0),
            joined: Instant(nanoseconds: joined * 1_000_000_000))
    }

    /// What peer `local` makes of these members, `seconds` after the start.
    private static func planner(
        of local: UInt64, _ members: [Member], at seconds: Int64, salts: [PlacementSalt] = []
    ) -> ViewPlanner {
        ViewPlanner(
            deathDelay: .seconds(60),
            snapshot: MembershipSnapshot(
                localPeer: peer(local),
                members: Dictionary(uniqueKeysWithValues: members.map { ($0.peer, $0) })),
            absentSince: [:], isSettled: false,
            now: Instant(nanoseconds: seconds * 1_000_000_000), salts: salts)
    }

    /// A view of peers 1 to `seats`.
    private static func view(seats: UInt64) -> View {
        View(
            id: view.id,
            members: (1...seats).map { ViewMember(peer: peer($0), store: store($0)) },
            quorum: ViewSize(members: Int(seats)).quorum)
    }

    /// Of eight peers that store, of which five are in the view, the first is in `state` since 0.
    private func successor(_ state: MemberState, after seconds: Int64) -> View? {
        let members = (1...8).map { Self.member($0, $0 == 1 ? state : .alive) }
        return Self.planner(of: 2, members, at: seconds).successor(of: Self.view)
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

    // MARK: Who drains

    /// What follows a view of peers 1 to `seats` where those of `draining` drain, and `others` more
    /// peers store; as each of the members sees it, who all agree.
    private func successor(seats: UInt64, draining: Set<UInt64>, others: UInt64) -> View? {
        let view = Self.view(seats: seats)
        let members = (1...seats + others).map {
            Self.member($0, isDraining: draining.contains($0))
        }
        var successor: View?
        for number in 1...seats {
            let planner = Self.planner(of: number, members, at: 0)
            guard let plan = planner.successor(of: view) else { return nil }
            #expect(planner.objection(to: plan, after: view) == nil)
            successor = plan
        }
        return successor
    }

    @Test func whoDrainsIsReplacedByWhoDoesNot() {
        let next = successor(seats: 5, draining: [2, 7], others: 3)
        #expect(next?.members.count == 5)
        #expect(next?.contains(Self.peer(2)) == false && next?.contains(Self.peer(7)) == false)
    }

    @Test func aShrinkingViewTakesNobodyIn() {
        let planner = Self.planner(
            of: 2, (1...4).map { Self.member($0, isDraining: $0 == 1) }, at: 0)
        var view = Self.view(seats: 1)
        view.id.epoch += 1
        view.members = [ViewMember(peer: Self.peer(4), store: Self.store(4))]
        #expect(
            planner.objection(to: view, after: Self.view(seats: 3))
                == "a smaller view with new members")
    }

    @Test func theOnlyMemberGivesItsSeatAway() {
        #expect(successor(seats: 1, draining: [1], others: 1)?.peers == [Self.peer(2)])
        #expect(successor(seats: 1, draining: [1], others: 0) == nil)
    }

    @Test(arguments: [(9, 5), (5, 3), (3, 1)] as [(UInt64, Int)])
    func whereNobodyTakesTheSeatTheViewShrinks(seats: UInt64, size: Int) {
        let next = successor(seats: seats, draining: [1], others: 0)
        #expect(next?.members.count == size && next?.contains(Self.peer(1)) == false)
    }

    @Test func aViewShrinksStepByStepWhereAllButOneDrain() {
        let next = successor(seats: 5, draining: [2, 3, 4, 5], others: 0)
        #expect(next?.members.count == 3 && next?.contains(Self.peer(1)) == true)
    }

    @Test func whoLostItsStoreTakesItsSeatAgainWhereNobodyElseCan() {
        var view = Self.view(seats: 3)
        view.members[0].store = Self.store(77)
        let planner = Self.planner(of: 3, (1...3).map { Self.member($0) }, at: 90)
        let next = planner.successor(of: view)
        #expect(next?.contains(ViewMember(peer: Self.peer(1), store: Self.store(1))) == true)
        #expect(next.map { Set($0.peers).count } == 3)
        #expect(next.map { planner.objection(to: $0, after: view) } == .some(nil))
    }

    @Test func noMoreGoAtOnceThanMayBeLost() {
        let next = successor(seats: 5, draining: [1, 2, 3, 4, 5], others: 5)
        #expect(next?.members.count { $0.peer.digest.word0 >> 56 <= 5 } == 3)
    }

    // MARK: Who takes a seat

    private static let salt = PlacementSalt(
        value: Digest(9, 9, 9, 9), unknownUntil: Instant(nanoseconds: 10_000_000_000_000))

    /// Thirty peers of which five are in the view and the first is dead; the last ten joined after
    /// the salt was known. This peer has been there for longer than all.
    private func planner(salts: [PlacementSalt]) -> ViewPlanner {
        let members = (1...30).map { number in
            Self.member(number, number == 1 ? .dead : .alive, joined: number > 20 ? 11_000 : 0)
        }
        return Self.planner(of: 2, members, at: 20_000, salts: salts)
    }

    /// The view with peer `number` in the place of the dead one.
    private func seating(_ number: UInt64) -> View {
        var view = Self.view
        view.id.epoch += 1
        view.members[0] = ViewMember(peer: Self.peer(number), store: Self.store(number))
        return view
    }

    @Test func everySaltChoosesAnotherButNobodyWhoCameAfterIt() {
        var chosen: Set<PeerID> = []
        for number in 0..<40 as Range<UInt64> {
            let salt = PlacementSalt(
                value: Digest(number, 0, 0, 0), unknownUntil: Self.salt.unknownUntil)
            let successor = planner(salts: [salt]).successor(of: Self.view)
            chosen.formUnion((successor?.peers ?? []).filter { !Self.view.contains($0) })
        }
        #expect(chosen.count > 8)
        #expect(chosen.isSubset(of: Set((6...20).map { Self.peer($0) })))
    }

    @Test func aProposalMayPassOverTwoCandidatesAndNoMore() {
        let planner = planner(salts: [Self.salt])
        let order = PlacementOrder(Self.salt, localSince: Instant(nanoseconds: 0))
        let ranked = order.rank(
            position: Self.partition.lowerBound,
            members: planner.snapshot.storers.filter { !Self.view.contains($0.peer) })
        let numbers = ranked.map { $0.peer.digest.word0 >> 56 }
        for (place, number) in numbers.enumerated() {
            let objection = planner.objection(to: seating(number), after: Self.view)
            #expect((objection == nil) == (place <= 2), "place \(place)")
        }
        // Who knows no salt cannot tell, and who knows the one before too accepts both.
        #expect(self.planner(salts: []).objection(to: seating(numbers[9]), after: Self.view) == nil)
        let newer = PlacementSalt(value: .zero, unknownUntil: Self.salt.unknownUntil)
        #expect(
            self.planner(salts: [newer, Self.salt])
                .objection(to: seating(numbers[0]), after: Self.view) == nil)
    }

    @Test func inAYoungNetworkWhoeverIsThereWillDo() {
        // The salt was known before anybody but this view's members came.
        let salt = PlacementSalt(value: .zero, unknownUntil: Instant(nanoseconds: -1))
        let planner = planner(salts: [salt])
        #expect(planner.successor(of: Self.view)?.members.count == 5)
        #expect(planner.objection(to: seating(25), after: Self.view) == nil)
    }
}
