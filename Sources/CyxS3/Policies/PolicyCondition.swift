internal import CyxCore

/// One condition of a statement: an operator, a key of the request, and the values to compare with.
struct PolicyCondition: Equatable, Sendable {
    enum Comparison: Sendable { case exact, like }
    enum Order: Sendable { case equal, less, lessOrEqual, greater, greaterOrEqual }

    enum Test: Equatable, Sendable {
        case string(Comparison, ignoringCase: Bool)
        case number(Order)
        case date(Order)
        case bool
        case address
        case null
    }

    /// What `ForAllValues:` and `ForAnyValue:` say of keys that have several values.
    enum Quantifier: Sendable { case any, all }

    var test: Test
    var isNegated: Bool
    var ifExists: Bool
    var quantifier: Quantifier?
    /// As `PolicyContext` keeps it.
    var key: String
    var values: [PolicyPattern]

    private static let operators: [String: (test: Test, isNegated: Bool)] = [
        "StringEquals": (.string(.exact, ignoringCase: false), false),
        "StringNotEquals": (.string(.exact, ignoringCase: false), true),
        "StringEqualsIgnoreCase": (.string(.exact, ignoringCase: true), false),
        "StringNotEqualsIgnoreCase": (.string(.exact, ignoringCase: true), true),
        "StringLike": (.string(.like, ignoringCase: false), false),
        "StringNotLike": (.string(.like, ignoringCase: false), true),
        "ArnEquals": (.string(.like, ignoringCase: false), false),
        "ArnNotEquals": (.string(.like, ignoringCase: false), true),
        "ArnLike": (.string(.like, ignoringCase: false), false),
        "ArnNotLike": (.string(.like, ignoringCase: false), true),
        "BinaryEquals": (.string(.exact, ignoringCase: false), false),
        "NumericEquals": (.number(.equal), false),
        "NumericNotEquals": (.number(.equal), true),
        "NumericLessThan": (.number(.less), false),
        "NumericLessThanEquals": (.number(.lessOrEqual), false),
        "NumericGreaterThan": (.number(.greater), false),
        "NumericGreaterThanEquals": (.number(.greaterOrEqual), false),
        "DateEquals": (.date(.equal), false),
        "DateNotEquals": (.date(.equal), true),
        "DateLessThan": (.date(.less), false),
        "DateLessThanEquals": (.date(.lessOrEqual), false),
        "DateGreaterThan": (.date(.greater), false),
        "DateGreaterThanEquals": (.date(.greaterOrEqual), false),
        "Bool": (.bool, false),
        "IpAddress": (.address, false),
        "NotIpAddress": (.address, true),
        "Null": (.null, false),
    ]

    /// S3's own keys; those that end in a slash go on with the key of a tag.
    private static let keysOfS3: Set<String> = Set(
        [
            "accesspointnetworkorigin", "authtype", "dataaccesspointaccount",
            "dataaccesspointarn", "delimiter", "existingobjecttag/", "if-match",
            "if-none-match", "inventoryaccessibleoptionalfields", "locationconstraint",
            "max-keys", "object-lock-legal-hold", "object-lock-mode",
            "object-lock-remaining-retention-days", "object-lock-retain-until-date",
            "objectcreationoperation", "prefix", "requestobjecttag/", "requestobjecttagkeys",
            "resourceaccount", "signatureage", "signatureversion", "tlsversion", "versionid",
            "x-amz-acl", "x-amz-content-sha256", "x-amz-copy-source",
            "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp",
            "x-amz-grant-write", "x-amz-grant-write-acp", "x-amz-metadata-directive",
            "x-amz-object-ownership", "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class",
            "x-amz-website-redirect-location",
        ].map { "s3:" + $0 })

    // MARK: Reading

    /// What stands after `Condition`.
    static func list(_ value: JSONValue) throws(DocumentFault) -> [PolicyCondition] {
        guard case .object(let operators) = value else {
            throw .malformedPolicy("Policy has invalid condition")
        }
        var conditions: [PolicyCondition] = []
        for (name, keys) in operators {
            guard case .object(let keys) = keys, !keys.isEmpty else {
                throw .malformedPolicy("Policy has invalid condition")
            }
            for (key, value) in keys {
                conditions.append(try PolicyCondition(name, key, value))
            }
        }
        return conditions
    }

