/// What a grant of an ACL allows.
package enum ACLPermission: String, CaseIterable, Sendable {
    case fullControl = "FULL_CONTROL"
    case read = "READ"
    case write = "WRITE"
    case readACL = "READ_ACP"
    case writeACL = "WRITE_ACP"
}

/// Whom a grant of an ACL is for.
package enum ACLGrantee: Hashable, Sendable {
    /// By the canonical user ID of the account.
    case account(String)
    case group(ACLGroup)
}

/// The groups that S3 defines.
package enum ACLGroup: String, CaseIterable, Sendable {
    case everybody = "http://acs.amazonaws.com/groups/global/AllUsers"
    /// Whoever has an account, of whatever gateway.
    case authenticated = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
    case logDelivery = "http://acs.amazonaws.com/groups/s3/LogDelivery"
}

/// Who may do what with a bucket or an object, beside what the bucket's policy says.
package struct AccessControlList: Equatable, Sendable {
    package struct Grant: Hashable, Sendable {
        package var grantee: ACLGrantee
        package var permission: ACLPermission

        package init(_ grantee: ACLGrantee, _ permission: ACLPermission) {
            self.grantee = grantee
            self.permission = permission
        }
    }

    /// Of one ACL.
    static let maximumGrants = 100

    /// Canonical user ID.
    package var owner: String
    package var grants: [Grant]

    package init(owner: String, grants: [Grant]) {
        self.owner = owner
        self.grants = grants
    }

    /// The owner's alone.
    package static func `private`(owner: String) -> AccessControlList {
        AccessControlList(owner: owner, grants: [Grant(.account(owner), .fullControl)])
    }

    // MARK: Answering

    /// Whether it gives `requester` that permission. Without `countsPublic`, what it gives everybody
    /// or whoever has an account does not count.
    package func allows(
        _ permission: ACLPermission, to requester: PolicyRequester, countsPublic: Bool = true
    ) -> Bool {
        grants.contains { grant in
            guard grant.permission == permission || grant.permission == .fullControl else {
                return false
            }
            return switch grant.grantee {
            case .account(let id): requester.id == id
            case .group(.everybody): countsPublic
            case .group(.authenticated): countsPublic && requester.id != nil
            case .group(.logDelivery): false
            }
        }
    }

    /// Whether it gives anything to everybody, or to whoever has an account.
    package var isPublic: Bool {
        grants.contains {
            $0.grantee == .group(.everybody) || $0.grantee == .group(.authenticated)
        }
    }

    /// Whether it gives anything to anybody but its owner.
    package var reachesOthers: Bool { grants.contains { $0.grantee != .account(owner) } }

    // MARK: XML

    private static let fault = DocumentFault(
        "MalformedACLError", 400,
        "The XML you provided was not well-formed or did not validate against our published schema")

    /// Reads an `AccessControlPolicy`; without an Owner in it, it is `owner`'s.
    package init(parsing bytes: [UInt8], owner: String) throws(DocumentFault) {
        let root: XMLElement
        do {
            root = try XMLElement.document(bytes, root: "AccessControlPolicy")
        } catch {
            throw AccessControlList.fault
        }
        self.owner = root.child("Owner")?.text(of: "ID") ?? owner
        guard let list = root.child("AccessControlList") else { throw AccessControlList.fault }
        grants = []
        for element in list.children {
            guard element.name == "Grant", let grantee = element.child("Grantee"),
                let permission = element.text(of: "Permission").flatMap({
                    ACLPermission(rawValue: $0)
                })
            else { throw AccessControlList.fault }
            grants.append(Grant(try AccessControlList.grantee(grantee), permission))
        }
        guard grants.count <= AccessControlList.maximumGrants else {
            throw AccessControlList.fault
        }
    }

    private static func grantee(_ element: XMLElement) throws(DocumentFault) -> ACLGrantee {
        if let id = element.text(of: "ID") { return try account(id) }
        if let uri = element.text(of: "URI") { return try group(uri) }
        if element.child("EmailAddress") != nil { throw unknownAddress }
        throw fault
    }

    static func account(_ id: String) throws(DocumentFault) -> ACLGrantee {
        guard PolicyPrincipal.isAccount(id) else { throw .invalidArgument("Invalid id") }
        return .account(id.lowercased())
    }

    static func group(_ uri: String) throws(DocumentFault) -> ACLGrantee {
        guard let group = ACLGroup(rawValue: uri) else {
            throw .invalidArgument("Invalid group uri")
        }
        return .group(group)
    }

    /// Accounts of a network have no addresses.
    static let unknownAddress = DocumentFault(
        "UnresolvableGrantByEmailAddress", 400,
        "The e-mail address you provided does not match any account on record.")

    /// The document, as S3 shows it; `name` tells what an account is called, if that is known.
    package func document(name: (String) -> String?) -> [UInt8] {
        XMLWriter.document("AccessControlPolicy") { xml in
            xml.element("Owner") { AccessControlList.write(owner, name, &$0) }
            xml.element("AccessControlList") { xml in
                for grant in grants {
                    xml.element("Grant") { xml in
                        switch grant.grantee {
                        case .account(let id):
                            xml.element("Grantee", attributes: type("CanonicalUser")) {
                                AccessControlList.write(id, name, &$0)
                            }
                        case .group(let group):
                            xml.element("Grantee", attributes: type("Group")) {
                                $0.element("URI", group.rawValue)
                            }
                        }
                        xml.element("Permission", grant.permission.rawValue)
                    }
                }
            }
        }
    }

    private static func write(
        _ id: String, _ name: (String) -> String?, _ xml: inout XMLWriter
    ) {
        xml.element("ID", id)
        if let name = name(id) { xml.element("DisplayName", name) }
    }

    private func type(_ name: String) -> String {
        "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"\(name)\""
    }
}
