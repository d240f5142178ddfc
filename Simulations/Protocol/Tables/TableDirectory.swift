import CyxCore
import CyxOverlay
import Synchronization

/// Who is in a world of tables, as the adversary says: every peer sees the same, true or not.
final class TableDirectory: Sendable {
    private let members = Mutex<[PeerID: Member]>([:])
    private let observers = Mutex<[@Sendable () -> Void]>([])

    var all: [PeerID: Member] { members.withLock { $0 } }

    func set(_ member: Member) {
        members.withLock { $0[member.peer] = member }
        notify()
    }

    func change(_ peer: PeerID, to state: MemberState, at time: Instant) {
        members.withLock { members in
            guard let old = members[peer]?.state, old != state else { return }
            members[peer]?.state = state
            members[peer]?.since = time
        }
        notify()
    }

    func state(of peer: PeerID) -> MemberState? { members.withLock { $0[peer]?.state } }

    fileprivate func observe(_ observer: @escaping @Sendable () -> Void) {
        observers.withLock { $0.append(observer) }
    }

    private func notify() {
        for observer in observers.withLock({ $0 }) { observer() }
    }
}

/// The directory as one life of one peer sees it.
final class DirectedMembership: Membership {
    private let localPeer: PeerID
    private let directory: TableDirectory
    private let executor: any PeerExecutor

    init(localPeer: PeerID, directory: TableDirectory, executor: any PeerExecutor) {
        self.localPeer = localPeer
        self.directory = directory
        self.executor = executor
    }

    var snapshot: MembershipSnapshot {
        MembershipSnapshot(localPeer: localPeer, members: directory.all)
    }

    func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void) {
        directory.observe { self.executor.execute { observer(self.snapshot) } }
    }

    func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {}
}
