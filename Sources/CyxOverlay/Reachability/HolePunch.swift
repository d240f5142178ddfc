package import CyxCore

/// One attempt to open the NATs of two peers for each other (a machine; RFC 5128 §3.3, and the
/// triggered checks of RFC 8445 §7.3.1.4).
///
/// Both sides send openers to the addresses that the other may have, at about the same time, and
/// repeat them: the first ones only open the own NAT. Whoever gets one from an address that it did
/// not know, because a NAT made up a port for it, answers there. The side that asked for the meeting
/// dials where an opener came from: then the way there is open in both directions. Handshakes go
/// nowhere else, so that nobody can be made to send large packets to others.
package struct HolePunch: Sendable {
    package enum Action: Equatable, Sendable {
        /// Send the other side's token there.
        case open(SocketAddress)
        case dial(SocketAddress)
        /// There is no point in waiting any longer.
        case ended
    }

    /// Addresses told by the other side, and further ones seen in its openers.
    package static let candidatesMax = 4
    package static let learnedMax = 4
    /// Addresses that are dialed one after another.
    package static let dialsMax = 3
    /// When openers are sent to every address, after the beginning.
    package static let schedule: [Duration] = [
        .zero, .milliseconds(50), .milliseconds(100), .milliseconds(200), .milliseconds(400),
        .milliseconds(800), .milliseconds(1600),
    ]
    /// The whole attempt, from when it was asked for.
    package static let patience = Duration.seconds(4)
    /// How long a handshake may take before the next address is dialed.
    package static let dialPatience = Duration.seconds(1)

    package let dials: Bool
    private let deadline: Instant
    private var addresses: [SocketAddress] = []
    private var learned = 0
    private var heard: [SocketAddress] = []
    private var dialed = 0
    private var nextDial = Instant(nanoseconds: .max)
    private var begun: Instant?
    private var round = 0
    private var isOver = false
    private var actions: [Action] = []

    /// `dials`: this side has asked for the meeting.
    package init(dials: Bool, now: Instant) {
        self.dials = dials
        deadline = now + Self.patience
    }

    package mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    package var nextTimeout: Instant? {
        guard !isOver else { return nil }
        var next = min(deadline, nextDial)
        if let begun, round < Self.schedule.count { next = min(next, begun + Self.schedule[round]) }
        return next
    }

    /// The other side's candidates are known, and that it has begun too.
    package mutating func begin(_ candidates: [SocketAddress], now: Instant) {
        guard begun == nil, !isOver else { return }
        begun = now
        for candidate in candidates.prefix(Self.candidatesMax) where !addresses.contains(candidate)
        {
            addresses.append(candidate)
        }
        handleTimeout(now: now)
    }

    /// An opener with this side's token came. One may come before `begin`.
    package mutating func handleOpener(from source: SocketAddress, now: Instant) {
        guard !isOver else { return }
        if !addresses.contains(source) {
            guard learned < Self.learnedMax else { return }
            learned += 1
            addresses.append(source)
            // Both NATs are open there as soon as it has this.
            if begun != nil { actions.append(.open(source)) }
        }
        guard dials, !heard.contains(source) else { return }
        heard.append(source)
        if dialed == 0 { dialNext(now: now) }
    }

    private mutating func dialNext(now: Instant) {
        guard dialed < min(heard.count, Self.dialsMax) else {
            nextDial = Instant(nanoseconds: .max)
            return
        }
        actions.append(.dial(heard[dialed]))
        dialed += 1
        nextDial = now + Self.dialPatience
    }

    /// A direct connection has been made: nothing more is to be done.
    package mutating func succeeded() {
        isOver = true
        actions = []
    }

    /// The meeting came to nothing.
    package mutating func fail() {
        guard !isOver else { return }
        isOver = true
        actions.append(.ended)
    }

    package mutating func handleTimeout(now: Instant) {
        guard !isOver else { return }
        while let begun, round < Self.schedule.count, begun + Self.schedule[round] <= now {
            for address in addresses { actions.append(.open(address)) }
            round += 1
        }
        if nextDial <= now { dialNext(now: now) }
        if deadline <= now { fail() }
    }
}
