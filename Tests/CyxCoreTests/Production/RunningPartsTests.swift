import CyxCore
import Testing

@Suite struct RunningPartsTests {
    @Test func partsThatRunAreNamedInTheOrderOfTheirBeginning() async throws {
        let parts = RunningParts()
        await parts.run("one") {
            await parts.run("two") { #expect(parts.names == ["one", "two"]) }
            #expect(parts.names == ["one"])
        }
        await #expect(throws: CancellationError.self) {
            try await parts.run("three") { throw CancellationError() }
        }
        #expect(parts.names == [])
    }
}
