internal import CyxCore

/// How often each peer may ask for something that costs others too: a token bucket per peer.
struct RequestLimiter: Sendable {
    private struct Bucket: Sendable {
        var tokens: Double
        var updated: Instant
    }

    private var buckets: [PeerID: Bucket] = [:]

    mutating func allows(_ peer: PeerID, now: Instant) -> Bool {
        if buckets[peer] == nil, buckets.count >= ReachabilityLimits.counted {
            buckets.removeAll()
        }
        var bucket =
            buckets[peer] ?? Bucket(tokens: ReachabilityLimits.requestBurst, updated: now)
        let elapsed = Double((now - bucket.updated).nanoseconds) / 1e9
        bucket.tokens = min(
            ReachabilityLimits.requestBurst,
            bucket.tokens + elapsed * ReachabilityLimits.requestsPerSecond)
        bucket.updated = now
        let isAllowed = bucket.tokens >= 1
        if isAllowed { bucket.tokens -= 1 }
        buckets[peer] = bucket
        return isAllowed
    }
}
