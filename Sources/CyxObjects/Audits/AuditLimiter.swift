internal import CyxCore

/// How many audits a holder answers: a full bucket of them at once from one asker, then a few a
/// minute, so that audits cost a disk next to nothing and no asker can use up another's. A machine.
struct AuditLimiter: Sendable {
    /// Honest auditors ask a peer about once an hour, all of them together.
    static let burst = 32.0
    static let perMinute = 8.0
    /// Askers that are remembered.
    static let askers = 1024

    private struct Bucket {
        var tokens: Double
        var filled: Instant
    }

    private var buckets: [PeerID: Bucket] = [:]

    /// Whether `asker` may have one more answer now.
    mutating func take(_ asker: PeerID, now: Instant) -> Bool {
        if buckets.count >= AuditLimiter.askers, buckets[asker] == nil {
            // Those that are full again need not be remembered.
            buckets = buckets.filter { refilled($0.value, now) < AuditLimiter.burst }
            guard buckets.count < AuditLimiter.askers else { return false }
        }
        let tokens = buckets[asker].map { refilled($0, now) } ?? AuditLimiter.burst
        guard tokens >= 1 else { return false }
        buckets[asker] = Bucket(tokens: tokens - 1, filled: now)
        return true
    }

    private func refilled(_ bucket: Bucket, _ now: Instant) -> Double {
        let minutes = (now - bucket.filled).inSeconds / 60
        return min(AuditLimiter.burst, bucket.tokens + minutes * AuditLimiter.perMinute)
    }
}
