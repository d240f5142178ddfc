import CyxCore
import CyxOverlay
import CyxTransport
import Synchronization

/// One truth about who is in the network, told to every peer at once.
final class FakeMembers: Sendable {
    struct State {
        var members: [PeerID: Member] = [:]
        var observers: [PeerID: @Sendable (MembershipSnapshot) -> Void] = [:]
        /// Whom nobody sees, in a network that is too large to see everybody; nil: it is not.
        var unseen: Set<PeerID>?
        /// Those of the unseen that were asked for in vain.
        var silent: Set<PeerID> = []
    }

    let state = Mutex(State())

    func set(_ info: MemberInfo, _ memberState: MemberState = .alive) {
        state.withLock {
            $0.members[info.peer] = Member(
                info: info, state: memberState, since: Instant(nanoseconds: 0))
        }
        tell()
    }

    func mark(_ peer: PeerID, _ memberState: MemberState) {
        state.withLock { $0.members[peer]?.state = memberState }
        tell()
    }

    func hide(_ peers: Set<PeerID>) {
        state.withLock { $0.unseen = peers }
        tell()
    }

    func giveUp(_ peers: Set<PeerID>) {
        state.withLock { $0.silent = peers }
        tell()
    }

    func snapshot(of peer: PeerID) -> MembershipSnapshot {
        let state = state.withLock { $0 }
        return MembershipSnapshot(
            localPeer: peer,
            members: state.members.filter { state.unseen?.contains($0.key) != true },
            isPartial: state.unseen != nil, silent: state.silent)
    }

    private func tell() {
        let observers = state.withLock { $0.observers }
        for (peer, observer) in observers.sorted(by: { $0.key < $1.key }) {
            observer(snapshot(of: peer))
        }
    }
}

final class FakeMembership: Membership {
    let peer: PeerID
    let members: FakeMembers

    init(_ peer: PeerID, _ members: FakeMembers) {
        self.peer = peer
        self.members = members
    }

    var snapshot: MembershipSnapshot { members.snapshot(of: peer) }

    func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void) {
        members.state.withLock { $0.observers[peer] = observer }
    }

    func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {
        members.state.withLock { state in
            if var member = state.members[peer] {
                change(&member.info)
                state.members[peer] = member
            }
        }
    }
}
