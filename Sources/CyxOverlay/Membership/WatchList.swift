package import CyxCore

/// Members that this peer needs to know the state of although its view of a large network does not
/// hold them or nobody here finds out when they die: custodians of partitions that it holds, holders
/// of segments that it watches. They are asked one after another, each every few minutes. A machine:
/// the shell asks, and tells what came of it.
package struct WatchList: Sendable {
    /// What the members matter for.
    package enum Interest: Hashable, Sendable {
        case custodians, holders
    }

    /// Members on the list; beyond, the highest IDs are left out.
    package static let limit = 8192
    /// Between two questions to a member, and between two after one without an answer.
    package static let interval = Duration.seconds(300)
    package static let retry = Duration.seconds(15)
    /// Questions without an answer after which a member is dead; before, it is suspected.
    package static let failures = 3

    private struct Entry: Sendable {
        var member: Member?
        var failures = 0
        var due: Instant
        var isBeingAsked = false
    }

    private var wanted: [Interest: Set<PeerID>] = [:]
    private var entries: [PeerID: Entry] = [:]

    package init() {}

    /// What is known of those on the list.
    package var members: [PeerID: Member] { entries.compactMapValues(\.member) }

    package func member(_ peer: PeerID) -> Member? { entries[peer]?.member }

    /// Says whom `interest` is in from now on.
    package mutating func want(_ peers: Set<PeerID>, for interest: Interest, now: Instant) {
        guard wanted[interest] != peers else { return }
        wanted[interest] = peers
        let all = wanted.values.reduce(into: Set()) { $0.formUnion($1) }
        let kept = Set(all.sorted().prefix(WatchList.limit))
        entries = entries.filter { kept.contains($0.key) }
        for peer in kept where entries[peer] == nil { entries[peer] = Entry(due: now) }
    }

    /// Up to `count` members to ask now, those first that have waited longest.
    package mutating func takeDue(_ count: Int, now: Instant) -> [PeerID] {
        let due = entries.filter { !$0.value.isBeingAsked && $0.value.due <= now }.sorted {
            ($0.value.due, $0.key) < ($1.value.due, $1.key)
        }.prefix(count).map(\.key)
        for peer in due { entries[peer]?.isBeingAsked = true }
        return due
    }

    /// A member has answered, and said this of itself.
    package mutating func handleAnswer(_ info: MemberInfo, isLeaving: Bool, now: Instant) {
        guard var entry = entries[info.peer] else { return }
        let before = entry.member
        let state: MemberState = isLeaving ? .left : .alive
        entry.member = Member(
            info: info, state: state, since: before?.state == state ? before?.since ?? now : now,
            joined: before?.joined ?? now)
        entry.failures = 0
        entry.due = now + WatchList.interval
        entry.isBeingAsked = false
        entries[info.peer] = entry
    }

    /// A member did not answer, nor does anybody know it at another address.
    package mutating func handleFailure(of peer: PeerID, now: Instant) {
        guard var entry = entries[peer] else { return }
        entry.failures += 1
        entry.isBeingAsked = false
        let isOver = entry.failures >= WatchList.failures
        entry.due = now + (isOver ? WatchList.interval : WatchList.retry)
        let state: MemberState = isOver ? .dead : .suspect
        if entry.member != nil, entry.member?.state != state {
            entry.member?.state = state
            entry.member?.since = now
        }
        entries[peer] = entry
    }
}
