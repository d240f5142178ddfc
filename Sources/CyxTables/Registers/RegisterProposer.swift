package import CyxCore

/// One promise of one member.
package struct RegisterPromise: Hashable, Sendable {
    package var record: RegisterRecord
    package var wasClean: Bool
    /// The partition's floor at that member.
    package var floor: RegisterVersion

    package init(
        record: RegisterRecord, wasClean: Bool, floor: RegisterVersion = .none
    ) {
        self.record = record
        self.wasClean = wasClean
        self.floor = floor
    }
}

/// One operation on one register: which ballots it uses and what it makes of a quorum's replies
/// (CASPaxos, A6). The shell sends, collects, and starts another attempt when one fails.
package struct RegisterProposer: Sendable {
    package enum Step: Sendable {
        /// The register holds this, known without a further round. `call`: see `DecidedChange`.
        case settled(RegisterState, call: Int)
        /// Have a quorum accept this record; then its state is the answer.
        case accept(RegisterRecord, call: Int)
        /// An earlier attempt's outcome can no longer be known.
        case unknowable
    }

    private struct Attempt {
        var ballot: RegisterVersion
        var base: RegisterVersion
        /// Which call of the change it comes from.
        var call: Int
    }

    package let proposer: PeerID
    private var counter: UInt64 = 0
    private var attempts: [Attempt] = []
    private var calls = 0

    /// `now`: of civil time. Ballots begin there, so that they are above the floors of registers that
    /// were deleted and forgotten (`TableService+Floors`) without anybody having to tell of them. Where
    /// a clock is wrong by more than that takes, proposers are refused and told what to go above: that
    /// costs a round, and leaves a first value under a fresh name in doubt (`create`).
    package init(proposer: PeerID, now: WallTime = WallTime(milliseconds: 0)) {
        self.proposer = proposer
        counter = UInt64(max(0, now.milliseconds))
    }

    /// Whether a round of this operation that failed may take effect yet.
    package var isInDoubt: Bool { !attempts.isEmpty }

    /// Forgets what earlier rounds tried (`TableRule.remembersAttempts`).
    mutating func forgetAttempts() { attempts = [] }

    /// A ballot above all that this operation has seen. `nonce` is random, so that a proposer that
    /// restarted never proposes two values under one ballot.
    package mutating func nextBallot(in view: ViewID, nonce: UInt64) -> RegisterVersion {
        counter += 1
        return RegisterVersion(
            generation: view.generation, epoch: view.epoch, counter: counter, proposer: proposer,
            nonce: nonce)
    }

    /// Learns of a ballot that stood in the way.
    package mutating func observe(_ version: RegisterVersion, in view: ViewID) {
        guard version.generation == view.generation, version.epoch == view.epoch else { return }
        // Far from overflow, whatever a peer claims.
        counter = max(counter, min(version.counter, UInt64.max >> 1))
    }

    /// What a quorum of replies to a one-round read tells; nil unless `quorum` of them are
    /// identical and readable.
    package static func settledState(
        _ replies: [RegisterRecord], in view: ViewID, quorum: Int,
        without broken: Set<TableRule> = []
    ) -> RegisterState? {
        guard let candidate = replies.max(by: { $0.accepted < $1.accepted }) else { return nil }
        let agreeing = replies.count {
            $0.accepted == candidate.accepted
                && ($0.isReadable(in: view) || broken.contains(.readsSettledRows))
        }
        let needed = broken.contains(.readsFromQuorum) ? 1 : quorum
        return agreeing >= needed ? candidate.state : nil
    }

    /// Whether an earlier attempt is part of what `current` has become of; nil: nobody knows.
    ///
    /// A register that was never written when the attempt was made may have been written by it,
    /// deleted, and forgotten: its history begins anew. Whoever forgot it has a floor above the
    /// deletion and so above the attempt, and of every quorum one member has (`TableService+Floors`).
    private func outcome(
        of attempt: Attempt, _ current: RegisterRecord, _ floor: RegisterVersion
    ) -> Bool? {
        let isIncluded = current.includes(attempt.ballot.nonce, builtOn: attempt.base)
        if isIncluded == false, attempt.base == .none, attempt.ballot <= floor { return nil }
        return isIncluded
    }

    /// The record with which `ballot` gives a register its first value, with no promises asked for.
    ///
    /// Promises tell a proposer what may have been chosen below its ballot. Of a register whose name
    /// one writer has just drawn at random that is known: nothing, as long as nobody else gives it a
    /// first value. Others that come upon a copy of it may propose meanwhile, below this ballot too:
    /// while they see nothing they leave nothing there, which this may replace, and once they see the
    /// value they keep it or change it under a ballot above. One such attempt, and only as the first
    /// of its operation; `step` finds out what became of it.
    package mutating func create(_ value: [UInt8], ballot: RegisterVersion) -> RegisterRecord {
        precondition(attempts.isEmpty && calls == 0, "what was proposed before may be chosen")
        attempts.append(Attempt(ballot: ballot, base: .none, call: calls))
        calls += 1
        return RegisterRecord().successor(value: value, ballot: ballot)
    }

    /// What to do after a quorum promised `ballot`.
    package mutating func step(
        _ promises: [RegisterPromise], ballot: RegisterVersion, in view: ViewID, quorum: Int,
        _ change: (RegisterState) -> RegisterChange
    ) -> Step {
        guard let current = promises.map(\.record).max(by: { $0.accepted < $1.accepted }) else {
            preconditionFailure("a quorum has at least one member")
        }
        let agreeing = promises.count {
            $0.record.accepted == current.accepted
                && ($0.wasClean || $0.record.isReadable(in: view))
        }
        let isSettled = agreeing >= quorum
        let floor = promises.map(\.floor).max() ?? .none
        for attempt in attempts {
            switch outcome(of: attempt, current, floor) {
            case true?:
                // An earlier round of this operation took effect: finish it, never repeat it.
                return isSettled
                    ? .settled(current.state, call: attempt.call)
                    : .accept(current.reaccepted(under: ballot), call: attempt.call)
            case false?: continue
            case nil: return .unknowable
            }
        }
        let next: [UInt8]?
        let call = calls
        calls += 1
        switch change(current.state) {
        case .set(let value): next = value
        case .delete: next = nil
        case .reaccept: return .accept(current.reaccepted(under: ballot), call: call)
        case .abandon:
            // After a failed attempt only an accepted newer ballot buries what a minority may
            // still hold of it.
            return isSettled && attempts.isEmpty
                ? .settled(current.state, call: call)
                : .accept(current.reaccepted(under: ballot), call: call)
        }
        attempts.append(Attempt(ballot: ballot, base: current.changed, call: call))
        return .accept(current.successor(value: next, ballot: ballot), call: call)
    }
}
