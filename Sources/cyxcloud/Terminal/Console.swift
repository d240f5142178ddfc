internal import CyxClient
internal import CyxCore
internal import Glibc
internal import Synchronization

/// Where results, progress and errors go, by the rules of experience.md §1: results on standard
/// output, everything else on standard error; with `--json` one object per line, the last of which
/// is `{"result":…}` or `{"error":…}`.
final class Console: Sendable {
    let isJSON: Bool
    let isQuiet: Bool
    let hasColor: Bool
    private let failed = Atomic<Bool>(false)

    init(_ parsed: ParsedCommand) {
        isJSON = parsed.has("json")
        isQuiet = parsed.has("quiet")
        hasColor =
            StandardStream.error.isTerminal && !parsed.has("no-color")
            && ProcessEnvironment.value("NO_COLOR") == nil
    }

    /// Whether some part of the command failed, though it went on.
    var hasFailed: Bool { failed.load(ordering: .relaxed) }

    /// Part of the result, for people.
    func say(_ line: String) {
        if !isJSON { StandardStream.output.write(line + "\n") }
    }

    /// The result itself, for programs.
    func result(_ value: JSONValue) {
        emit(.object([("result", value)]))
    }

    /// A line of JSON that is not the last.
    func emit(_ value: JSONValue) {
        if isJSON { StandardStream.output.write(value.encoded + "\n") }
    }

    /// What is going on, for people only.
    func note(_ line: String) {
        if !isQuiet, !isJSON { StandardStream.error.write(line + "\n") }
    }

    func warn(_ line: String) {
        StandardStream.error.write(color("33", "warning: ") + line + "\n")
    }

    /// An error; the exit code will be 1.
    func fail(_ error: ClientError) {
        failed.store(true, ordering: .relaxed)
        if isJSON {
            emit(.object([("error", error.json)]))
        } else {
            StandardStream.error.write(color("31", String(error.text.prefix(5))))
            StandardStream.error.write(error.text.dropFirst(5) + "\n")
        }
    }

    /// `text` in an ANSI colour, where colours are wanted.
    func color(_ code: String, _ text: String) -> String {
        hasColor ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }

    /// Asks on the terminal; without one the answer has to be a flag.
    func confirm(_ question: String, _ parsed: ParsedCommand) throws(UsageError) -> Bool {
        if parsed.has("yes") { return true }
        guard isatty(STDIN_FILENO) == 1, StandardStream.error.isTerminal, !isJSON else {
            throw UsageError("\(question) Say so with --yes, or look first with --dry-run")
        }
        StandardStream.error.write("\(question) [y/N] ")
        return readLine()?.lowercased().hasPrefix("y") ?? false
    }
}
