/// Spreads packets over the round trip (RFC 9002 §7.7): a token bucket of bytes. It fills at the
/// controller's rate; packets leave in trains of about a millisecond, so that sends stay few and
/// segment offload has something to offload.
struct Pacer: Sendable {
    /// What a train and the bucket hold at a given rate, in nanoseconds of it.
    static let trainTime: Int64 = 1_000_000
    static let bucketTime: Int64 = 2_000_000
    /// The least that the bucket holds (RFC 9002 §7.7 allows an initial window), in packets, and
    /// the largest train: what one segmented send takes.
    static let bucketPacketsMin = Cubic.initialWindowPackets
    static let trainPacketsMax = 64

    /// Nothing may leave: a train is not earned yet, or is used up.
    private(set) var isHolding = false
    var packetSize: Int
    private var tokens: Double
    private var rate = 0.0
    private var train = 0.0
    private var updated: Int64 = .min

    init(packetSize: Int) {
        self.packetSize = packetSize
        tokens = Double(packetSize * Pacer.bucketPacketsMin)
    }

    /// Counts the time that has passed; `rate` is in bytes per second.
    mutating func refill(rate: Double, now: Int64) {
        let size = Double(packetSize)
        let bucket = max(
            size * Double(Pacer.bucketPacketsMin), rate * Double(Pacer.bucketTime) / 1e9)
        if updated == .min { tokens = bucket }
        let elapsed = Double(max(0, now - max(updated, now - 1_000_000_000))) / 1e9
        tokens = min(bucket, tokens + elapsed * rate)
        self.rate = rate
        train = min(
            max(size, rate * Double(Pacer.trainTime) / 1e9), size * Double(Pacer.trainPacketsMax))
        isHolding = tokens < train
        updated = now
    }

    mutating func sent(_ bytes: Int) {
        tokens -= Double(bytes)
        if tokens <= 0 { isHolding = true }
    }

    /// When a `refill` will find enough for a train, after one at `now` that did not.
    func deadline(now: Int64) -> Int64 {
        guard rate > 0 else { return now + 1_000_000_000 }
        return now + max(1, Int64(((train - tokens) / rate * 1e9).rounded(.up)))
    }
}
