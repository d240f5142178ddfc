import Foundation

/// One broken rule: where, and what to do about it.
struct Finding: Equatable, CustomStringConvertible {
    var file: String
    var line: Int
    var rule: String
    var advice: String
    var description: String { "\(file):\(line): \(rule); \(advice)" }
}

/// Words that a source file may not contain outside the folders that are allowed to.
struct BannedWord {
    var pattern: String
    var rule: String
    var advice: String
    /// Path prefixes or parts where it is allowed.
    var allowed: [String] = []
    /// Path prefixes that the rule is about.
    var scope = ["Sources/", "Simulations/"]
    /// Also looked for in comments and string literals.
    var inComments = false
    /// Only in files that contain one of these; empty for all files.
    var onlyWith: [String] = []
}

/// The lint of `make lint` and `make test`: plain text over the sources, driven by tables.
enum Linter {
    static let maximumLines = 500
    static let maximumFilesPerFolder = 14
    static let advisedLines = 350

    static let systemCode = [
        "Sources/CyxCore/Production/", "Sources/CyxPeerProcess/", "Sources/cyxcloud/",
        "Sources/cyxbench/", "Sources/CyxBenchmarks/",
    ]
    private static let environment = "take it from the environment (architecture §4)"

    static let banned: [BannedWord] = [
        BannedWord(
            pattern: #"\bTask\.sleep\b"#, rule: "`Task.sleep` outside the environment",
            advice: environment),
        BannedWord(
            pattern: #"\bDate\(\)|\bDate\.now\b"#, rule: "`Date()` outside the environment",
            advice: environment),
        BannedWord(
            pattern: #"\b(ContinuousClock|SuspendingClock)\b"#,
            rule: "a clock outside the environment", advice: environment, allowed: systemCode),
        BannedWord(
            pattern: #"\bSystemRandomNumberGenerator\b|\.random\((in: [^,()]*)?\)"#,
            rule: "randomness outside the environment", advice: environment, allowed: systemCode),
        BannedWord(
            pattern: #"\b(clock_gettime|getrandom|gettimeofday)\("#,
            rule: "the system's clock or randomness", advice: environment, allowed: systemCode),
        BannedWord(
            pattern: #"\bfatalError\("#, rule: "`fatalError`",
            advice: "throw a typed error for the world, `precondition` for our own bugs"),
        BannedWord(
            pattern: #"\btry\?"#, rule: "`try?` swallows an error",
            advice: "catch it and say what happens then"),
        BannedWord(
            pattern: #"@unchecked Sendable"#, rule: "`@unchecked Sendable`",
            advice: "Mutex, Atomic, an actor, or a ~Copyable owner"),
        BannedWord(
            pattern: #"^[ \t]*(\w+ )?import (Foundation|FoundationEssentials)\b"#,
            rule: "Foundation in the product", advice: "use CyxCore, or Glibc in production code"),
        BannedWord(
            pattern: #"^[ \t]*(\w+ )?import Glibc\b"#, rule: "the C library above the environment",
            advice: environment,
            allowed: systemCode + [
                "Sources/CyxStorage/", "Sources/CyxHTTP/", "Sources/CyxClient/",
                "Sources/protoc-gen-cyx/", "Simulations/simulate/",
            ]),
        BannedWord(
            pattern: #"\b(TODO|FIXME|XXX)\b"#, rule: "unfinished work in the sources",
            advice: "finish it or open an issue", allowed: ["Tests/LintTests/"],
            scope: ["Sources/", "Simulations/", "Tests/"], inComments: true),
        BannedWord(
            pattern: #"\bport: [1-9][0-9]*\b|127\.0\.0\.1:[1-9]|\[::1\]:[1-9]"#,
            rule: "a test with a fixed port", advice: "bind port 0",
            allowed: ["Tests/LintTests/", "Tests/e2e/"], scope: ["Tests/"], inComments: true,
            onlyWith: ["EpollDatagramNetwork", "onReactor", "-listen"]),
    ]

    /// Lines whose fixed port is never bound carry this.
    static let neverBound = "never bound"

    // MARK: One file

    static func lint(file: String, text: String) -> [Finding] {
        guard !file.contains("/Generated/") else { return [] }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let code = withoutCommentsAndStrings(text)
        var findings: [Finding] = []
        for word in banned
        where word.scope.contains(where: file.hasPrefix)
            && !word.allowed.contains(where: file.contains)
            && (word.onlyWith.isEmpty || word.onlyWith.contains(where: text.contains))
        {
            let subject = word.inComments ? text : code
            for line in linesMatching(word.pattern, in: subject)
            where !lines[line].contains(neverBound) {
                findings.append(
                    Finding(file: file, line: line + 1, rule: word.rule, advice: word.advice))
            }
        }
        if lines.count - 1 > maximumLines {
            findings.append(
                Finding(
                    file: file, line: lines.count - 1, rule: "\(lines.count - 1) lines",
                    advice: "split it; the limit is \(maximumLines), \(advisedLines) is advised"))
        }
        return findings
    }

    /// Compiled once: there are thousands of files.
    private static let expressions = banned.reduce(into: [String: NSRegularExpression]()) {
        $0[$1.pattern] = try? NSRegularExpression(
            pattern: $1.pattern, options: .anchorsMatchLines)
    }

