import CyxCore
import Testing

@Suite struct CommandLineTests {
    private let spec = CommandSpec(
        name: "tool put", summary: "Puts.",
        flags: [
            FlagSpec("bucket", "NAME", "where to"), FlagSpec("json", nil, "machine output"),
            FlagSpec("account", "A", "more", repeats: true),
        ],
        arguments: "PATH…", argumentCount: 1...3)

    @Test func readsFlagsSwitchesAndArgumentsInAnyOrder() throws {
        let parsed = try spec.parse(["a", "--bucket", "b", "--json", "c", "--", "--bucket"])
        #expect(parsed.value("bucket") == "b")
        #expect(parsed.has("json"))
        #expect(parsed.arguments == ["a", "c", "--bucket"])
    }

    @Test func acceptsAnEqualsSignAndRepeats() throws {
        let parsed = try spec.parse(["--account=x=1", "--account", "y", "p"])
        #expect(parsed.values["account"] == ["x=1", "y"])
    }

    @Test(arguments: [
        (["--buckte", "b", "p"], "unknown flag --buckte; did you mean --bucket?"),
        (["p", "--bucket"], "--bucket needs a value (NAME)"),
        (["p", "--json=1"], "--json takes no value"),
        (["p", "--bucket", "a", "--bucket", "b"], "--bucket is given twice"),
        ([], "tool put takes PATH…, not 0 argument(s)"),
    ])
    func namesTheMistake(words: [String], message: String) {
        #expect(throws: UsageError(message)) { try spec.parse(words) }
    }

    @Test func helpListsEveryFlag() {
        let lines = spec.helpText.split(separator: "\n")
        #expect(lines.contains("usage: tool put [flags] PATH…"))
        #expect(lines.contains { $0.hasPrefix("  --bucket NAME") && $0.hasSuffix("where to") })
    }
}

@Suite struct UnitsTests {
    @Test(arguments: [
        ("4096", 4096), ("1k", 1024), ("1KB", 1024), ("1 KiB", 1024), ("1.5GiB", 1_610_612_736),
        ("500GB", 536_870_912_000), ("0", 0),
    ])
    func readsSizesAsBinary(text: String, bytes: UInt64) {
        #expect(Units.parseBytes(text) == bytes)
    }

    @Test(arguments: ["", "x", "-1", "1XB", "GiB", "99999999PB"])
    func refusesWhatIsNoSize(text: String) {
        #expect(Units.parseBytes(text) == nil)
    }

    @Test func writesSizesWithThreeDigits() {
        #expect(Units.format(bytes: 1023) == "1023 B")
        #expect(Units.format(bytes: 1536) == "1.50 KiB")
        #expect(Units.format(bytes: 256 << 20) == "256 MiB")
        #expect(Units.format(bytes: 12_884_901_888) == "12.0 GiB")
    }

    @Test func readsDurations() {
        #expect(Units.parseDuration("300ms") == .milliseconds(300))
        #expect(Units.parseDuration("6h") == .seconds(21600))
        #expect(Units.parseDuration("7 days") == nil)
    }

    @Test func writesDecimalsRounded() {
        #expect(Units.decimal(1.005, digits: 1) == "1.0")
        #expect(Units.decimal(-0.25, digits: 2) == "-0.25")
        #expect(Units.decimal(9.999, digits: 2) == "10.00")
        #expect(Units.decimal(41.6, digits: 0) == "42")
    }
}
