import CyxBenchmarks
import Testing

struct BenchmarkTests {
    @Test(arguments: BenchmarkRegistry.all.map(\.name))
    func everyBenchmarkRunsOnATinyInput(name: String) async throws {
        let benchmark = try #require(BenchmarkRegistry.benchmark(named: name))
        let rows = try await benchmark.run(size: .tiny)
        #expect(!rows.isEmpty)
        for row in rows { #expect(row.value > 0) }
    }

    @Test func aRatioAboveOneIsBetterInEitherDirection() {
        var row = BenchmarkRow("r", value: 4, unit: "GB/s", baseline: 2, baselineName: "b")
        #expect(row.ratio == 2)
        row.direction = .lowerIsBetter
        #expect(row.ratio == 0.5)
        row.baseline = nil
        #expect(row.ratio == nil)
    }

    @Test func turnsAreComparedEachWithItsOwn() {
        // The machine is twice as fast in the last two turns, for both.
        let paired = Measurement.pairedRatio([5, 5, 6, 12, 20], [10, 10, 10, 20, 20])
        #expect(paired == PairedRatio(median: 0.6, lower: 0.5, upper: 0.6, turns: 5))
        var row = BenchmarkRow(
            "r", value: 6, unit: "GB/s", baseline: 10, baselineName: "b", paired: paired)
        #expect(row.text.contains("ratio 0.60, half of 5 turns between 0.50 and 0.60"))
        row.paired = nil
        #expect(!row.text.contains("turns"))
    }

    @Test func aRowIsOneJSONObject() {
        let row = BenchmarkRow("a \"b\"", value: 4, unit: "ms", baseline: nil, baselineName: "none")
        #expect(
            row.json == "{\"name\":\"a \\\"b\\\"\",\"value\":4.0,\"unit\":\"ms\",\"baseline\":null,"
                + "\"ratio\":null,\"baselineName\":\"none\"}")
    }

    @Test func aMedianIsTheMiddle() {
        #expect(Measurement.median([9, 1, 5]) == 5)
        #expect(Measurement.median([4, 1, 3, 2]) == 2.5)
    }
}
