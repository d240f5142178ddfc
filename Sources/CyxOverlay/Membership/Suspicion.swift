internal import CyxCore

/// A suspicion that shortens as independent peers confirm it (Lifeguard §IV-B): it lasts
/// max − (max − min) · ln(C + 1) / ln(K + 1), C being confirmations of K.
struct Suspicion: Sendable {
    private(set) var accusers: [PeerID]
    private var started: Instant
    private let minimum: Duration
    private let maximum: Duration
    /// K, fewer in networks too small to have K other witnesses.
    private let wanted: Int

    init(accuser: PeerID, started: Instant, timings: MembershipTimings, members: Int) {
        accusers = [accuser]
        self.started = started
        minimum = timings.suspicionMinimum
        maximum = timings.suspicionMaximum
        // Not the target, not the first accuser.
        wanted = max(0, min(MembershipLimits.suspicionConfirmations, members - 2))
    }

    /// Whether `accuser` is a new witness that still counts.
    mutating func confirm(_ accuser: PeerID) -> Bool {
        guard accusers.count <= wanted, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        return true
    }

    var deadline: Instant {
        guard wanted > 0 else { return started + minimum }
        let confirmations = min(accusers.count - 1, wanted)
        // ln((C + 1) / 1) / ln(K + 1) by table-free logarithms: −ln(1/x) with x > 1.
        let share =
            confirmations == 0
            ? 0
            : NaturalLogarithm.of(1 / Double(confirmations + 1))
                / NaturalLogarithm.of(1 / Double(wanted + 1))
        let span = Double((maximum - minimum).nanoseconds)
        return started + maximum - .nanoseconds(Int64(span * min(1, share)))
    }

    /// Moves the suspicion: this process was stalled and could not have heard a refutation.
    mutating func postpone(by duration: Duration) { started = started + duration }
}
