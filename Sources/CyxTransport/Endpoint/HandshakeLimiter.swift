internal import CyxCore

/// How often each address may make us work on a handshake: a token bucket per IPv4 address or
/// IPv6 /64, which is what one subscriber has. It is asked only after the first message's tag has
/// shown that the sender knows the network key.
struct HandshakeLimiter: Sendable {
    /// Networks remembered. When there are more, those that have all their tokens back are
    /// forgotten, and all of them if that is not half.
    static let networksMax = 4096

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

    var count: Int { buckets.count }

    private static func network(_ address: SocketAddress) -> UInt128 {
        address.isIPv4 ? address.ip : (address.ip >> 64) << 64
    }

    private func tokens(_ bucket: Bucket, now: Int64) -> Double {
        min(burst, bucket.tokens + Double(now - bucket.updated) / 1e9 * perSecond)
    }

    mutating func allows(_ address: SocketAddress, now: Int64) -> Bool {
        let network = HandshakeLimiter.network(address)
        if buckets[network] == nil, buckets.count >= HandshakeLimiter.networksMax {
            buckets = buckets.filter { tokens($0.value, now: now) < burst }
            if buckets.count > HandshakeLimiter.networksMax / 2 { buckets.removeAll() }
        }
        var bucket = buckets[network] ?? Bucket(tokens: burst, updated: now)
        bucket.tokens = tokens(bucket, now: now)
        bucket.updated = now
        let isAllowed = bucket.tokens >= 1
        if isAllowed { bucket.tokens -= 1 }
        buckets[network] = bucket
        return isAllowed
    }
}
