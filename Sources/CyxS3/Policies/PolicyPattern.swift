/// A text of a policy in which `*` stands for any characters and `?` for one, and `${…}` for what
/// the request says.
struct PolicyPattern: Equatable, Sendable {
    private enum Token: Equatable {
        case byte(UInt8)
        case one
        case many
    }

    let text: String

    init(_ text: String) { self.text = text }

    /// Whether `*`, `?` or a variable leaves open what the text may be.
    var isOpen: Bool { text.contains { $0 == "*" || $0 == "?" } || text.contains("${") }

    /// Whether `subject` is what the pattern says. A variable that the request has no value for
    /// matches nothing.
    func matches(_ subject: String, in context: PolicyContext, ignoringCase: Bool = false) -> Bool {
        guard let tokens = tokens(context, wildcards: true, ignoringCase) else { return false }
        return PolicyPattern.matches(tokens, PolicyPattern.folded(subject, ignoringCase))
    }

    /// Whether `subject` is the text with its variables filled in, and `*` nothing but a star.
    func equals(_ subject: String, in context: PolicyContext, ignoringCase: Bool = false) -> Bool {
        guard let tokens = tokens(context, wildcards: false, ignoringCase) else { return false }
        return PolicyPattern.matches(tokens, PolicyPattern.folded(subject, ignoringCase))
    }

    /// Which of `names`, all in lower case, the pattern means; variables mean nothing here.
    func matchesAny(of names: [[UInt8]]) -> Bool {
        let none = PolicyContext(requester: .anonymous, action: "", resource: "")
        guard let tokens = tokens(none, wildcards: true, true) else { return false }
        return names.contains { PolicyPattern.matches(tokens, $0) }
    }

    private static func folded(_ text: String, _ ignoringCase: Bool) -> [UInt8] {
        Array((ignoringCase ? text.lowercased() : text).utf8)
    }

    private func tokens(
        _ context: PolicyContext, wildcards: Bool, _ ignoringCase: Bool
    ) -> [Token]? {
        let bytes = PolicyPattern.folded(text, ignoringCase)
        var tokens: [Token] = []
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "*") where wildcards: tokens.append(.many)
            case UInt8(ascii: "?") where wildcards: tokens.append(.one)
            case UInt8(ascii: "$")
            where context.hasVariables && index < bytes.count && bytes[index] == UInt8(ascii: "{"):
                guard let end = bytes[index...].firstIndex(of: UInt8(ascii: "}")) else {
                    tokens.append(.byte(byte))
                    continue
                }
                let name = String(decoding: bytes[index + 1..<end], as: UTF8.self)
                guard let value = PolicyPattern.value(of: name, context) else { return nil }
                tokens += PolicyPattern.folded(value, ignoringCase).map { .byte($0) }
                index = end + 1
            default: tokens.append(.byte(byte))
            }
        }
        return tokens
    }

    /// `${*}`, `${?}` and `${$}` are those characters; `${aws:username, 'nobody'}` has a default.
    private static func value(of name: String, _ context: PolicyContext) -> String? {
        if ["*", "?", "$"].contains(name) { return name }
        let parts = name.split(separator: ",", maxSplits: 1)
        guard let key = parts.first else { return nil }
        // A variable of several values stands for none of them.
        if let values = context.values(of: String(key)), values.count == 1 { return values[0] }
        guard parts.count == 2 else { return nil }
        let quoted = parts[1].drop { $0 == " " }
        guard quoted.count >= 2, quoted.hasPrefix("'"), quoted.hasSuffix("'") else { return nil }
        return String(quoted.dropFirst().dropLast())
    }

    /// Remembers the last star only, so that the time is at most the product of both lengths.
    private static func matches(_ tokens: [Token], _ subject: [UInt8]) -> Bool {
        var (token, position) = (0, 0)
        var star: (token: Int, position: Int)?
        while position < subject.count {
            if token < tokens.count, tokens[token] == .many {
                star = (token, position)
                token += 1
            } else if token < tokens.count,
                tokens[token] == .one || tokens[token] == .byte(subject[position])
            {
                token += 1
                // One character, however many bytes it has.
                let isOne = tokens[token - 1] == .one
                position += 1
                while isOne, position < subject.count, subject[position] & 0xC0 == 0x80 {
                    position += 1
                }
            } else if let last = star {
                star = (last.token, last.position + 1)
                (token, position) = (last.token + 1, last.position + 1)
            } else {
                return false
            }
        }
        return tokens[token...].allSatisfy { $0 == .many }
    }
}
