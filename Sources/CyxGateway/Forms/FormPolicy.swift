internal import CyxCore
internal import CyxCrypto
internal import CyxS3

/// The policy of a form: what its author, who signed it, lets others upload ("POST policy" of S3's
/// documentation).
struct FormPolicy: Sendable {
    private enum Condition {
        case equals(field: String, value: String)
        case starts(field: String, prefix: String)

        var field: String {
            switch self {
            case .equals(let field, _), .starts(let field, _): field
            }
        }
    }

    private let expiration: WallTime
    private var conditions: [Condition] = []
    /// How many bytes the file may have.
    private(set) var lengths: ClosedRange<UInt64> = 0...UInt64.max

    static let maximumConditions = 200

    /// `text`: the base 64 that was signed.
    init(_ text: String) throws(S3Error) {
        guard let bytes = Base64.decode(text) else {
            throw FormPolicy.invalid("Invalid Base64")
        }
        let root: JSONValue
        do { root = try JSONValue(parsing: bytes) } catch {
            throw FormPolicy.invalid("Invalid JSON.")
        }
        guard case .object(let members) = root else { throw FormPolicy.invalid("Invalid JSON.") }
        guard let expiration = root["expiration"] else {
            throw FormPolicy.invalid("Policy missing expiration.")
        }
        // In UTC, and no other way of writing it.
        guard let text = expiration.text, text.contains("T"), text.hasSuffix("Z"),
            let date = WallTime(iso8601: text)
        else {
            throw FormPolicy.invalid("Invalid 'expiration' value")
        }
        self.expiration = date
        guard let list = root["conditions"] else {
            throw FormPolicy.invalid("Policy missing conditions.")
        }
        guard members.allSatisfy({ ["expiration", "conditions"].contains($0.key) }) else {
            throw FormPolicy.invalid("Unexpected: a member besides expiration and conditions")
        }
        guard case .array(let conditions) = list, conditions.count <= FormPolicy.maximumConditions
        else { throw FormPolicy.invalid("Invalid 'conditions' value: must be a List.") }
        for condition in conditions { try read(condition) }
    }

    private mutating func read(_ condition: JSONValue) throws(S3Error) {
        switch condition {
        case .object(let members):
            guard members.count == 1, let value = members[0].value.text else {
                throw FormPolicy.invalid(
                    "Invalid Simple-Condition: Simple-Conditions must have exactly one property "
                        + "specified.")
            }
            conditions.append(.equals(field: members[0].key.lowercased(), value: value))
        case .array(let items):
            guard items.count == 3, let name = items[0].text?.lowercased() else {
                throw FormPolicy.invalid("Invalid Condition: wrong number of arguments.")
            }
            if name == "content-length-range" {
                guard let low = FormPolicy.length(items[1]), let high = FormPolicy.length(items[2])
                else { throw FormPolicy.invalid("Invalid content-length-range") }
                // A range that holds nothing lets nothing in.
                lengths = low <= high ? low...high : UInt64.max...UInt64.max
                return
            }
            guard let field = items[1].text, field.hasPrefix("$"), let value = items[2].text else {
                throw FormPolicy.invalid("Invalid Condition: \(condition.encoded)")
            }
            let named = field.dropFirst().lowercased()
            switch name {
            case "eq": conditions.append(.equals(field: named, value: value))
            case "starts-with": conditions.append(.starts(field: named, prefix: value))
            default: throw FormPolicy.invalid("Invalid Condition: unknown operation '\(name)'.")
            }
        default: throw FormPolicy.invalid("Invalid Condition: must be a List or Object.")
        }
    }

    private static func length(_ value: JSONValue) -> UInt64? {
        switch value {
        case .integer(let count): UInt64(exactly: count)
        case .string(let text): UInt64(text)
        default: nil
        }
    }

    // MARK: Checking

    /// Fields that no condition has to allow.
    private static func isFree(_ name: String) -> Bool {
        ["awsaccesskeyid", "signature", "policy", "file", "x-amz-signature"].contains(name)
            || name.hasPrefix("x-ignore-")
    }

    /// Throws unless the policy lets `fields` in at `now`; the bucket is one of them.
    func check(_ fields: [String: String], _ now: WallTime) throws(S3Error) {
        guard now <= expiration else {
            throw .accessDenied("Invalid according to Policy: Policy expired.")
        }
        var allowed: Set<String> = []
        for condition in conditions {
            allowed.insert(condition.field)
            let value = fields[condition.field]
            switch condition {
            case .equals(let field, let wanted):
                guard value == wanted else {
                    throw FormPolicy.failed(["eq", "$\(field)", wanted])
                }
            case .starts(let field, let prefix):
                guard (value ?? "").utf8.starts(with: prefix.utf8) else {
                    throw FormPolicy.failed(["starts-with", "$\(field)", prefix])
                }
            }
        }
        let extra = fields.keys.filter { !FormPolicy.isFree($0) && !allowed.contains($0) }.sorted()
        guard extra.isEmpty else {
            throw .accessDenied(
                "Invalid according to Policy: Extra input fields: "
                    + extra.joined(separator: ", "))
        }
    }

    private static func failed(_ condition: [String]) -> S3Error {
        let text = JSONValue.array(condition.map { .string($0) }).encoded
        return .accessDenied("Invalid according to Policy: Policy Condition failed: \(text)")
    }

    private static func invalid(_ reason: String) -> S3Error {
        S3Error("InvalidPolicyDocument", 400, "Invalid Policy: \(reason)")
    }
}
