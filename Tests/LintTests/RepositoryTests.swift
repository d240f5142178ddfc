import Foundation
import Testing

/// The rules of the house, held by the whole repository.
struct RepositoryTests {
    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func text(_ file: String) throws -> String {
        try String(contentsOf: root.appending(path: file), encoding: .utf8)
    }

    private static func swiftFiles() throws -> [String] {
        try ["Sources", "Simulations", "Tests"].flatMap { folder in
            let names = try FileManager.default.subpathsOfDirectory(
                atPath: root.appending(path: folder).path)
            return names.filter { $0.hasSuffix(".swift") }.map { "\(folder)/\($0)" }
        }.sorted()
    }

    @Test func everyFileKeepsTheRules() throws {
        let files = try RepositoryTests.swiftFiles()
        #expect(files.count > 40)
        let findings = try files.flatMap { file in
            Linter.lint(file: file, text: try RepositoryTests.text(file))
        }
        for finding in findings { Issue.record("\(finding)") }
    }

    @Test func importsOnlyPointDown() throws {
        let imports = try RepositoryTests.swiftFiles().flatMap { file in
            Linter.imports(file: file, text: try RepositoryTests.text(file))
        }
        #expect(imports.count > 40)
        let package = try RepositoryTests.text("Package.swift")
        #expect(Linter.targets(ofPackage: package).count > 25)
        for finding in Linter.lintLayers(package: package, imports: imports) {
            Issue.record("\(finding)")
        }
    }

    @Test func foldersStaySmall() throws {
        for finding in Linter.lintFolders(try RepositoryTests.swiftFiles()) {
            Issue.record("\(finding)")
        }
    }
}
