internal import CyxCore

/// How long one operation on rows goes on trying, and how it spreads its attempts.
struct OperationBudget {
    /// Attempts that lose against other writers before an operation gives up.
    static let contentionLimit = 24

    let deadline: Instant
    private(set) var contentions = 0
    private var pause: Duration
    private let longestPause: Duration
    /// Whether the last attempt failed because another writer was faster.
    private(set) var isContended = false
    /// What the last attempt that nobody else contended failed for.
    var reason = "no custodian answered" {
        didSet { isContended = false }
    }

    /// `time`: nil for an operation of this peer's own.
    init(now: Instant, timings: TableTimings, within time: Duration? = nil) {
        deadline = now + (time ?? timings.operationTimeout)
        pause = timings.backoff.first
        longestPause = timings.backoff.most
    }

    /// How long to wait before the next attempt: random, and twice as long each time.
    mutating func nextPause(
        using random: inout SeededGenerator
    ) -> Duration {
        let nanoseconds = pause.nanoseconds
        let wait = Int64.random(in: nanoseconds / 2...nanoseconds * 3 / 2, using: &random)
        pause = min(pause * 2, longestPause)
        return .nanoseconds(wait)
    }

    mutating func countContention() throws(TableError) {
        contentions += 1
        isContended = true
        guard contentions < OperationBudget.contentionLimit else { throw .contended }
    }
}
