/// The estimate of RFC 9002 §5, in nanoseconds.
struct RoundTripTime: Sendable {
    /// RFC 9002 §6.1.2 (kGranularity).
    static let granularity: Int64 = 1_000_000

    private(set) var latest: Int64
    private(set) var smoothed: Int64
    private(set) var variance: Int64
    private(set) var minimum: Int64
    private(set) var hasSample = false

    init(initial: Int64) {
        latest = initial
        smoothed = initial
        variance = initial / 2
        minimum = initial
    }

    /// `acknowledgmentDelay` is what the peer says it waited, not above its promise.
    mutating func update(sample: Int64, acknowledgmentDelay: Int64) {
        latest = max(1, sample)
        guard hasSample else {
            hasSample = true
            minimum = latest
            smoothed = latest
            variance = latest / 2
            return
        }
        minimum = min(minimum, latest)
        let adjusted =
            latest >= minimum + acknowledgmentDelay ? latest - acknowledgmentDelay : latest
        variance = (3 * variance + abs(smoothed - adjusted)) / 4
        smoothed = (7 * smoothed + adjusted) / 8
    }

    /// How long to wait for an acknowledgment before probing (RFC 9002 §6.2.1).
    func probeTimeout(maximumAcknowledgmentDelay: Int64) -> Int64 {
        smoothed + max(4 * variance, RoundTripTime.granularity) + maximumAcknowledgmentDelay
    }

    /// How long a packet may stay behind later ones before it counts as lost (§6.1.2).
    /// RFC 9002 has one eighth of a round trip more; paths that reorder have more.
    func lossDelay(eighths: Int64 = 1) -> Int64 {
        max(longer + longer * eighths / 8, RoundTripTime.granularity)
    }

    /// What losses are timed by.
    var longer: Int64 { max(latest, smoothed) }

    /// Persistent congestion: what the path was like before says nothing any more (§5.2).
    mutating func forgetMinimum() { minimum = latest }
}
