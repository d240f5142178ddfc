package import CyxCore
package import CyxTransport

/// How one peer that cannot just be dialed is reached (a machine): the two are brought together
/// first; if that takes long, a relay carries their packets, and they are brought together again
/// from time to time. A direct connection stays the one in use until it no longer acknowledges
/// data; then the relayed one serves, or the search begins anew.
package struct PathSearch: Sendable {
    package enum Action: Equatable, Sendable {
        /// Ask this peer to bring the two together, and send openers.
        case meet(through: PeerContact)
        /// Ask this peer for a circuit, and dial through it.
        case relay(through: PeerContact)
        /// Nothing leads there.
        case giveUp
    }

    package enum Standing: Equatable, Sendable {
        case searching, relayed, direct, failed
    }

    /// Meetings end within a few round trips if they succeed; calls wait no longer than this
    /// before a relay is asked too.
    package static let relayAfter = Duration.milliseconds(400)
    package static let patience = Duration.seconds(8)
    /// Pauses before the two are brought together again while a relay serves.
    package static let retries: [Duration] = [
        .seconds(5), .seconds(30), .seconds(120), .seconds(600),
    ]

    package private(set) var standing = Standing.searching
    private let relays: [PeerContact]
    private var meeting = 0
    private var relaying: Int?
    private var isMeeting = false
    private var isRelaying = false
    private var relayDue: Instant
    private var deadline: Instant
    private var retry = 0
    private var retryDue: Instant?
    private var actions: [Action] = []

    /// `relays` as the peer's record names them.
    package init(relays: [PeerContact], now: Instant) {
        self.relays = Array(relays.prefix(MembershipLimits.relays))
        relayDue = now + Self.relayAfter
        deadline = now + Self.patience
        if self.relays.isEmpty {
            standing = .failed
            actions = [.giveUp]
        } else {
            meet()
        }
    }

    package mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    package var nextTimeout: Instant? {
        switch standing {
        case .searching: min(deadline, relaying == nil ? relayDue : deadline)
        case .relayed: retryDue
        case .direct, .failed: nil
        }
    }

    private mutating func meet() {
        isMeeting = true
        actions.append(.meet(through: relays[meeting % relays.count]))
    }

    private mutating func relayNext(now: Instant) {
        let next = relaying.map { $0 + 1 } ?? 0
        relaying = next
        isRelaying = next < relays.count
        if isRelaying { actions.append(.relay(through: relays[next])) }
    }

    private mutating func checkHopeless() {
        guard standing == .searching, !isMeeting, !isRelaying, relaying != nil else { return }
        standing = .failed
        actions.append(.giveUp)
    }

    /// The peer that was to bring the two together could not.
    package mutating func meetingFailed(now: Instant) {
        meeting += 1
        guard standing == .searching, meeting < relays.count else {
            return punchEnded(now: now)
        }
        meet()
    }

    /// Openers led to nothing.
    package mutating func punchEnded(now: Instant) {
        isMeeting = false
        if standing == .searching, relaying == nil { relayNext(now: now) }
        checkHopeless()
    }

    /// The relay refused, or nothing answered through it.
    package mutating func relayFailed(now: Instant) {
        guard standing == .searching, isRelaying else { return }
        relayNext(now: now)
        checkHopeless()
    }

    /// A connection was made.
    package mutating func opened(direct: Bool, now: Instant) {
        if direct {
            standing = .direct
            retryDue = nil
        } else if standing != .direct {
            standing = .relayed
            scheduleRetry(now: now)
        }
    }

    /// The direct connection died, and a relayed one is left.
    package mutating func fellBack(now: Instant) {
        standing = .relayed
        retry = 0
        scheduleRetry(now: now)
    }

    private mutating func scheduleRetry(now: Instant) {
        retryDue = retry < Self.retries.count ? now + Self.retries[retry] : nil
    }

    package mutating func handleTimeout(now: Instant) {
        switch standing {
        case .searching:
            if relaying == nil, relayDue <= now { relayNext(now: now) }
            if deadline <= now {
                standing = .failed
                actions.append(.giveUp)
            }
        case .relayed:
            guard let due = retryDue, due <= now else { return }
            retry += 1
            scheduleRetry(now: now)
            meeting += 1
            meet()
        case .direct, .failed: return
        }
    }
}
