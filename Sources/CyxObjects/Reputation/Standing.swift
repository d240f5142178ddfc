package import CyxCore

/// What all audits of one peer in one window came to.
package struct WindowTally: Hashable, Sendable {
    package var passed = 0
    /// Proven failures.
    package var wrong = 0
    package var unknown = 0
    package var offline = 0

    package init(passed: Int = 0, wrong: Int = 0, unknown: Int = 0, offline: Int = 0) {
        self.passed = passed
        self.wrong = wrong
        self.unknown = unknown
        self.offline = offline
    }

    package var total: Int { passed + wrong + unknown + offline }

    package mutating func count(_ outcome: AuditOutcome) {
        switch outcome {
        case .passed: passed += 1
        case .wrong: wrong += 1
        case .unknown: unknown += 1
        case .offline: offline += 1
        case .void: break
        }
    }
}

/// What a peer's audits have led to. Each is worse than the one before.
package enum Verdict: UInt32, Sendable, Comparable, CaseIterable {
    case good = 0
    /// Nothing happens to it yet, except that it is audited more often.
    case warned = 1
    /// Gets no new shards.
    case suspended = 2
    /// Gets no new shards, and what it holds is rebuilt elsewhere. For good.
    case banned = 3

    package static func < (left: Verdict, right: Verdict) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Which track a verdict comes from.
package enum VerdictReason: UInt32, Sendable, CaseIterable {
    case none = 0
    case wrong = 1
    case unknown = 2
    case offline = 3

    package var words: String {
        switch self {
        case .none: "no failed audits"
        case .wrong: "wrong answers"
        case .unknown: "no usable answers"
        case .offline: "not reachable"
        }
    }
}

/// The three tracks of one peer (B6), window by window. A machine.
package struct Standing: Hashable, Sendable {
    package struct Limits: Hashable, Sendable {
        /// Scores of the track of wrong answers below which a peer is suspended and banned.
        package var wrongSuspension = 0.98
        package var wrongBan = 0.96
        package var unknown = 0.6
        package var offline = 0.6
        /// Windows over which being offline is averaged, 30 days: until a peer has been known for as
        /// long it is not judged by it.
        package var trackedWindows: UInt64 = 60
        /// Windows that a suspended peer has to mend its ways before it is banned: 7 days.
        package var graceWindows: UInt64 = 14
        /// Windows after a wrong answer in which a peer is warned, 7 days.
        package var warnedWindows: UInt64 = 14
        package init() {}
    }

    private struct Window: Hashable {
        var number: UInt64
        var online: Int
        var total: Int
    }

    package let peer: PeerID
    private let limits: Limits
    package private(set) var wrong = Track.wrong
    package private(set) var unknown = Track.unknown
    private var windows: [Window] = []
    /// The first window that was counted, and the last one.
    private var firstWindow: UInt64?
    package private(set) var lastWindow: UInt64 = 0
    private var lastWrong: UInt64?
    private var unknownSince: UInt64?
    private var offlineSince: UInt64?
    package private(set) var bannedFor: VerdictReason = .none

    package init(peer: PeerID, limits: Limits = Limits()) {
        self.peer = peer
        self.limits = limits
    }

    /// Mean share of audits, by window, that reached the peer; 1 before there were any.
    package var onlineScore: Double {
        guard !windows.isEmpty else { return 1 }
        return windows.reduce(0) { $0 + Double($1.online) / Double($1.total) }
            / Double(windows.count)
    }

    /// Whether `onlineScore` says something of how the peer is most of the time: 7 days of audits.
    package var hasOnlineHistory: Bool { windows.count >= Int(limits.graceWindows) }

    /// Counts a window in; windows come in order, those without audits may be left out.
    package mutating func close(_ window: UInt64, _ tally: WindowTally) {
        precondition(firstWindow == nil || window > lastWindow, "windows are closed in order")
        lastWindow = window
        if firstWindow == nil { firstWindow = window }
        wrong.record(good: tally.passed, bad: tally.wrong)
        unknown.record(good: tally.passed + tally.wrong, bad: tally.unknown)
        if tally.wrong > 0 { lastWrong = window }
        if tally.total > 0 {
            windows.append(
                Window(
                    number: window, online: tally.total - tally.offline, total: tally.total))
        }
        windows.removeAll { window - $0.number >= limits.trackedWindows }
        unknownSince = unknown.score < limits.unknown ? unknownSince ?? window : nil
        offlineSince = isTooOffline ? offlineSince ?? window : nil
        judge()
    }

    /// Whether the whole time that is averaged over has passed, and too many audits found nobody.
    private var isTooOffline: Bool {
        guard let firstWindow, lastWindow - firstWindow + 1 >= limits.trackedWindows else {
            return false
        }
        return onlineScore < limits.offline
    }

    /// A peer that is offline too often has the grace to come back, and then as long as is averaged
    /// over to show for it; one without usable answers has the grace alone.
    private mutating func judge() {
        guard bannedFor == .none else { return }
        func isOver(_ since: UInt64?, _ windows: UInt64) -> Bool {
            since.map { lastWindow - $0 >= windows } ?? false
        }
        if wrong.score < limits.wrongBan {
            bannedFor = .wrong
        } else if isOver(unknownSince, limits.graceWindows) {
            bannedFor = .unknown
        } else if isOver(offlineSince, limits.graceWindows + limits.trackedWindows) {
            bannedFor = .offline
        }
    }

    package var verdict: (verdict: Verdict, reason: VerdictReason) {
        if bannedFor != .none { return (.banned, bannedFor) }
        if wrong.score < limits.wrongSuspension { return (.suspended, .wrong) }
        if unknownSince != nil { return (.suspended, .unknown) }
        if offlineSince != nil { return (.suspended, .offline) }
        if let lastWrong, lastWindow - lastWrong < limits.warnedWindows { return (.warned, .wrong) }
        if unknown.score < (1 + limits.unknown) / 2 { return (.warned, .unknown) }
        if isWarnedForAbsence { return (.warned, .offline) }
        return (.good, .none)
    }

    private var isWarnedForAbsence: Bool {
        windows.count >= Int(limits.graceWindows) && onlineScore < (1 + limits.offline) / 2
    }

    // MARK: Row

    package var row: StandingRow {
        StandingRow(
            peer: peer.bytes, firstWindow: firstWindow ?? 0, window: lastWindow,
            wrong: TrackRow(alpha: wrong.alpha, beta: wrong.beta),
            unknown: TrackRow(alpha: unknown.alpha, beta: unknown.beta),
            windows: windows.map {
                WindowRow(window: $0.number, online: UInt32($0.online), total: UInt32($0.total))
            },
            wrongWindow: lastWrong ?? 0, unknownSince: unknownSince ?? 0,
            offlineSince: offlineSince ?? 0, bannedFor: bannedFor.rawValue)
    }

    /// Nil unless it is what `row` gives for that peer.
    package init?(_ row: StandingRow, of peer: PeerID, limits: Limits = Limits()) {
        guard row.peer == peer.bytes, let wrong = row.wrong, let unknown = row.unknown,
            let reason = VerdictReason(rawValue: row.bannedFor),
            row.windows.count <= Int(limits.trackedWindows),
            row.windows.allSatisfy({ $0.total > 0 && $0.online <= $0.total }),
            zip(row.windows, row.windows.dropFirst()).allSatisfy({ $0.window < $1.window }),
            [
                row.windows.last?.window ?? 0, row.firstWindow, row.wrongWindow, row.unknownSince,
                row.offlineSince,
            ].allSatisfy({ $0 <= row.window })
        else { return nil }
        for track in [wrong, unknown] {
            guard track.alpha >= 0, track.beta >= 0, track.alpha + track.beta > 0,
                track.alpha.isFinite, track.beta.isFinite
            else { return nil }
        }
        self.init(peer: peer, limits: limits)
        self.wrong = Track(alpha: wrong.alpha, beta: wrong.beta, decay: Track.wrong.decay)
        self.unknown = Track(alpha: unknown.alpha, beta: unknown.beta, decay: Track.unknown.decay)
        windows = row.windows.map {
            Window(number: $0.window, online: Int($0.online), total: Int($0.total))
        }
        firstWindow = row.firstWindow == 0 ? nil : row.firstWindow
        lastWindow = row.window
        lastWrong = row.wrongWindow == 0 ? nil : row.wrongWindow
        unknownSince = row.unknownSince == 0 ? nil : row.unknownSince
        offlineSince = row.offlineSince == 0 ? nil : row.offlineSince
        bannedFor = reason
    }
}
