package import CyxCore
package import CyxTransport

/// What a peer offers (architecture §2).
package struct PeerRoles: OptionSet, Hashable, Sendable {
    package var rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let storage = PeerRoles(rawValue: 1)
    package static let compute = PeerRoles(rawValue: 2)
    package static let gateway = PeerRoles(rawValue: 4)
    package static let scheduler = PeerRoles(rawValue: 8)
    package static let relay = PeerRoles(rawValue: 16)
}

/// What a peer says of itself through membership gossip.
package struct MemberInfo: Hashable, Sendable {
    package var contact: PeerContact
    package var roles: PeerRoles
    /// The failure domain that its operator declared.
    package var zone: String
    /// The life of its store; nil when it stores nothing.
    package var store: StoreID?
    /// How far that store has come.
    package var mark = StoreMark.none
    package var allocatedBytes: UInt64
    package var freeBytes: UInt64
    /// Peers through which it can be met and reached, best first; none if it can just be dialed.
    package var relays: [PeerContact] = []
    /// Whether it gives away what it holds, data and seats, and takes nothing new.
    package var isDraining = false

    package init(
        contact: PeerContact, roles: PeerRoles, zone: String, store: StoreID?,
        allocatedBytes: UInt64, freeBytes: UInt64, relays: [PeerContact] = [],
        isDraining: Bool = false
    ) {
        self.contact = contact
        self.roles = roles
        self.zone = zone
        self.store = store
        self.allocatedBytes = allocatedBytes
        self.freeBytes = freeBytes
        self.relays = relays
        self.isDraining = isDraining
    }

    package var peer: PeerID { contact.peer }

    /// What a peer says that keeps nothing any more.
    package mutating func stopStoring() {
        roles.remove(.storage)
        store = nil
        mark = .none
        freeBytes = 0
    }
}

package enum MemberState: Sendable, Hashable {
    case alive
    case suspect
    case dead
    /// Off for maintenance that it announced: not worth a request, not lost either.
    case away
    /// Left on purpose.
    case left
}

package struct Member: Hashable, Sendable {
    package var info: MemberInfo
    package var state: MemberState
    /// When this peer entered that state, as seen here.
    package var since: Instant
    /// When this peer first heard of it; of this peer itself, when it started.
    package var joined: Instant

    /// `joined` is `since` unless given.
    package init(info: MemberInfo, state: MemberState, since: Instant, joined: Instant? = nil) {
        self.info = info
        self.state = state
        self.since = since
        self.joined = joined ?? since
    }

    package var peer: PeerID { info.peer }
    /// Worth sending a request to: alive, or only suspected.
    package var isReachable: Bool { state == .alive || state == .suspect }
}

/// One peer's view of the network at a moment; includes the peer itself.
package struct MembershipSnapshot: Sendable {
    package var localPeer: PeerID
    package var members: [PeerID: Member] {
        didSet { sort() }
    }
    /// Members worth sending requests to, by peer ID. Kept sorted, since a snapshot is read far
    /// more often than it is made.
    package private(set) var reachable: [Member] = []
    /// Reachable members with the storage role, by peer ID.
    package private(set) var storers: [Member] = []
    /// Those of them that take something new.
    package private(set) var stayingStorers: [Member] = []
    /// Members with the storage role that are off for maintenance, by peer ID.
    package private(set) var awayStorers: [Member] = []
    /// Whether there are more members than these: the network is too large to know everybody. New
    /// data and seats then go to members of a random sample, which differs from peer to peer. Those
    /// whom `Membership.watch` names are among these once they have answered.
    package let isPartial: Bool
    /// Whether others have seen this peer's store further than it is now: it was put back from an
    /// older copy, has forgotten what it promised, and must not serve (A5).
    package let isStoreBehind: Bool
    /// Those of whom `Membership.watch` has nothing to tell, although they were asked for.
    private let silent: Set<PeerID>

    package init(
        localPeer: PeerID, members: [PeerID: Member], isPartial: Bool = false,
        isStoreBehind: Bool = false, silent: Set<PeerID> = []
    ) {
        self.isStoreBehind = isStoreBehind
        self.localPeer = localPeer
        self.isPartial = isPartial
        self.silent = silent
        self.members = members
        sort()
    }

    /// Whether a peer counts as there: who is not among many thousands that nobody here knows of is
    /// not gone, before it was asked for in vain.
    package func mayBeThere(_ peer: PeerID) -> Bool {
        members[peer].map(\.isReachable) ?? (isPartial && !silent.contains(peer))
    }

    private mutating func sort() {
        reachable = members.values.filter(\.isReachable).sorted { $0.peer < $1.peer }
        storers = reachable.filter { $0.info.roles.contains(.storage) }
        stayingStorers = storers.filter { !$0.info.isDraining }
        awayStorers = members.values.filter {
            $0.state == .away && $0.info.roles.contains(.storage)
        }.sorted { $0.peer < $1.peer }
    }
}

/// Who is in the network, as this peer sees it.
package protocol Membership: AnyObject, Sendable {
    var snapshot: MembershipSnapshot { get }

    /// Calls `observer` on the peer's executor after every change.
    func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void)

    /// Says something new of this peer: free space, store ID.
    func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void)

    /// Keeps the snapshot true for these peers, also where the network is too large to know
    /// everybody. Replaces what was said for the same interest before.
    func watch(_ peers: Set<PeerID>, for interest: WatchList.Interest)

    /// Where others keep what concerns `position`, and look for it: at most `count` peers, the
    /// likeliest first, this one not among them.
    func keepers(of position: Digest, count: Int) async -> [PeerID]
}

/// For a membership that knows everybody.
extension Membership {
    package func watch(_ peers: Set<PeerID>, for interest: WatchList.Interest) {}

    package func keepers(of position: Digest, count: Int) async -> [PeerID] {
        snapshot.ranked(position, count: count)
    }
}