    private init(_ name: String, _ key: String, _ value: JSONValue) throws(DocumentFault) {
        var rest = name[...]
        if rest.hasPrefix("ForAllValues:") {
            quantifier = .all
            rest = rest.dropFirst("ForAllValues:".count)
        } else if rest.hasPrefix("ForAnyValue:") {
            quantifier = .any
            rest = rest.dropFirst("ForAnyValue:".count)
        } else {
            quantifier = nil
        }
        ifExists = rest.hasSuffix("IfExists")
        if ifExists { rest = rest.dropLast("IfExists".count) }
        guard let known = PolicyCondition.operators[String(rest)],
            !(known.test == .null && (ifExists || quantifier != nil))
        else { throw .malformedPolicy("Invalid Condition type : \(name)") }
        (test, isNegated) = known
        let normal = PolicyContext.normal(key)
        let stem = normal.firstIndex(of: "/").map { String(normal[...$0]) } ?? normal
        guard normal.hasPrefix("aws:") || PolicyCondition.keysOfS3.contains(stem) else {
            throw .malformedPolicy("Policy has an invalid condition key")
        }
        let texts = try PolicyCondition.texts(value)
        self.key = normal
        values = texts.map { PolicyPattern($0) }
        try check()
    }

    /// Numbers and booleans may stand without quotes.
    private static func texts(_ value: JSONValue) throws(DocumentFault) -> [String] {
        switch value {
        case .string(let text): return [text]
        case .bool(let flag): return [String(flag)]
        case .integer(let number): return [String(number)]
        case .number(let number): return [String(number)]
        case .array(let values):
            var texts: [String] = []
            for value in values {
                if case .array = value { break }
                texts += try PolicyCondition.texts(value)
            }
            guard texts.count == values.count else {
                throw .malformedPolicy("Policy has invalid condition")
            }
            return texts
        case .null, .object: throw .malformedPolicy("Policy has invalid condition")
        }
    }

    /// Throws unless the values are of the operator's kind.
    private func check() throws(DocumentFault) {
        for value in values where !value.text.contains("${") {
            let isRight =
                switch test {
                case .string: true
                case .number: PolicyCondition.number(value.text) != nil
                case .date: PolicyCondition.date(value.text) != nil
                case .bool, .null: ["true", "false"].contains(value.text.lowercased())
                case .address: AddressRange(value.text) != nil
                }
            guard isRight else {
                throw .malformedPolicy("Invalid value in condition: \(value.text)")
            }
        }
    }

    private static func number(_ text: String) -> Double? {
        guard let value = Double(text), value.isFinite else { return nil }
        return value
    }

    /// Some 35 million years on either side, which in milliseconds is a number still.
    private static let secondsAllowed: ClosedRange<Int64> = -1 << 50...1 << 50

    /// ISO 8601, or seconds since 1970.
    private static func date(_ text: String) -> Int64? {
        if let seconds = Int64(text), secondsAllowed.contains(seconds) { return seconds * 1000 }
        return WallTime(iso8601: text)?.milliseconds
    }

    // MARK: Answering

    func holds(in context: PolicyContext) -> Bool {
        let found = context.values(of: key) ?? []
        if test == .null {
            // "true": the key must be absent.
            return values.contains { ($0.text.lowercased() == "true") == found.isEmpty }
        }
        guard !found.isEmpty else {
            return switch quantifier {
            case .all: true
            case .any: ifExists
            case nil: isNegated || ifExists
            }
        }
        func holds(_ value: String) -> Bool {
            values.contains { matches(value, $0, context) } != isNegated
        }
        switch quantifier {
        case .all: return found.allSatisfy(holds)
        case .any: return found.contains(where: holds)
        // A key of one value; of several, a negation must hold for each.
        case nil: return isNegated ? found.allSatisfy(holds) : found.contains(where: holds)
        }
    }

    private func matches(_ found: String, _ value: PolicyPattern, _ context: PolicyContext) -> Bool
    {
        switch test {
        case .string(.exact, let ignoringCase):
            return value.equals(found, in: context, ignoringCase: ignoringCase)
        case .string(.like, let ignoringCase):
            return value.matches(found, in: context, ignoringCase: ignoringCase)
        case .number(let order):
            guard let left = PolicyCondition.number(found),
                let right = PolicyCondition.number(value.text)
            else { return false }
            return order.holds(left, right)
        case .date(let order):
            guard let left = PolicyCondition.date(found),
                let right = PolicyCondition.date(value.text)
            else { return false }
            return order.holds(left, right)
        case .bool: return found.lowercased() == value.text.lowercased()
        case .address:
            guard let range = AddressRange(value.text) else { return false }
            return range.contains(found)
        case .null: return false
        }
    }
}

extension PolicyCondition.Order {
    fileprivate func holds<Value: Comparable>(_ left: Value, _ right: Value) -> Bool {
        switch self {
        case .equal: left == right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        }
    }
}
