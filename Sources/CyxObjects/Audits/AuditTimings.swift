package import CyxCore

/// The times of audits and reputation (B6).
package struct AuditTimings: Sendable, Equatable {
    /// How long one beacon serves: an hour.
    package var period: Duration
    /// Over how long audits are counted together: 12 hours.
    package var window: Duration
    /// How long a holder may take to answer, its slow disk included.
    package var answer: Duration
    /// Pause before the same challenge is asked once more.
    package var retry: Duration
    /// How often the list of verdicts is read.
    package var refresh: Duration
    /// Of how many periods the first one's beacon decides about placement. Once an hour in a network;
    /// where periods are short, less often than in each: a view change that its new members have
    /// begun to learn for must not find others in their place.
    package var placementPeriods: UInt64

    package static let production = AuditTimings(
        period: .seconds(3600), window: .seconds(12 * 3600), answer: .seconds(30),
        retry: .seconds(450), refresh: .seconds(300), placementPeriods: 1)

    package static let devnet = AuditTimings(
        period: .seconds(20), window: .seconds(240), answer: .seconds(8), retry: .seconds(2),
        refresh: .seconds(3), placementPeriods: 30)

    /// Number of the period at `time`. Clocks that differ only by seconds agree on it but for as
    /// long around its ends, where challenges of both are answered.
    package func period(at time: WallTime) -> UInt64 { AuditTimings.count(time, period) }

    package func window(at time: WallTime) -> UInt64 { AuditTimings.count(time, window) }

    /// When a period begins.
    package func start(ofPeriod number: UInt64) -> WallTime {
        WallTime(milliseconds: Int64(clamping: number) * (period.nanoseconds / 1_000_000))
    }

    private static func count(_ time: WallTime, _ span: Duration) -> UInt64 {
        UInt64(max(0, time.milliseconds) / max(1, span.nanoseconds / 1_000_000))
    }
}
