internal import CyxCore

/// How long reads took lately, and so when to stop waiting and ask one holder more. A machine.
package struct LatencyTracker: Sendable {
    private static let capacity = 64
    /// Fewer samples than this say nothing.
    private static let leastSamples = 8

    private let bounds: (least: Duration, most: Duration)
    private var samples: [Duration] = []
    private var next = 0

    package init(bounds: (least: Duration, most: Duration)) {
        self.bounds = bounds
    }

    package mutating func record(_ latency: Duration) {
        if samples.count < LatencyTracker.capacity {
            samples.append(latency)
        } else {
            samples[next] = latency
            next = (next + 1) % LatencyTracker.capacity
        }
    }

    /// Twice what nine of ten reads took (Dean and Barroso 2013 hedge after the 95th percentile),
    /// within the bounds.
    package var hedgeDelay: Duration {
        guard samples.count >= LatencyTracker.leastSamples else { return bounds.most / 2 }
        let sorted = samples.sorted()
        let high = sorted[sorted.count * 9 / 10]
        return min(max(high * 2, bounds.least), bounds.most)
    }
}
