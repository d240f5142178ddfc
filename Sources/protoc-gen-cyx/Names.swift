/// A schema that the plugin does not take.
struct GenerationError: Error {
    var message: String
}

/// The plugin's parameter: `import=MODULE`, separated by commas.
struct Parameters {
    var imports: [String] = []

    init(_ text: String) throws(GenerationError) {
        for item in text.split(separator: ",") {
            let parts = item.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0] == "import" else {
                throw GenerationError(message: "unknown parameter \(item); known: import=MODULE")
            }
            imports.append(String(parts[1]))
        }
    }
}

/// Swift names for names of the schema.
enum Names {
    private static let capitals = ["id": "ID", "ids": "IDs", "url": "URL"]
    private static let keywords: Set<String> = [
        "as", "associatedtype", "break", "case", "catch", "class", "continue", "default", "defer",
        "deinit", "do", "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for",
        "func", "guard", "if", "import", "in", "init", "inout", "internal", "is", "let", "nil",
        "operator", "precedencegroup", "private", "protocol", "public", "repeat", "rethrows",
        "return", "self", "static", "struct", "subscript", "super", "switch", "throw", "throws",
        "true", "try", "typealias", "var", "where", "while",
    ]
    private static let reservedTypes: Set<String> = ["Any", "Protocol", "Self", "Type"]

    /// `peer_id` → `peerID`, `init` → `` `init` ``.
    static func property(_ name: String) -> String {
        quoted(lowerCamel(name))
    }

    /// `kind_of_call` → `KindOfCall`.
    static func type(fromSnake name: String) -> String {
        type(name.split(separator: "_").map { capitalized(String($0)) }.joined())
    }

    /// A type's own name, unless Swift reserves it.
    static func type(_ name: String) -> String {
        reservedTypes.contains(name) ? name + "Message" : name
    }

    /// `PEER_STATE_ALIVE` of `PeerState` → `alive`.
    static func enumCase(_ value: String, of enumeration: String) -> String {
        let prefix = snake(enumeration) + "_"
        var name = value.lowercased()
        if name.hasPrefix(prefix) {
            let stripped = name.dropFirst(prefix.count)
            if let first = stripped.first, !first.isNumber { name = String(stripped) }
        }
        return quoted(lowerCamel(name))
    }

    private static func lowerCamel(_ name: String) -> String {
        let words = name.split(separator: "_").map(String.init)
        guard let first = words.first else { return name }
        let head = first.prefix(1).lowercased() + first.dropFirst()
        return head + words.dropFirst().map { capitals[$0] ?? capitalized($0) }.joined()
    }

    private static func capitalized(_ word: String) -> String {
        word.prefix(1).uppercased() + word.dropFirst()
    }

    private static func snake(_ camel: String) -> String {
        var result = ""
        var previousIsLower = false
        for character in camel {
            if character.isUppercase, previousIsLower { result.append("_") }
            previousIsLower = character.isLowercase || character.isNumber
            result += character.lowercased()
        }
        return result
    }

    private static func quoted(_ name: String) -> String {
        keywords.contains(name) ? "`\(name)`" : name
    }
}
