internal import CyxCore

/// One figure, and the same figure of something else measured in the same run.
package struct BenchmarkRow: Equatable, Sendable {
    package enum Direction: Sendable {
        case higherIsBetter
        case lowerIsBetter
    }

    package var name: String
    package var value: Double
    /// What `value` and `baseline` count, such as `GB/s`.
    package var unit: String
    /// What the comparison measured; nil where nothing comparable could run.
    package var baseline: Double?
    /// What was compared with, or why nothing was.
    package var baselineName: String
    package var direction: Direction
    /// Where both were measured in turns: of the ratios of all turns, which say more than the ratio
    /// of the two figures. Above 1 is better.
    package var paired: PairedRatio?

    package init(
        _ name: String, value: Double, unit: String, baseline: Double?, baselineName: String,
        direction: Direction = .higherIsBetter, paired: PairedRatio? = nil
    ) {
        self.name = name
        self.value = value
        self.unit = unit
        self.baseline = baseline
        self.baselineName = baselineName
        self.direction = direction
        self.paired = paired
    }

    /// How much better than the baseline: above 1 is better, whichever direction that is.
    package var ratio: Double? {
        if let paired { return paired.median }
        guard let baseline, baseline > 0, value > 0 else { return nil }
        return direction == .higherIsBetter ? value / baseline : baseline / value
    }

    /// One line for a person.
    package var text: String {
        let figure = "\(Units.decimal(value, digits: 3)) \(unit)"
        guard let baseline, let ratio else { return "\(name)  \(figure)  (\(baselineName): n/a)" }
        let spread = paired.map { paired in
            ", half of \(paired.turns) turns between \(Units.decimal(paired.lower, digits: 2)) and "
                + Units.decimal(paired.upper, digits: 2)
        }
        return
            "\(name)  \(figure)  (\(baselineName): \(Units.decimal(baseline, digits: 3)) \(unit), "
            + "ratio \(Units.decimal(ratio, digits: 2))\(spread ?? ""))"
    }

    /// One JSON object: `name`, `value`, `unit`, `baseline`, `ratio`, `baselineName`, and where both
    /// took turns `turns`, `ratioLower` and `ratioUpper`.
    package var json: String {
        func number(_ value: Double?) -> String {
            value.map { $0.isFinite ? "\($0)" : "null" } ?? "null"
        }
        let spread = paired.map {
            ",\"turns\":\($0.turns),\"ratioLower\":\(number($0.lower)),"
                + "\"ratioUpper\":\(number($0.upper))"
        }
        return "{\"name\":\(quoted(name)),\"value\":\(number(value)),\"unit\":\(quoted(unit)),"
            + "\"baseline\":\(number(baseline)),\"ratio\":\(number(ratio)),"
            + "\"baselineName\":\(quoted(baselineName))\(spread ?? "")}"
    }

    private func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\u{0}"..<" ": result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// How much work a benchmark does.
package enum BenchmarkSize: Sendable {
    /// Enough for figures worth quoting.
    case full
    /// As little as shows that it runs, for the test suite.
    case tiny
}

/// What `cyxbench NAME` runs.
package protocol Benchmark: Sendable {
    /// As typed on the command line.
    var name: String { get }
    /// One line for the list of benchmarks.
    var summary: String { get }
    /// Measures, interleaving the subject with its baseline, and gives medians.
    func run(size: BenchmarkSize) async throws -> [BenchmarkRow]
}

/// Every benchmark, in the order of the list.
package enum BenchmarkRegistry {
    package static let all: [any Benchmark] = [
        HashBenchmark(),
        ErasureBenchmark(),
        AEADBenchmark(),
        StoreBenchmark(),
        TransportBenchmark(),
        ObjectsBenchmark(),
        ListingBenchmark(),
    ]

    package static func benchmark(named name: String) -> (any Benchmark)? {
        all.first { $0.name == name }
    }
}
