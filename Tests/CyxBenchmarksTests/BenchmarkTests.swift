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
