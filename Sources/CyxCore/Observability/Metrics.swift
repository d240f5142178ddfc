internal import Synchronization

/// A number that only grows.
package final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)
    package init() {}
    package func add(_ amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }
    package var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
    private let current = Atomic<UInt64>(0)
    package init() {}
    package func set(_ value: Double) { current.store(value.bitPattern, ordering: .relaxed) }
    package var value: Double { Double(bitPattern: current.load(ordering: .relaxed)) }
}

/// The metrics of one process by name and labels, written out in Prometheus' text format.
/// Names and label rules: `experience.md` §11 (no peer, account, bucket or key in a label).
package final class MetricsRegistry: Sendable {
    private struct Key: Hashable {
        var name: String
        var labels: String
    }

    private struct State {
        var counters: [Key: Counter] = [:]
        var gauges: [Key: Gauge] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// The counter of that name and those labels, made on first use.
    package func counter(_ name: String, _ labels: [(String, String)] = []) -> Counter {
        let key = Key(name: name, labels: render(labels))
        return state.withLock { state in
            if let counter = state.counters[key] { return counter }
            let counter = Counter()
            state.counters[key] = counter
            return counter
        }
    }

    package func gauge(_ name: String, _ labels: [(String, String)] = []) -> Gauge {
        let key = Key(name: name, labels: render(labels))
        return state.withLock { state in
            if let gauge = state.gauges[key] { return gauge }
            let gauge = Gauge()
            state.gauges[key] = gauge
            return gauge
        }
    }

    private func render(_ labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        let pairs = labels.map { "\($0.0)=\"\($0.1)\"" }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    /// Prometheus text exposition format, version 0.0.4, sorted by name.
    package func exposition() -> String {
        let (counters, gauges) = state.withLock { ($0.counters, $0.gauges) }
        var lines: [(name: String, type: String, line: String)] = []
        for (key, counter) in counters {
            lines.append((key.name, "counter", "\(key.name)\(key.labels) \(counter.value)"))
        }
        for (key, gauge) in gauges {
            lines.append((key.name, "gauge", "\(key.name)\(key.labels) \(gauge.value)"))
        }
        lines.sort { ($0.name, $0.line) < ($1.name, $1.line) }
        var text = ""
        var previous = ""
        for line in lines {
            if line.name != previous {
                text += "# TYPE \(line.name) \(line.type)\n"
                previous = line.name
            }
            text += line.line + "\n"
        }
        return text
    }
}
