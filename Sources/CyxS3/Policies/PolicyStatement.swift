internal import CyxCore

/// One statement of a policy.
struct PolicyStatement: Equatable, Sendable {
    enum Effect: String, Sendable { case allow = "Allow", deny = "Deny" }

    var sid: String?
    var effect: Effect
    var principals: [PolicyPrincipal]
    var isNotPrincipal: Bool
    var actions: [PolicyPattern]
    var isNotAction: Bool
    /// Patterns of ARNs.
    var resources: [PolicyPattern]
    var isNotResource: Bool
    var conditions: [PolicyCondition]

    static let resourcePrefix = "arn:aws:s3:::"
    private static let fields: Set<String> = [
        "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource",
        "NotResource", "Condition",
    ]

    // MARK: Reading

    /// Reads a statement of the policy of `bucket`.
    init(_ value: JSONValue, bucket: String) throws(DocumentFault) {
        guard case .object(let fields) = value else {
            throw .malformedPolicy("Policy has invalid statement")
        }
        for field in fields where !PolicyStatement.fields.contains(field.key) {
            throw .malformedPolicy("Unknown field \(field.key)")
        }
        if let sid = value["Sid"] {
            guard let text = sid.text else { throw .malformedPolicy("Policy has invalid Sid") }
            self.sid = text
        }
        guard let effectText = value["Effect"] else {
            throw .malformedPolicy("Missing required field Effect")
        }
        guard let effect = effectText.text.flatMap({ Effect(rawValue: $0) }) else {
            throw .malformedPolicy("Invalid effect : \(effectText.text ?? effectText.encoded)")
        }
        self.effect = effect
        let principal = try PolicyStatement.either(value, "Principal")
        principals = try PolicyPrincipal.list(principal.value)
        isNotPrincipal = principal.isNot
        let action = try PolicyStatement.either(value, "Action")
        actions = try PolicyStatement.texts(
            action.value, else: .malformedPolicy("Policy has invalid action")
        ).map { PolicyPattern($0) }
        isNotAction = action.isNot
        let resource = try PolicyStatement.either(value, "Resource")
        resources = try PolicyStatement.texts(
            resource.value, else: .malformedPolicy("Policy has invalid resource")
        ).map { PolicyPattern($0) }
        isNotResource = resource.isNot
        conditions = try value["Condition"].map(PolicyCondition.list) ?? []
        try checkActions(try checkResources(bucket))
    }

    /// The field of that name, or the one that means the opposite.
    private static func either(
        _ value: JSONValue, _ name: String
    ) throws(DocumentFault) -> (value: JSONValue, isNot: Bool) {
        switch (value[name], value["Not" + name]) {
        case (let found?, nil): return (found, false)
        case (nil, let found?): return (found, true)
        case (nil, nil): throw .malformedPolicy("Missing required field \(name)")
        default:
            throw .malformedPolicy("Statement has both \(name) and Not\(name)")
        }
    }

    /// A text, or a list of at least one.
    static func texts(
        _ value: JSONValue, else fault: DocumentFault
    ) throws(DocumentFault) -> [String] {
        if let text = value.text { return [text] }
        guard case .array(let values) = value, !values.isEmpty else { throw fault }
        var texts: [String] = []
        for value in values {
            guard let text = value.text else { throw fault }
            texts.append(text)
        }
        return texts
    }

    /// Throws unless all resources are of the bucket; says whether they are objects or the bucket.
    private func checkResources(
        _ bucket: String
    ) throws(DocumentFault) -> (objects: Bool, buckets: Bool) {
        let none = PolicyContext(requester: .anonymous, action: "", resource: "")
        var reach = (objects: false, buckets: false)
        for resource in resources {
            guard resource.text.hasPrefix(PolicyStatement.resourcePrefix) else {
                throw .malformedPolicy("Policy has invalid resource")
            }
            let path = resource.text.dropFirst(PolicyStatement.resourcePrefix.utf8.count)
            let name = PolicyPattern(String(path.prefix { $0 != "/" }))
            guard name.matches(bucket, in: none) else {
                throw .malformedPolicy("Policy has invalid resource")
            }
            let isOpen = name.text.hasSuffix("*")
            if path.contains("/") {
                reach.objects = true
            } else {
                reach = (reach.objects || isOpen, true)
            }
        }
        return reach
    }

    /// Throws unless all actions are S3's, and each may be done to one of the resources.
    private func checkActions(
        _ resources: (objects: Bool, buckets: Bool)
    ) throws(DocumentFault) {
        for action in actions {
            guard let reach = PolicyActions.reach(of: action) else {
                throw .malformedPolicy("Policy has invalid action")
            }
            guard
                isNotAction || isNotResource || (reach.objects && resources.objects)
                    || (reach.buckets && resources.buckets)
            else {
                throw .malformedPolicy("Action does not apply to any resource(s) in statement")
            }
        }
    }

    // MARK: Answering

    /// Whether the statement is about the request.
    func covers(_ context: PolicyContext) -> Bool {
        principals.contains { $0.covers(context.requester) } != isNotPrincipal
            && actions.contains {
                $0.matches(context.action, in: context, ignoringCase: true)
            } != isNotAction
            && resources.contains { $0.matches(context.resource, in: context) } != isNotResource
            && conditions.allSatisfy { $0.holds(in: context) }
    }
}
