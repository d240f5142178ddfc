/// How one audit ended.
package enum AuditOutcome: Hashable, Sendable {
    case passed
    /// Proven: another block, or the holder's word that it has none.
    case wrong
    /// The peer could be reached and gave no usable answer.
    case unknown
    /// The peer could not be reached.
    case offline
    /// There was nothing to audit: the entry is gone, or its owner had the segment deleted.
    case void
}

/// What came of asking once.
package enum AuditReply: Hashable, Sendable {
    case judged(AuditFinding)
    /// The peer could not be reached, or says that it does not serve.
    case unreachable
    /// It could be reached, and did not answer in time or refused.
    case silent
}

/// One audit from its first question to its outcome. A machine.
///
/// Nothing but a good answer is believed the first time: a restart, a full queue, a stalled disk or
/// a deletion under way look like failures for a while. The same challenge is asked again up to
/// `questions` times in all, `AuditTimings.retry` apart, and a good answer then counts as one.
package struct AuditAttempt: Sendable {
    package static let questions = 3

    private let retry: Duration
    private var replies: [AuditReply] = []

    package enum Step: Hashable, Sendable {
        /// Ask the same challenge once more after this.
        case ask(after: Duration)
        case finish(AuditOutcome)
    }

    package init(timings: AuditTimings) {
        retry = timings.retry
    }

    package mutating func note(_ reply: AuditReply) -> Step {
        replies.append(reply)
        switch reply {
        case .judged(.passed): return .finish(.passed)
        case .judged(.deleted): return .finish(.void)
        default: break
        }
        guard replies.count >= AuditAttempt.questions else { return .ask(after: retry) }
        return .finish(outcome)
    }

    /// After as many questions without a good answer: wrong only if it was so each time that there
    /// was an answer at all; offline only if the peer was never reached.
    private var outcome: AuditOutcome {
        if replies.allSatisfy({ $0 == .unreachable }) { return .offline }
        let answered = replies.filter { $0 != .unreachable && $0 != .silent }
        let isWrong = answered.allSatisfy { $0 == .judged(.wrong) || $0 == .judged(.missing) }
        return !answered.isEmpty && isWrong ? .wrong : .unknown
    }
}
