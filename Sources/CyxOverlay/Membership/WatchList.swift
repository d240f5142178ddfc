package import CyxCore

/// Members that this peer needs to know the state of although its view of a large network does not
/// hold them or nobody here finds out when they die: custodians of partitions that it holds, holders
/// of segments that it watches. They are asked one after another, each every few minutes. A machine:
/// the shell asks, and tells what came of it.
package struct WatchList: Sendable {
    /// What the members matter for, the more urgent first.
    package enum Interest: Hashable, CaseIterable, Sendable {
        case custodians, holders

        /// Between two questions to a member.
        package var interval: Duration {
            switch self {
            case .custodians: .seconds(60)
            case .holders: .seconds(300)
            }
        }
    }

    /// Members on the list; beyond, those of the less urgent interest with the highest IDs are left
    /// out, and nothing is known of them.
    package static let limit = 32_768
    /// Members that can be asked in `Interest.holders.interval`; of more, each is asked less often.
    package static let questions = 8192
    /// Between two looks at the list, and members asked at each: enough for so many.
    package static let pause = Duration.seconds(5)
    package static let width = 144
    /// Between two questions to a member that did not answer.
    package static let retry = Duration.seconds(15)
    /// Questions without an answer after which a member is dead; before, it is suspected.
    package static let failures = 3

    private struct Entry: Sendable {
        var interest: Interest
        var member: Member?
        /// When it last answered, or was last said to be off for maintenance.
        var heard: Instant?
        var failures = 0
        var due: Instant
        var isBeingAsked = false
    }

    private let limit: Int
    private let questions: Int
    private var wanted: [Interest: Set<PeerID>] = [:]
    private var entries: [PeerID: Entry] = [:]
    private var changed = false

    package init(limit: Int = WatchList.limit, questions: Int = WatchList.questions) {
        self.limit = limit
        self.questions = questions
    }

    /// What is known of those on the list.
    package var members: [PeerID: Member] { entries.compactMapValues(\.member) }

    /// Those that were asked often enough, and of whom nobody has ever heard here.
    package var silent: Set<PeerID> {
        Set(entries.filter { $0.value.member == nil && isOver($0.value) }.keys)
    }

    package func member(_ peer: PeerID) -> Member? { entries[peer]?.member }

    package func heard(_ peer: PeerID) -> Instant? { entries[peer]?.heard }

    /// Whether `members` or `silent` differ from those at the last call.
    package mutating func takeChanged() -> Bool {
        defer { changed = false }
        return changed
    }

    /// Says whom `interest` is in from now on.
    package mutating func want(_ peers: Set<PeerID>, for interest: Interest, now: Instant) {
        guard wanted[interest] != peers else { return }
        wanted[interest] = peers
        var kept: [PeerID: Interest] = [:]
        for interest in Interest.allCases {
            let others = (wanted[interest] ?? []).filter { kept[$0] == nil }
            for peer in others.sorted().prefix(limit - kept.count) { kept[peer] = interest }
        }
        let before = entries.count
        entries = entries.filter { kept[$0.key] != nil }
        changed = changed || entries.count != before
        for (peer, interest) in kept {
            entries[peer, default: Entry(interest: interest, due: now)].interest = interest
        }
    }

    /// Up to `count` members to ask now, those first that have waited longest.
    package mutating func takeDue(_ count: Int, now: Instant) -> [PeerID] {
        let due = entries.filter { !$0.value.isBeingAsked && $0.value.due <= now }.sorted {
            ($0.value.due, $0.key) < ($1.value.due, $1.key)
        }.prefix(count).map(\.key)
        for peer in due { entries[peer]?.isBeingAsked = true }
        return due
    }

    /// A member has said this of itself: in an answer, or that it is off for maintenance.
    package mutating func handleWord(_ info: MemberInfo, _ state: MemberState, now: Instant) {
        guard var entry = entries[info.peer] else { return }
        let before = entry.member
        let isSame = before?.state == state
        entry.member = Member(
            info: info, state: state, since: isSame ? before?.since ?? now : now,
            joined: before?.joined ?? now)
        changed = changed || !isSame || before?.info != info
        entry.heard = now
        entry.failures = 0
        entry.due = now + interval(entry.interest)
        entry.isBeingAsked = false
        entries[info.peer] = entry
    }

    /// A member did not answer, nor does anybody know it at another address.
    package mutating func handleFailure(of peer: PeerID, now: Instant) {
        guard var entry = entries[peer] else { return }
        entry.failures = min(entry.failures + 1, WatchList.failures)
        entry.isBeingAsked = false
        entry.due = now + (isOver(entry) ? interval(entry.interest) : WatchList.retry)
        let state: MemberState = isOver(entry) ? .dead : .suspect
        if entry.member?.state != state {
            entry.member?.state = state
            entry.member?.since = now
            changed = true
        }
        entries[peer] = entry
    }

    private func isOver(_ entry: Entry) -> Bool { entry.failures >= WatchList.failures }

    private func interval(_ interest: Interest) -> Duration {
        let excess = max(0, entries.count - questions)
        let share = Double(excess) / Double(questions)
        return interest.interval
            + .nanoseconds(
                Int64(Double(interest.interval.nanoseconds) * share))
    }
}
