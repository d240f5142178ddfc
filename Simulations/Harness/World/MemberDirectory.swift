package import CyxCore
package import CyxOverlay
internal import Synchronization

/// Who is in a simulated network, as a scenario says, true or not, where no membership protocol
/// runs: every peer sees the same, except that those of different groups hold each other for dead.
package final class MemberDirectory: Sendable {
    private struct State {
        var members: [PeerID: Member] = [:]
        /// Peers that are not listed are of group 0.
        var groups: [PeerID: Int] = [:]
        var observers: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    package init() {}

    package func set(_ member: Member) {
        state.withLock { $0.members[member.peer] = member }
        notify()
    }

    /// Changes the state of a member, if it is another one; `time`: since when.
    package func change(_ peer: PeerID, to memberState: MemberState, at time: Instant) {
        state.withLock { state in
            guard let old = state.members[peer]?.state, old != memberState else { return }
            state.members[peer]?.state = memberState
            state.members[peer]?.since = time
        }
        notify()
    }

    /// What a member says of itself.
    fileprivate func announce(_ peer: PeerID, _ change: (inout MemberInfo) -> Void) {
        state.withLock { state in
            guard var member = state.members[peer] else { return }
            change(&member.info)
            state.members[peer] = member
        }
        notify()
    }

    /// Divides the peers into those of `group` and all others; empty: they are one again.
    package func divide(_ group: [PeerID]) {
        state.withLock { state in
            state.groups = Dictionary(uniqueKeysWithValues: group.map { ($0, 1) })
        }
        notify()
    }

    package func state(of peer: PeerID) -> MemberState? {
        state.withLock { $0.members[peer]?.state }
    }

    fileprivate func members(seenBy observer: PeerID) -> [PeerID: Member] {
        state.withLock { state in
            guard !state.groups.isEmpty else { return state.members }
            let group = state.groups[observer, default: 0]
            return state.members.mapValues { member in
                guard state.groups[member.peer, default: 0] != group, member.state != .left else {
                    return member
                }
                var unreachable = member
                unreachable.state = .dead
                return unreachable
            }
        }
    }

    fileprivate func observe(_ observer: @escaping @Sendable () -> Void) {
        state.withLock { $0.observers.append(observer) }
    }

    private func notify() {
        for observer in state.withLock({ $0.observers }) { observer() }
    }
}

/// The directory as one life of one peer sees it.
package final class DirectedMembership: Membership {
    private let localPeer: PeerID
    private let directory: MemberDirectory
    private let executor: any PeerExecutor

    package init(localPeer: PeerID, directory: MemberDirectory, executor: any PeerExecutor) {
        self.localPeer = localPeer
        self.directory = directory
        self.executor = executor
    }

    package var snapshot: MembershipSnapshot {
        MembershipSnapshot(localPeer: localPeer, members: directory.members(seenBy: localPeer))
    }

    package func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void) {
        directory.observe { self.executor.execute { observer(self.snapshot) } }
    }

    package func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {
        directory.announce(localPeer, change)
    }
}
