import CyxOverlay

extension ProtocolFigures {
    /// False positives that there must at least be fewer, as a factor (Lifeguard's abstract).
    private static let fewer = 50.0

    static func detection(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        let grid = DetectionFigures.Grid()
        var baseline: DetectionOutcome?
        var holds = true
        print(
            "\(peers) members with production timings; slow of 128: \(grid.slow), blocked "
                + "\(grid.blocked) ms, every \(grid.intervals) ms; one healthy member dies in each")
        for detector in DetectionFigures.Detector.allCases {
            var total = DetectionOutcome()
            for slow in grid.slow {
                for blocked in grid.blocked {
                    var cell = DetectionOutcome()
                    for interval in grid.intervals {
                        cell.add(
                            DetectionFigures.measure(
                                detector.defences, slow: slow, blocked: blocked,
                                interval: interval, peers: peers, seed: seed))
                    }
                    print(
                        "    \(detector.rawValue), \(slow) slow, \(blocked) ms: "
                            + "\(cell.falseDeaths) false positives, \(cell.falseDeathsAtHealthy) "
                            + "at healthy members")
                    total.add(cell)
                }
            }
            print("  \(detector.rawValue): \(describe(total))")
            guard let swim = baseline else {
                baseline = total
                continue
            }
            print("    \(compare(total, with: swim))")
            if detector == .all {
                holds =
                    ratio(swim.falseDeaths, total.falseDeaths) >= fewer
                    && ratio(swim.falseDeathsAtHealthy, total.falseDeathsAtHealthy) >= fewer
                    && total.missed == 0
            }
        }
        return holds
    }

    private static func describe(_ outcome: DetectionOutcome) -> String {
        func times(_ values: [Double]) -> String {
            let spread = Spread(values)
            return "\(rounded(spread.percentile(0.5))) s median, "
                + "\(rounded(spread.percentile(0.99))) s at most of 99 %"
        }
        return "\(outcome.falseDeaths) false positives, \(outcome.falseDeathsAtHealthy) at healthy "
            + "members, of \(outcome.suspicions) suspicions; a death is first detected after "
            + "\(times(outcome.firstDetections)), known to all healthy after "
            + "\(times(outcome.disseminations)), \(outcome.missed) missed; each member sends "
            + "\(rounded(Double(outcome.messages) / outcome.memberSeconds)) messages/s, "
            + "\(Int(Double(outcome.bytes) / outcome.memberSeconds)) bytes/s"
    }

    private static func compare(
        _ outcome: DetectionOutcome, with swim: DetectionOutcome
    ) -> String {
        let first = Spread(outcome.firstDetections).percentile(0.5)
        let swimFirst = Spread(swim.firstDetections).percentile(0.5)
        let all = Spread(outcome.disseminations).percentile(0.5)
        let swimAll = Spread(swim.disseminations).percentile(0.5)
        return "\(fewer(swim.falseDeaths, outcome.falseDeaths)) false positives than plain SWIM, "
            + "\(fewer(swim.falseDeathsAtHealthy, outcome.falseDeathsAtHealthy)) at healthy members; "
            + "detection takes \(rounded(first / swimFirst)) and \(rounded(all / swimAll)) of its "
            + "time, \(rounded(Double(outcome.bytes) / Double(swim.bytes))) of its bytes"
    }

    /// With none left, as if there had been one.
    private static func ratio(_ before: Int, _ after: Int) -> Double {
        Double(before) / Double(max(1, after))
    }

    private static func fewer(_ before: Int, _ after: Int) -> String {
        after == 0
            ? "no \(before > 0 ? "(\(before) before)" : "")"
            : "\(rounded(ratio(before, after))) times fewer"
    }
}
