package import CyxObjects

/// The access keys that a gateway knows: whose secret each has, and whose objects it opens.
package struct S3Accounts: Sendable {
    package struct Account: Sendable {
        package var secret: String
        package var service: any ObjectService

        package init(secret: String, service: any ObjectService) {
            self.secret = secret
            self.service = service
        }
    }

    private var accounts: [String: Account] = [:]

    package init() {}

    package subscript(accessKey: String) -> Account? {
        get { accounts[accessKey] }
        set { accounts[accessKey] = newValue }
    }
}
