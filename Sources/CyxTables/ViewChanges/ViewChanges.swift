internal import CyxCore
internal import CyxOverlay

/// A member-to-be's head start on the state of a view.
struct Learning {
    var view: ViewID
    var isDone = false
    /// Dropped then, unless somebody asks again.
    var until: Instant
}

/// What a peer keeps in memory of the view changes around it; all of it is found anew after a
/// restart.
struct ViewChanges {
    /// Changes that this peer drives at once. A partition is sealed while it changes: many at once
    /// would all be as long in changing as the last of them, few are over one after another.
    static let proposalLimit = 4
    /// Partitions that this peer syncs at once.
    static let syncLimit = 32
    /// How often, within a tick, a proposer looks whether the view that it decided is served.
    static let servedChecks = 10
    /// How many reminders long a change waits for members of the present view to catch up.
    static let catchUpReminders = 8
    /// Requests for one page of one source before the next source is tried.
    static let pullAttempts = 2
    /// Partitions whose state this peer learns at once.
    static let learnLimit = 8
    /// How many reminders long a change waits for members-to-be to learn, and how long these keep
    /// what they have learnt without hearing more.
    static let learnReminders = 60
    /// Rounds of one attempt before it is put off.
    static let roundLimit = 6

    /// Reachable storing peers as last seen, and when that last changed.
    private var storers: [PeerID] = []
    private var storersChanged = Instant(nanoseconds: 0)
    private var target = ViewSize(members: 1)
    private var targetChanged = Instant(nanoseconds: 0)
    private(set) var absentSince: [PeerID: Instant] = [:]

    var isFounding = false
    /// Until then every tick looks at every partition; afterwards there is nothing to see until
    /// membership or a view changes.
    var lookUntil = Instant(nanoseconds: 0)

    /// What was last made of it.
    var planner: ViewPlanner?
    /// Peers of proposals that this peer did not know, the latest last: looked up, so that it can
    /// agree when they are proposed again.
    private(set) var strangers: [PeerID] = []
    static let strangerLimit = 64
    /// Whom this peer could reach at its last look.
    var reachableBefore: Set<PeerID> = []

    /// Since when this peer has seen cause to change a view.
    var causeSince: [Partition: Instant] = [:]
    var proposing: Set<Partition> = []
    /// Partitions that should change too, as of the last look.
    var waiting: [Partition] = []
    /// Members that gave no answer when a change was last proposed.
    var silent: [Partition: Set<PeerID>] = [:]
    /// When a change that failed may be tried again.
    var retryAt: [Partition: Instant] = [:]
    var syncing: Set<Partition> = []
    /// Views whose state alone is what lies here of a partition that is not held (yet).
    var gathered: [Partition: ViewID] = [:]
    /// What this peer learns or has learnt, to be asked into the next view.
    var learning: [Partition: Learning] = [:]
    /// Since when the members that a view should get next have been learning.
    var waitingForLearners: [ViewID: Instant] = [:]
    /// Members that have said that they hold a view completely.
    var synced: [ViewID: Set<PeerID>] = [:]
    /// When installs of a view were last repeated.
    var remindedAt: [Partition: Instant] = [:]
    /// When to look again for news of partitions that have no quorum, as far as is known here.
    var seekAt: [Partition: Instant] = [:]
    /// Partitions of a lost generation whose rows go to the members of a later one.
    var handingOver: Set<Partition> = []
    /// Since when this peer looks at the network, in this life of the process.
    var watchingSince: Instant?

    /// Forgets how a partition was about to change, once its view has ended.
    mutating func forget(_ partition: Partition) {
        causeSince[partition] = nil
        retryAt[partition] = nil
        silent[partition] = nil
        learning[partition] = nil
    }

    /// Takes in what membership shows now.
    mutating func observe(
        _ snapshot: MembershipSnapshot, custodians: Set<PeerID>, now: Instant
    ) {
        let seen = snapshot.stayingStorers.filter { $0.info.store != nil }.map(\.peer)
        if seen != storers {
            storers = seen
            storersChanged = now
        }
        let size = ViewSize.target(forPeers: seen.count)
        if size != target {
            target = size
            targetChanged = now
        }
        // In a network too large to know everybody only those that were asked for in vain.
        let absent = custodians.filter {
            snapshot.members[$0] == nil && !snapshot.mayBeThere($0)
        }
        for peer in absent { absentSince[peer] = absentSince[peer] ?? now }
        absentSince = absentSince.filter { absent.contains($0.key) }
    }

    mutating func noteStrangers(_ peers: [PeerID]) {
        strangers = strangers.filter { !peers.contains($0) } + peers
        strangers.removeFirst(max(0, strangers.count - ViewChanges.strangerLimit))
    }

    /// Whether the network has stopped changing, or has changed for so long that waiting is worse.
    func isSettled(now: Instant, delay: Duration) -> Bool {
        now - storersChanged >= delay || now - targetChanged >= delay * 4
    }
}