    /// The indices of the lines in which a match of `pattern` begins.
    private static func linesMatching(_ pattern: String, in text: String) -> [Int] {
        guard let regex = expressions[pattern] else { return [0] }
        let whole = text as NSString
        let range = NSRange(location: 0, length: whole.length)
        var lines: [Int] = []
        for match in regex.matches(in: text, range: range) {
            let before = whole.substring(to: match.range.location)
            let line = before.utf8.count { $0 == UInt8(ascii: "\n") }
            if lines.last != line { lines.append(line) }
        }
        return lines
    }

    /// The code alone, line by line: strings emptied and comments gone. Knows `//`, `/* */`, plain
    /// and multi-line strings; what is interpolated counts as part of the string.
    static func withoutCommentsAndStrings(_ text: String) -> String {
        enum Place { case code, comment, block, string, text }
        let bytes = Array(text.utf8)
        let (quote, escape, newline) = (UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "\n"))
        func has(_ word: StaticString, at index: Int) -> Bool {
            guard bytes[index] == word.utf8Start[0],
                index + word.utf8CodeUnitCount <= bytes.count
            else { return false }
            return (0..<word.utf8CodeUnitCount).allSatisfy {
                bytes[index + $0] == word.utf8Start[$0]
            }
        }
        var result: [UInt8] = []
        var place = Place.code
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            var step = 1
            if byte == newline {
                result.append(byte)
                if place == .comment || place == .string { place = .code }
            } else {
                switch place {
                case .comment: break
                case .block: if has("*/", at: index) { (place, step) = (.code, 2) }
                case .text: if has("\"\"\"", at: index) { (place, step) = (.code, 3) }
                case .string:
                    if byte == escape { step = 2 }
                    if byte == quote { place = .code }
                case .code:
                    if has("//", at: index) {
                        place = .comment
                    } else if has("/*", at: index) {
                        (place, step) = (.block, 2)
                    } else if has("\"\"\"", at: index) {
                        (place, step) = (.text, 3)
                    } else if byte == quote {
                        place = .string
                    } else {
                        result.append(byte)
                    }
                }
            }
            index += step
        }
        return String(decoding: result, as: UTF8.self)
    }

    // MARK: Layering

    /// Target → its dependencies, as `Package.swift` writes them, in its order.
    static func targets(
        ofPackage text: String
    ) -> [(name: String, path: String, dependencies: Set<String>)] {
        let calls =
            #/(module|program|tests|library|\.target|\.executableTarget)\(\s*(?:name: )?"([\w-]+)"/#
        var result: [(name: String, path: String, dependencies: Set<String>)] = []
        let matches = text.matches(of: calls)
        for (index, match) in matches.enumerated() {
            let end =
                index + 1 < matches.count ? matches[index + 1].range.lowerBound : text.endIndex
            let body = text[match.range.upperBound..<end]
            let name = String(match.2)
            var path = (match.1 == "tests" ? "Tests/" : "Sources/") + name
            if let explicit = body.firstMatch(of: #/path: "([\w/-]+)"/#) {
                path = String(explicit.1)
            }
            var dependencies: Set<String> = []
            if let list = body.firstMatch(of: #/\[([^\]]*)\]/#) {
                dependencies = Set(list.1.matches(of: #/"([\w-]+)"/#).map { String($0.1) })
            }
            if match.1 == "library" { dependencies = [] }
            result.append((name, path, dependencies))
        }
        return result
    }

    /// Every import of one of our targets must be a declared dependency, and a declared dependency
    /// must come earlier in the package: so imports only point down.
    static func lintLayers(
        package: String, imports: [(file: String, line: Int, module: String)]
    ) -> [Finding] {
        let targets = targets(ofPackage: package)
        let order = Dictionary(
            targets.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        var findings: [Finding] = []
        for target in targets {
            for dependency in target.dependencies.sorted() {
                guard let own = order[target.name], let other = order[dependency] else { continue }
                if other >= own {
                    findings.append(
                        Finding(
                            file: "Package.swift", line: 1,
                            rule: "\(target.name) depends on \(dependency)",
                            advice: "imports only point down (architecture §3)"))
                }
            }
        }
        for item in imports {
            guard let target = targets.first(where: { item.file.hasPrefix($0.path + "/") }),
                order[item.module] != nil, item.module != target.name,
                !target.dependencies.contains(item.module)
            else { continue }
            findings.append(
                Finding(
                    file: item.file, line: item.line,
                    rule: "\(target.name) imports \(item.module)",
                    advice: "imports only point down (architecture §3)"))
        }
        return findings
    }

    static func imports(file: String, text: String) -> [(file: String, line: Int, module: String)] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap {
            index, line in
            // Most lines are none, and a regular expression takes its time.
            guard line.contains("import "),
                let match = line.firstMatch(of: #/^(?:@\w+ )?(?:\w+ )?import (\w+)/#)
            else { return nil }
            return (file, index + 1, String(match.1))
        }
    }

    // MARK: Folders

    static func lintFolders(_ files: [String]) -> [Finding] {
        let folders = Dictionary(grouping: files) { file in
            file.lastIndex(of: "/").map { String(file[..<$0]) } ?? ""
        }
        return folders.filter {
            $0.value.count > maximumFilesPerFolder && !$0.key.hasSuffix("Generated")
        }
        .sorted { $0.key < $1.key }
        .map { folder, files in
            Finding(
                file: folder, line: 0, rule: "\(files.count) files in one folder",
                advice: "group them; the limit is \(maximumFilesPerFolder)")
        }
    }
}
