/// Who asks: an account of the network, or nobody in particular.
package enum PolicyRequester: Equatable, Sendable {
    case anonymous
    /// `id`: the account's canonical user ID; `name`: what the gateway calls it.
    case account(id: String, name: String)

    /// The account's ID; nil for anybody.
    package var id: String? { if case .account(let id, _) = self { id } else { nil } }
}

/// What a policy is asked about: who wants to do what with which resource, and what else the
/// request says.
package struct PolicyContext: Sendable {
    package var requester: PolicyRequester
    /// Such as `s3:GetObject`.
    package var action: String
    /// Such as `arn:aws:s3:::bucket/key`.
    package var resource: String
    /// Policies of 2008 have no variables.
    var hasVariables = true
    private var keys: [String: [String]] = [:]

    package init(requester: PolicyRequester, action: String, resource: String) {
        self.requester = requester
        self.action = action
        self.resource = resource
        if case .account(let id, let name) = requester {
            self["aws:username"] = [name]
            self["aws:userid"] = [id]
            self["aws:PrincipalAccount"] = [id]
            self["aws:PrincipalArn"] = ["arn:aws:iam::\(id):user/\(name)"]
            self["aws:PrincipalType"] = ["Account"]
        } else {
            self["aws:PrincipalType"] = ["Anonymous"]
        }
    }

    /// The values of a condition key, whose case does not matter but for what follows a slash: the
    /// keys of tags.
    package subscript(name: String) -> [String]? {
        get { keys[PolicyContext.normal(name)] }
        set { keys[PolicyContext.normal(name)] = newValue }
    }

    /// As `self[name]`.
    package func values(of name: String) -> [String]? { self[name] }

    static func normal(_ name: String) -> String {
        guard let slash = name.firstIndex(of: "/") else { return name.lowercased() }
        return name[..<slash].lowercased() + name[slash...]
    }
}

/// What a policy says to a request.
package enum PolicyAnswer: Equatable, Sendable {
    /// A statement denies it: whatever else allows it does not count.
    case denied
    case allowed
    /// No statement is about it.
    case silent
}
