/// HyStart++ (RFC 9406): leaves slow start when round-trip times rise, before a queue overflows.
/// Only for the first slow start of a connection, as §4.3 says.
struct SlowStartExit: Sendable {
    /// §4.3, in nanoseconds: by how much the least round trip of a round has to rise.
    static let thresholdMin: Int64 = 4_000_000
    static let thresholdMax: Int64 = 16_000_000
    static let thresholdDivisor: Int64 = 8
    static let samplesMin = 8
    /// Conservative slow start: this many times slower, for this many rounds.
    static let growthDivisor = 4
    static let conservativeRounds = 5

    private var roundEnd: UInt64 = 0
    private var lastRoundMinimum: Int64 = .max
    private var roundMinimum: Int64 = .max
    private var sampleCount = 0
    private var baseline: Int64 = .max
    private var roundsLeft = 0
    private(set) var isConservative = false

    /// Takes the round-trip sample of an ACK in; true once slow start is over.
    mutating func sample(_ roundTrip: Int64, largest: UInt64, nextNumber: UInt64) -> Bool {
        if largest >= roundEnd {
            roundEnd = nextNumber
            lastRoundMinimum = roundMinimum
            roundMinimum = .max
            sampleCount = 0
            if isConservative {
                roundsLeft -= 1
                if roundsLeft == 0 { return true }
            }
        }
        roundMinimum = min(roundMinimum, roundTrip)
        sampleCount += 1
        guard sampleCount >= SlowStartExit.samplesMin else { return false }
        if isConservative {
            // The rise was a passing one (§4.2).
            if roundMinimum < baseline { isConservative = false }
        } else if lastRoundMinimum != .max {
            let threshold = max(
                SlowStartExit.thresholdMin,
                min(lastRoundMinimum / SlowStartExit.thresholdDivisor, SlowStartExit.thresholdMax))
            if roundMinimum >= lastRoundMinimum + threshold {
                baseline = roundMinimum
                isConservative = true
                roundsLeft = SlowStartExit.conservativeRounds
            }
        }
        return false
    }
}
