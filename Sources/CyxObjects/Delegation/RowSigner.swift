package import CyxCore
package import CyxCrypto

/// What signs an account's rows: the account's own key, or that of a delegate with its certificate.
package struct RowSigner: Sendable {
    package let key: SigningKey
    /// The account's.
    package let accountKey: VerifyingKey
    /// Nil: the key is the account's.
    package let certificate: DelegateCertificate?

    package init(_ key: SigningKey) {
        self.key = key
        accountKey = key.verifyingKey
        certificate = nil
    }

    /// Nil unless the certificate is the account's for that key.
    package init?(
        delegate key: SigningKey, of accountKey: VerifyingKey, _ certificate: DelegateCertificate
    ) {
        guard certificate.subject == key.verifyingKey, certificate.isSigned(by: accountKey) else {
            return nil
        }
        self.key = key
        self.accountKey = accountKey
        self.certificate = certificate
    }

    package var account: AccountID { accountKey.accountID }
}
