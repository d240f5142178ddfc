internal import CyxCore

/// What a bucket's owner lets others do with it: a document in the policy language of AWS.
package struct BucketPolicy: Equatable, Sendable {
    /// Of a document.
    package static let maximumBytes = 20 << 10
    static let versions = ["2012-10-17", "2008-10-17"]

    private let statements: [PolicyStatement]
    private let hasVariables: Bool

    /// Reads the policy of `bucket`; throws `MalformedPolicy` with S3's reasons.
    package init(parsing bytes: [UInt8], bucket: String) throws(DocumentFault) {
        guard bytes.count <= BucketPolicy.maximumBytes else {
            throw DocumentFault(
                "PolicyTooLarge", 400, "The policy exceeds the maximum allowed document size.")
        }
        let invalid = DocumentFault.malformedPolicy(
            "Policies must be valid JSON and the first byte must be '{'")
        guard bytes.first == UInt8(ascii: "{") else { throw invalid }
        let root: JSONValue
        do {
            root = try JSONValue(parsing: bytes)
        } catch {
            throw invalid
        }
        try BucketPolicy.refuseDuplicates(root)
        guard case .object(let fields) = root else { throw invalid }
        for field in fields where !["Version", "Id", "Statement"].contains(field.key) {
            throw .malformedPolicy("Unknown field \(field.key)")
        }
        let version = root["Version"]
        guard version == nil || version?.text.map(BucketPolicy.versions.contains) == true else {
            throw .malformedPolicy("The policy must contain a valid version string")
        }
        hasVariables = version?.text == BucketPolicy.versions[0]
        guard root["Id"] == nil || root["Id"]?.text != nil else {
            throw .malformedPolicy("Policy has invalid Id")
        }
        statements = try BucketPolicy.statements(root["Statement"], bucket)
    }

    private static func statements(
        _ value: JSONValue?, _ bucket: String
    ) throws(DocumentFault) -> [PolicyStatement] {
        guard let value else { throw .malformedPolicy("Missing required field Statement") }
        var values = [value]
        if case .array(let several) = value { values = several }
        guard !values.isEmpty else {
            throw .malformedPolicy("Could not parse the policy: Statement is empty!")
        }
        var statements: [PolicyStatement] = []
        var names: Set<String> = []
        for value in values {
            let statement = try PolicyStatement(value, bucket: bucket)
            if let sid = statement.sid, !sid.isEmpty, !names.insert(sid).inserted {
                throw .malformedPolicy("Statement IDs (SID) in a single policy must be unique.")
            }
            statements.append(statement)
        }
        return statements
    }

    /// Which of two members of one name counts is anybody's guess, so that neither may.
    private static func refuseDuplicates(_ value: JSONValue) throws(DocumentFault) {
        switch value {
        case .object(let fields):
            var names: Set<String> = []
            for field in fields {
                guard names.insert(field.key).inserted else {
                    throw .malformedPolicy("Duplicate field \(field.key)")
                }
                try refuseDuplicates(field.value)
            }
        case .array(let values): for value in values { try refuseDuplicates(value) }
        default: break
        }
    }

    // MARK: Answering

    /// What the policy says to a request: denials count before all else.
    package func answer(to context: PolicyContext) -> PolicyAnswer {
        var context = context
        context.hasVariables = hasVariables
        var answer = PolicyAnswer.silent
        for statement in statements where statement.covers(context) {
            if statement.effect == .deny { return .denied }
            answer = .allowed
        }
        return answer
    }

    /// Whether it gives anything to people whom it does not name, by S3's "meaning of public".
    package var isPublic: Bool { statements.contains { $0.isPublic } }

    /// Whether an answer may depend on the tags that an object has, which must be read first.
    package var asksForObjectTags: Bool {
        statements.contains { $0.conditions.contains { $0.key.hasPrefix("s3:existingobjecttag/") } }
    }
}

extension PolicyStatement {
    /// Condition keys that say who or where somebody is; fixed values of these name a group.
    private static let namingKeys: Set<String> = [
        "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner",
        "aws:sourceaccount", "aws:userid", "aws:principalarn", "aws:principalaccount",
        "aws:principalorgid", "aws:principalorgpaths", "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount", "s3:x-amz-server-side-encryption-aws-kms-key-id",
    ]

    fileprivate var isPublic: Bool {
        guard effect == .allow, isNotPrincipal || principals.contains(.anybody) else {
            return false
        }
        return !conditions.contains { condition in
            switch condition.test {
            case .string(let comparison, _) where !condition.isNegated && !condition.ifExists:
                guard PolicyStatement.namingKeys.contains(condition.key) else { return false }
                return comparison == .exact
                    ? !condition.values.contains { $0.text.contains("${") }
                    : !condition.values.contains { $0.isOpen }
            case .address where !condition.isNegated && !condition.ifExists:
                return condition.key == "aws:sourceip"
                    && condition.values.allSatisfy {
                        AddressRange($0.text)?.isNarrow ?? false
                    }
            default: return false
            }
        }
    }
}
