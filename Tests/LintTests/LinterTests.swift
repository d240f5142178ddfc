import Testing

/// The lint finds what it is for, and nothing else.
struct LinterTests {
    @Test(arguments: [
        ("Sources/CyxTables/A.swift", "try await Task.sleep(for: .seconds(1))", "Task.sleep"),
        ("Sources/CyxTables/A.swift", "let now = Date()", "Date()"),
        ("Sources/CyxTables/A.swift", "let clock = ContinuousClock()", "clock"),
        ("Sources/CyxTables/A.swift", "let x = Int.random(in: 0..<5)", "randomness"),
        ("Sources/CyxTables/A.swift", "var g = SystemRandomNumberGenerator()", "randomness"),
        ("Sources/CyxTables/A.swift", "fatalError(\"no\")", "fatalError"),
        ("Sources/CyxTables/A.swift", "let x = try? read()", "try?"),
        ("Sources/CyxTables/A.swift", "final class A: @unchecked Sendable {}", "unchecked"),
        ("Sources/CyxTables/A.swift", "internal import Foundation", "Foundation"),
        ("Sources/CyxTables/A.swift", "import FoundationEssentials", "Foundation"),
        ("Sources/CyxTables/A.swift", "internal import Glibc", "C library"),
        ("Simulations/Harness/A.swift", "fatalError()", "fatalError"),
        ("Tests/CyxCoreTests/A.swift", "// TO" + "DO: later", "unfinished"),
        ("Tests/CyxCoreTests/A.swift", "onReactor { bind(\"127.0.0.1:9000\") }", "fixed port"),
        ("Tests/CyxCoreTests/A.swift", "onReactor { bind(ip: 1, port: 7700) }", "fixed port"),
    ])
    func badSamplesAreNamedWithTheirLine(file: String, line: String, rule: String) {
        let findings = Linter.lint(file: file, text: "// first\n\(line)\n")
        #expect(findings.count == 1)
        #expect(findings.first?.line == 2)
        #expect(findings.first?.rule.contains(rule) == true)
        #expect(findings.first?.advice.isEmpty == false)
    }

    @Test(arguments: [
        ("Sources/CyxTables/A.swift", "// never `try?` or fatalError() here"),
        ("Sources/CyxTables/A.swift", "log(\"Task.sleep is banned, \\\"Date()\\\" too\")"),
        ("Sources/CyxTables/A.swift", "let x = Int.random(in: 0..<5, using: &generator)"),
        ("Sources/CyxTables/A.swift", "let updated = myDate()"),
        ("Sources/CyxCore/Production/A.swift", "internal import Glibc"),
        ("Tests/CyxCoreTests/A.swift", "onReactor { bind(\"127.0.0.1:0\") }"),
        ("Tests/CyxCoreTests/A.swift", "onReactor { \"127.0.0.1:7700\" }  // never bound"),
        ("Tests/CyxCoreTests/A.swift", "parse(\"127.0.0.1:7700\")"),
    ])
    func goodSamplesPass(file: String, line: String) {
        #expect(Linter.lint(file: file, text: line + "\n").isEmpty)
    }

    @Test func codeAfterStringsAndCommentsIsStillSeen() {
        let text =
            "let a = \"\"\"\n  fatalError()\n  \"\"\"; fatalError()\n/* x\n */ fatalError()\n"
        let lines = Linter.lint(file: "Sources/CyxTables/A.swift", text: text).map(\.line)
        #expect(lines == [3, 5])
    }

    @Test func longFilesAreNamedAndGeneratedOnesAreNot() {
        let text = String(repeating: "\n", count: 501)
        let findings = Linter.lint(file: "Sources/CyxTables/A.swift", text: text)
        #expect(findings.map(\.rule) == ["501 lines"])
        #expect(Linter.lint(file: "Sources/CyxTables/Generated/A.swift", text: text).isEmpty)
    }

    @Test func fullFoldersAreNamed() {
        let files = (0...Linter.maximumFilesPerFolder).map { "Sources/A/B/\($0).swift" }
        #expect(Linter.lintFolders(files).map(\.file) == ["Sources/A/B"])
        #expect(Linter.lintFolders(Array(files.dropLast())).isEmpty)
    }

    @Test func upwardImportsAreNamed() {
        let package = """
            module("Low", []),
            module("High", ["Low"]),
            module("Wrong", ["Later"]),
            .target(name: "Later", dependencies: ["Low"], path: "Elsewhere/Later"),
            tests("LowTests", ["Low"]),
            """
        let findings = Linter.lintLayers(
            package: package,
            imports: [
                ("Sources/High/A.swift", 1, "Low"),
                ("Sources/Low/A.swift", 2, "High"),
                ("Elsewhere/Later/A.swift", 3, "High"),
                ("Tests/LowTests/A.swift", 4, "Testing"),
            ])
        #expect(
            findings.map(\.rule) == [
                "Wrong depends on Later", "Low imports High", "Later imports High",
            ])
        #expect(findings.map(\.line) == [1, 2, 3])
    }
}
