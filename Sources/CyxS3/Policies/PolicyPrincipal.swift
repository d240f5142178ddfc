internal import CyxCore

/// One of those whom a statement is about.
enum PolicyPrincipal: Equatable, Sendable {
    /// `*`: everybody, signed or not.
    case anybody
    /// An account of the network by its canonical user ID: `arn:aws:iam::ID:root`, or the ID alone.
    case account(String)
    /// `arn:aws:iam::ID:user/NAME`; without the ID, whom the gateway calls so or whose ID it is.
    /// Names are the gateway's: another may call another account so.
    case user(account: String?, name: String)
    /// What nobody here can be: a role, a service, an account of AWS.
    case foreign

    /// nil if `text` names nobody that S3 would know of.
    init?(aws text: String) {
        if text == "*" {
            self = .anybody
        } else if PolicyPrincipal.isAccount(text) {
            self = .account(text.lowercased())
        } else if PolicyPrincipal.isForeignAccount(text) {
            self = .foreign
        } else {
            let parts = text.split(
                separator: ":", maxSplits: 5, omittingEmptySubsequences: false
            ).map(String.init)
            guard parts.count == 6, parts[0] == "arn", parts[1] == "aws", parts[3].isEmpty else {
                return nil
            }
            self.init(service: parts[2], account: parts[4], identity: parts[5])
        }
    }

    private init?(service: String, account: String, identity: String) {
        let isOurs = account.isEmpty || PolicyPrincipal.isAccount(account)
        guard isOurs || PolicyPrincipal.isForeignAccount(account) else { return nil }
        guard service == "iam" else {
            guard service == "sts", !identity.isEmpty else { return nil }
            self = .foreign
            return
        }
        if identity == "root" {
            guard !account.isEmpty else { return nil }
            self = isOurs ? .account(account.lowercased()) : .foreign
        } else if identity.hasPrefix("user/"), let name = identity.split(separator: "/").last,
            name.utf8.count > 0, identity.utf8.count > 5
        {
            self =
                isOurs
                ? .user(account: account.isEmpty ? nil : account.lowercased(), name: String(name))
                : .foreign
        } else if ["role/", "group/", "federated-user/"].contains(where: identity.hasPrefix) {
            self = .foreign
        } else {
            return nil
        }
    }

    /// A canonical user ID: 64 hexadecimal digits.
    static func isAccount(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                    UInt8(ascii: "A")...UInt8(ascii: "F"):
                    true
                default: false
                }
            }
    }

    /// An account number of AWS.
    private static func isForeignAccount(_ text: String) -> Bool {
        text.utf8.count == 12
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    func covers(_ requester: PolicyRequester) -> Bool {
        guard case .account(let id, let name) = requester else { return self == .anybody }
        switch self {
        case .anybody: return true
        case .account(let account): return account == id
        case .user(let account, let user):
            return (account ?? id) == id && (user == name || user == id)
        case .foreign: return false
        }
    }

    /// What stands after `Principal` or `NotPrincipal`.
    static func list(_ value: JSONValue) throws(DocumentFault) -> [PolicyPrincipal] {
        let fault = DocumentFault.malformedPolicy("Invalid principal in policy")
        if value.text == "*" { return [.anybody] }
        guard case .object(let fields) = value, !fields.isEmpty else { throw fault }
        var principals: [PolicyPrincipal] = []
        for (kind, value) in fields {
            let texts = try PolicyStatement.texts(value, else: fault)
            guard !texts.isEmpty else { throw fault }
            for text in texts {
                switch kind {
                case "AWS":
                    guard let principal = PolicyPrincipal(aws: text) else { throw fault }
                    principals.append(principal)
                case "CanonicalUser":
                    guard isAccount(text) else { throw fault }
                    principals.append(.account(text.lowercased()))
                case "Service", "Federated":
                    // No service of AWS calls here; a star would mean any of them.
                    principals.append(text == "*" ? .anybody : .foreign)
                default: throw fault
                }
            }
        }
        return principals
    }
}
