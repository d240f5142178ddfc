/// Why a peer cannot use its data directory: what failed, on what, and what to do about it
/// (`experience.md` §1 and §3).
package struct StoreProblem: Error, Equatable, CustomStringConvertible {
    /// Such as `STORE-02`.
    package var code: String
    package var what: String
    package var cause: String?
    package var advice: String

    package init(_ code: String, _ what: String, cause: String? = nil, advice: String) {
        self.code = code
        self.what = what
        self.cause = cause
        self.advice = advice
    }

    /// Three lines at most, to follow the word "error".
    package var description: String {
        var text = "\(code): \(what)"
        if let cause { text += "\n  cause: \(cause)" }
        return text + "\n  try:   \(advice)"
    }
}

/// Sizes as people read them: binary units, three digits.
func describe(bytes: Int64) -> String {
    var value = Double(bytes)
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024 { return "\(rounded(value)) \(unit)" }
        value /= 1024
    }
    return "\(rounded(value)) TiB"
}

private func rounded(_ value: Double) -> String {
    if value >= 100 || value == value.rounded() { return String(Int64(value.rounded())) }
    return String((value * 10).rounded() / 10)
}
