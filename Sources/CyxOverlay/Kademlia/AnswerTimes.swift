internal import CyxCore

/// How long answers take, smoothed as round trips are in RFC 6298 §2, to tell how long silence is
/// worth waiting for. One request in a few that stays silent is common; a lookup asks others then.
package struct AnswerTimes: Sendable {
    /// Deviations above the mean, of which RFC 6298 takes four: there a mistake costs a packet sent
    /// twice and a smaller window, here one more request.
    private static let deviations: Int64 = 2
    package static let bounds = (least: Duration.milliseconds(50), most: Duration.seconds(1))

    private var nanoseconds: Int64 = 0
    private var deviation: Int64 = 0
    /// Before the first answer.
    private let initial: Duration

    package init(initial: Duration) {
        self.initial = initial
    }

    package mutating func record(_ time: Duration) {
        let sample = time.nanoseconds
        guard nanoseconds > 0 else {
            (nanoseconds, deviation) = (sample, sample / 2)
            return
        }
        deviation += (abs(sample - nanoseconds) - deviation) / 4
        nanoseconds += (sample - nanoseconds) / 8
    }

    /// Zero before the first answer.
    package var mean: Duration { .nanoseconds(nanoseconds) }

    package var patience: Duration {
        guard nanoseconds > 0 else { return initial }
        let patience = Duration.nanoseconds(nanoseconds + Self.deviations * deviation)
        return min(max(patience, Self.bounds.least), Self.bounds.most)
    }
}
