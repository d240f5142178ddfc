/// One flag of a program: its name, what its value is called in help, and what it does.
package struct FlagSpec: Sendable {
    /// Without the dashes: `data-dir`.
    package var name: String
    /// How help calls the value, such as `DIR`; nil for a switch without one.
    package var value: String?
    package var help: String
    /// May be given several times.
    package var repeats: Bool

    package init(_ name: String, _ value: String? = nil, _ help: String, repeats: Bool = false) {
        self.name = name
        self.value = value
        self.help = help
        self.repeats = repeats
    }
}

/// A program or one of its commands: flags, and names of the arguments without dashes.
package struct CommandSpec: Sendable {
    /// As typed: `cyxcloud upload`.
    package var name: String
    package var summary: String
    package var flags: [FlagSpec]
    /// Shown in the usage line, such as `PATH…`; the command checks them itself.
    package var arguments: String
    /// How many arguments without dashes are allowed.
    package var argumentCount: ClosedRange<Int>

    package init(
        name: String, summary: String, flags: [FlagSpec], arguments: String = "",
        argumentCount: ClosedRange<Int> = 0...0
    ) {
        self.name = name
        self.summary = summary
        self.flags = flags
        self.arguments = arguments
        self.argumentCount = argumentCount
    }

    /// What `--help` prints.
    package var helpText: String {
        var text = "\(summary)\n\nusage: \(name) [flags] \(arguments)\n"
        guard !flags.isEmpty else { return text }
        text += "\n"
        let heads = flags.map { "  --" + $0.name + ($0.value.map { " " + $0 } ?? "") }
        let width = min(heads.map(\.count).max() ?? 0, 34)
        for (head, flag) in zip(heads, flags) {
            let padding = String(repeating: " ", count: max(width - head.count, 0) + 2)
            text += head + padding + flag.help + "\n"
        }
        return text
    }
}

/// What was typed, checked against a `CommandSpec`.
package struct ParsedCommand: Sendable {
    package var values: [String: [String]] = [:]
    package var switches: Set<String> = []
    package var arguments: [String] = []

    package func value(_ flag: String) -> String? { values[flag]?.last }
    package func has(_ flag: String) -> Bool { switches.contains(flag) || values[flag] != nil }
}

/// A mistake on the command line (exit code 2): what was wrong and what to type instead.
package struct UsageError: Error, Equatable, CustomStringConvertible {
    package var message: String
    package init(_ message: String) { self.message = message }
    package var description: String { message }
}
