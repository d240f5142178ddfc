internal import Synchronization

/// Counts observations in fixed buckets, as Prometheus' histograms do.
package final class Histogram: Sendable {
    /// Seconds, 100 µs to 60 s in steps of about 2.5.
    package static let durationBounds: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
        5, 10, 30, 60,
    ]

    package struct Snapshot: Equatable, Sendable {
        /// How many were at most each bound; the last entry counts all.
        package var cumulative: [UInt64]
        package var sum: Double
        package var count: UInt64 { cumulative.last ?? 0 }
    }

    private struct State: ~Copyable {
        var counts: [UInt64]
        var sum = 0.0
    }

    package let bounds: [Double]
    private let state: Mutex<State>

    /// `bounds` ascend; an observation falls into the first bucket whose bound it does not exceed.
    package init(bounds: [Double] = Histogram.durationBounds) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds ascend")
        self.bounds = bounds
        state = Mutex(State(counts: [UInt64](repeating: 0, count: bounds.count + 1)))
    }

    package func observe(_ value: Double) {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if value <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        state.withLock { state in
            state.counts[low] += 1
            state.sum += value
        }
    }

    package var snapshot: Snapshot {
        state.withLock { state in
            var total: UInt64 = 0
            let cumulative = state.counts.map { count in
                total += count
                return total
            }
            return Snapshot(cumulative: cumulative, sum: state.sum)
        }
    }
}
