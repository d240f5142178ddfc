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

/// A value that is asked for when metrics are written out.
package struct Measurement: Sendable {
    package enum Kind: String, Sendable { case counter, gauge }

    package var name: String
    package var kind: Kind
    package var labels: [(String, String)]
    package var value: Double

    package init(
        _ name: String, _ kind: Kind, _ value: Double, labels: [(String, String)] = []
    ) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.value = value
    }
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
        var histograms: [Key: Histogram] = [:]
        var collectors: [@Sendable () -> [Measurement]] = []
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

    /// The histogram of that name and those labels; `bounds` count on first use only.
    package func histogram(
        _ name: String, _ labels: [(String, String)] = [],
        bounds: [Double] = Histogram.durationBounds
    ) -> Histogram {
        let key = Key(name: name, labels: render(labels))
        return state.withLock { state in
            if let histogram = state.histograms[key] { return histogram }
            let histogram = Histogram(bounds: bounds)
            state.histograms[key] = histogram
            return histogram
        }
    }

    /// Adds a source of values that are read at every `exposition`, on its caller's thread.
    package func collect(_ collector: @escaping @Sendable () -> [Measurement]) {
        state.withLock { $0.collectors.append(collector) }
    }

    private func render(_ labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        let pairs = labels.map { "\($0.0)=\"\(escape($0.1))\"" }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    /// Label values escape backslash, quote and line feed (text format 0.0.4).
    private func escape(_ value: String) -> String {
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }

    /// Prometheus text exposition format, version 0.0.4, sorted by name.
    package func exposition() -> String {
        let (counters, gauges, histograms, collectors) = state.withLock {
            ($0.counters, $0.gauges, $0.histograms, $0.collectors)
        }
        var samples: [Sample] = []
        for (key, counter) in counters {
            let line = "\(key.name)\(key.labels) \(counter.value)"
            samples.append(Sample(name: key.name, labels: key.labels, type: "counter", text: line))
        }
        for (key, gauge) in gauges {
            let line = "\(key.name)\(key.labels) \(number(gauge.value))"
            samples.append(Sample(name: key.name, labels: key.labels, type: "gauge", text: line))
        }
        for (key, histogram) in histograms {
            let lines = render(histogram, key)
            samples.append(
                Sample(name: key.name, labels: key.labels, type: "histogram", text: lines))
        }
        for measurement in collectors.flatMap({ $0() }) {
            let labels = render(measurement.labels)
            let line = "\(measurement.name)\(labels) \(number(measurement.value))"
            samples.append(
                Sample(
                    name: measurement.name, labels: labels, type: measurement.kind.rawValue,
                    text: line))
        }
        samples.sort { ($0.name, $0.labels) < ($1.name, $1.labels) }
        var text = ""
        var previous = ""
        for sample in samples {
            if sample.name != previous {
                text += "# TYPE \(sample.name) \(sample.type)\n"
                previous = sample.name
            }
            text += sample.text + "\n"
        }
        return text
    }

    private struct Sample {
        var name: String
        var labels: String
        var type: String
        var text: String
    }

    private func render(_ histogram: Histogram, _ key: Key) -> String {
        let snapshot = histogram.snapshot
        let inner = key.labels.isEmpty ? "" : key.labels.dropFirst().dropLast() + ","
        var lines: [String] = []
        for (index, count) in snapshot.cumulative.enumerated() {
            let bound = index < histogram.bounds.count ? number(histogram.bounds[index]) : "+Inf"
            lines.append("\(key.name)_bucket{\(inner)le=\"\(bound)\"} \(count)")
        }
        lines.append("\(key.name)_sum\(key.labels) \(number(snapshot.sum))")
        lines.append("\(key.name)_count\(key.labels) \(snapshot.count)")
        return lines.joined(separator: "\n")
    }

    /// Whole numbers without a fraction.
    private func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }
}
