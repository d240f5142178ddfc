extension CommandSpec {
    /// Reads `--flag value`, `--flag=value`, switches and arguments; `--` ends the flags.
    ///
    /// Throws `UsageError` that names the flag and the nearest known one.
    package func parse(_ words: [String]) throws(UsageError) -> ParsedCommand {
        var parsed = ParsedCommand()
        var rest = words[...]
        var flagsEnded = false
        while let word = rest.popFirst() {
            if flagsEnded || !word.hasPrefix("--") {
                parsed.arguments.append(word)
            } else if word == "--" {
                flagsEnded = true
            } else {
                try read(flag: word, rest: &rest, into: &parsed)
            }
        }
        guard argumentCount.contains(parsed.arguments.count) else {
            let wanted = arguments.isEmpty ? "no arguments" : arguments
            throw UsageError("\(name) takes \(wanted), not \(parsed.arguments.count) argument(s)")
        }
        return parsed
    }

    private func read(
        flag word: String, rest: inout ArraySlice<String>, into parsed: inout ParsedCommand
    ) throws(UsageError) {
        let parts = word.dropFirst(2).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let flagName = String(parts[0])
        guard let flag = flags.first(where: { $0.name == flagName }) else {
            let hint = nearest(to: flagName, among: flags.map(\.name))
            throw UsageError(
                "unknown flag --\(flagName)" + (hint.map { "; did you mean --\($0)?" } ?? ""))
        }
        guard flag.value != nil else {
            guard parts.count == 1 else { throw UsageError("--\(flagName) takes no value") }
            parsed.switches.insert(flagName)
            return
        }
        let value: String
        if parts.count == 2 {
            value = String(parts[1])
        } else if let next = rest.popFirst() {
            value = next
        } else {
            throw UsageError("--\(flagName) needs a value (\(flag.value ?? ""))")
        }
        if parsed.values[flagName] != nil, !flag.repeats {
            throw UsageError("--\(flagName) is given twice")
        }
        parsed.values[flagName, default: []].append(value)
    }
}

/// The candidate within an edit distance of a third of the word, if any (Levenshtein 1966). Two
/// edits are allowed from four letters on, since swapping neighbours takes two.
package func nearest(to word: String, among candidates: [String]) -> String? {
    let allowed = word.count < 4 ? 1 : max(word.count / 3, 2)
    return candidates.map { ($0, editDistance(Array(word), Array($0))) }
        .filter { $0.1 <= allowed }
        .min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
}

private func editDistance(_ left: [Character], _ right: [Character]) -> Int {
    var row = Array(0...right.count)
    for (i, leftCharacter) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, rightCharacter) in right.enumerated() {
            let substitution = diagonal + (leftCharacter == rightCharacter ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[right.count]
}
