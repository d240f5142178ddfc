internal import CyxCore

/// A suspicion that shortens as independent peers confirm it (Lifeguard §IV-B): it lasts
/// max − (max − min) · ln(C + 1) / ln(K + 1), C being confirmations of K.
struct Suspicion: Sendable {
    /// Who accuses, and from which network.
    struct Accuser: Sendable {
        var accusation: Accusation
        var network: UInt64

        var peer: PeerID { accusation.accuser }
    }

    private(set) var accusers: [Accuser]
    private var started: Instant
    private let minimum: Duration
    private let maximum: Duration
    /// Over as soon as this peer has looked for itself: enough others hold the subject dead.
    private(set) var isShared = false
    /// This peer's own probe of the subject failed since.
    var isOwn = false
    /// Not to be judged again before; after a judgement that found too few accusers.
    var pausedUntil: Instant?

    /// Unless it `isDynamic` it lasts the minimum, as in plain SWIM.
    init(_ accuser: Accuser, started: Instant, timings: MembershipTimings, isDynamic: Bool) {
        accusers = [accuser]
        self.started = started
        minimum = timings.suspicionMinimum
        maximum = isDynamic ? timings.suspicionMaximum : timings.suspicionMinimum
    }

    /// What `confirm` would change.
    func counts(_ accusation: Accusation, network: UInt64) -> Bool {
        if let known = accusers.first(where: { $0.peer == accusation.accuser }) {
            return known.accusation.kind == .suspect && accusation.kind == .dead
        }
        if accusers.count <= MembershipLimits.suspicionConfirmations { return true }
        // Beyond what shortens it, only somebody from elsewhere.
        return accusers.count < MembershipLimits.accusers
            && !accusers.contains { $0.network == network }
    }

    /// Takes a witness in that `counts`.
    mutating func confirm(_ accuser: Accuser) {
        if let index = accusers.firstIndex(where: { $0.peer == accuser.peer }) {
            accusers[index] = accuser
        } else {
            accusers.append(accuser)
        }
        pausedUntil = nil
    }

    mutating func share() { isShared = true }

    /// When it is to be judged, if `wanted` others could have confirmed it: Lifeguard's K, fewer in
    /// networks too small to have K further witnesses.
    func deadline(wanted: Int) -> Instant {
        let end = isShared ? started : started + length(wanted: wanted)
        return pausedUntil.map { max($0, end) } ?? end
    }

    private func length(wanted: Int) -> Duration {
        let confirmations = min(accusers.count - 1, wanted)
        guard confirmations < wanted else { return minimum }
        // ln((C + 1) / 1) / ln(K + 1) by table-free logarithms: −ln(1/x) with x > 1.
        let share =
            confirmations == 0
            ? 0
            : NaturalLogarithm.of(1 / Double(confirmations + 1))
                / NaturalLogarithm.of(1 / Double(wanted + 1))
        let span = Double((maximum - minimum).nanoseconds)
        return maximum - .nanoseconds(Int64(span * min(1, share)))
    }

    /// Moves the suspicion: this process was stalled and could not have heard a refutation.
    mutating func postpone(by duration: Duration) {
        started = started + duration
        pausedUntil = pausedUntil.map { $0 + duration }
    }
}
