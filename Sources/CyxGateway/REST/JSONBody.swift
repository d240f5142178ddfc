internal import CyxCore

/// The JSON object that a request brings. A member that is not known is refused rather than passed
/// over: a misspelt limit would otherwise be none.
struct JSONBody: Equatable, Sendable {
    static let maximumBytes = 64 << 10

    private let members: [String: JSONValue]

    /// Nothing at all counts as an object without members.
    @inline(never)
    init(_ bytes: [UInt8], allowing names: Set<String>) throws(RESTError) {
        guard !bytes.isEmpty else {
            try self.init([:], allowing: names, of: "The body")
            return
        }
        let value: JSONValue
        do { value = try JSONValue(parsing: bytes) } catch {
            throw RESTError(
                "MalformedJSON", 400, "The body stops being JSON at byte \(error.offset)")
        }
        guard let members = value.members else {
            throw RESTError(
                "MalformedJSON", 400, "The body is no JSON object, or has a member twice")
        }
        try self.init(members, allowing: names, of: "The body")
    }

    /// `subject`: what has the members, for errors.
    init(
        _ members: [String: JSONValue], allowing names: Set<String>, of subject: String
    ) throws(RESTError) {
        if let other = members.keys.filter({ !names.contains($0) }).min() {
            throw .invalid(
                "\(subject) has a member `\(other)` that means nothing here",
                advice: "give any of: \(names.sorted().joined(separator: ", "))")
        }
        // What is null is as good as absent.
        self.members = members.filter { $0.value != .null }
    }

    func text(_ name: String) throws(RESTError) -> String? {
        guard let value = members[name] else { return nil }
        guard let text = value.text else { throw .invalid("`\(name)` is no string") }
        return text
    }

    func isText(_ name: String) -> Bool { members[name]?.text != nil }

    func integer(
        _ name: String, in range: ClosedRange<Int64>
    ) throws(RESTError) -> Int64? {
        guard let value = members[name] else { return nil }
        guard let number = value.integer, range.contains(number) else {
            throw .invalid(
                "`\(name)` is no whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func flag(_ name: String) throws(RESTError) -> Bool? {
        guard let value = members[name] else { return nil }
        guard case .bool(let flag) = value else { throw .invalid("`\(name)` is not true or false") }
        return flag
    }

    func texts(_ name: String) throws(RESTError) -> [String]? {
        guard let value = members[name] else { return nil }
        guard case .array(let values) = value else { throw .invalid("`\(name)` is no array") }
        var texts: [String] = []
        for value in values {
            guard let text = value.text else { throw .invalid("`\(name)` is no array of strings") }
            texts.append(text)
        }
        return texts
    }

    func object(
        _ name: String, allowing names: Set<String>
    ) throws(RESTError) -> JSONBody? {
        guard let value = members[name] else { return nil }
        guard let members = value.members else {
            throw .invalid("`\(name)` is no JSON object, or has a member twice")
        }
        return try JSONBody(members, allowing: names, of: "`\(name)`")
    }
}
