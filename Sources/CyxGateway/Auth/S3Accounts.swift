internal import CyxCore
package import CyxObjects

/// The access keys that a gateway knows: whose secret each has, and whose objects it opens.
package struct S3Accounts: Sendable {
    package struct Account: Sendable {
        /// What people call the account: the display name of owners in answers.
        package var name: String
        package var secret: String
        package var service: any ObjectService
        /// The account's other keys.
        package var keys: (any AccessKeyService)?
        package var tokens: (any TokenService)?
        package var shares: (any ShareService)?
        /// The limited key of a request; nil: the account's own.
        var limitedKey: String?
        /// What the key of a request reaches; nil: all.
        var reach: KeyReach?

        package init(name: String, secret: String, service: any ObjectService) {
            self.name = name
            self.secret = secret
            self.service = service
        }

        /// The canonical user ID: the account's, in hexadecimal.
        var id: String { service.account.hex }
    }

    /// Keys of accounts whose seeds are elsewhere; nil: there are none.
    package var granted: (any GrantedKeyService)?
    private var accounts: [String: Account] = [:]
    /// Access keys by the canonical user ID of their account.
    private var keys: [String: String] = [:]

    package init() {}

    package subscript(accessKey: String) -> Account? {
        get { accounts[accessKey] }
        set {
            if let old = accounts[accessKey] { keys[old.id] = nil }
            accounts[accessKey] = newValue
            if let newValue { keys[newValue.id] = accessKey }
        }
    }

    /// The account of that canonical user ID, if the gateway serves it.
    func account(id: String) -> Account? { keys[id].flatMap { accounts[$0] } }

    /// Some account's: whose a bucket is, any of them can tell.
    var anyService: (any ObjectService)? { accounts.values.first?.service }

    var all: [Account] { Array(accounts.values) }

    var services: [any ObjectService] { accounts.values.map(\.service) }
}
