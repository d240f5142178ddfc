/// How often each address may make us work on a handshake: a token bucket per IP address. It is
/// asked only after the first message's tag has shown that the sender knows the network key.
struct HandshakeLimiter: Sendable {
    /// Addresses remembered; when there are more, all start anew.
    static let addressesMax = 4096

    private struct Bucket {
        var tokens: Double
        var updated: Int64
    }

    private let perSecond: Double
    private let burst: Double
    private var buckets: [UInt128: Bucket] = [:]

    init(perSecond: Int, burst: Int) {
        self.perSecond = Double(perSecond)
        self.burst = Double(burst)
    }

    mutating func allows(_ ip: UInt128, now: Int64) -> Bool {
        if buckets[ip] == nil, buckets.count >= HandshakeLimiter.addressesMax {
            buckets.removeAll()
        }
        var bucket = buckets[ip] ?? Bucket(tokens: burst, updated: now)
        let earned = Double(now - bucket.updated) / 1e9 * perSecond
        bucket.tokens = min(burst, bucket.tokens + earned)
        bucket.updated = now
        let isAllowed = bucket.tokens >= 1
        if isAllowed { bucket.tokens -= 1 }
        buckets[ip] = bucket
        return isAllowed
    }
}
