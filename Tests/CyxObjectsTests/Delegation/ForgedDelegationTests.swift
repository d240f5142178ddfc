import CyxCore
import CyxCrypto
import CyxTables
import Testing

@testable import CyxObjects

/// Certificates that are whole in form, and signed by somebody who has no say: what a bent byte does
/// not show, since everything around such a certificate is signed as it should be.
@Suite struct ForgedDelegationTests {
    private typealias Sample = DelegateCertificateTests

    /// The account's certificate for the delegate, with somebody's signature in place of the account's.
    private static func certificate(signedBy signing: SigningKey) -> [UInt8] {
        let statement = Sample.certificate().bytes.dropLast(SigningKey.signatureSize)
        return statement + signing.sign(Array(statement))
    }

    /// The delegate's permit with that certificate, as if `account` were the one that certifies.
    private static func permit(of account: SigningKey, _ certificate: [UInt8]) throws -> [UInt8] {
        let permit = WriterPermit.signed(
            for: Sample.gateway, now: Sample.now, by: try Sample.signer())
        var bytes = Array(permit.bytes.dropLast(SigningKey.signatureSize))
        bytes.replaceSubrange(1..<33, with: account.verifyingKey.bytes)
        bytes.replaceSubrange((bytes.count - certificate.count)..., with: certificate)
        let context = Array("cyx delegate permit v1\0".utf8)
        return bytes + Sample.delegate.sign(context + bytes.dropFirst())
    }

    private static func authorities(_ permit: [UInt8]) -> [RowAuthority] {
        PermitBook().authorities([permit], peer: Sample.gateway, now: Sample.now)
    }

    /// The delegate's row with that certificate, as if it were a row of `account`.
    private static func row(
        _ key: RowKey, of account: SigningKey, _ certificate: [UInt8]
    ) throws -> [UInt8] {
        var row = try SignedRow(
            protobuf: Rows.sign([1], at: key, with: try Sample.signer()))
        (row.accountKey, row.certificate) = (account.verifyingKey.bytes, certificate)
        return row.protobufBytes()
    }

    @Test func nobodyCertifiesItselfInAnAccountsName() throws {
        let key = Sample.row(.heads)
        let good = Self.certificate(signedBy: Sample.account)
        #expect(good == Sample.certificate().bytes)
        #expect(Self.authorities(try Self.permit(of: Sample.account, good)).count == 1)
        #expect(throws: Never.self) {
            try Rows.verify(try Self.row(key, of: Sample.account, good), at: key)
        }
        for signing in [Sample.delegate, Sample.other] {
            let forged = Self.certificate(signedBy: signing)
            #expect(Self.authorities(try Self.permit(of: Sample.account, forged)) == [])
            #expect(throws: RowError.unsigned) {
                try Rows.verify(try Self.row(key, of: Sample.account, forged), at: key)
            }
        }
    }

    /// Its own key then fits its signature, and the account that it names is the other.
    @Test func noAccountCertifiesForAnother() throws {
        let forged = Self.certificate(signedBy: Sample.other)
        #expect(Self.authorities(try Self.permit(of: Sample.other, forged)) == [])
        let key = Sample.row(.heads)
        #expect(throws: RowError.unsigned) {
            try Rows.verify(try Self.row(key, of: Sample.other, forged), at: key)
        }
        let certificate = try DelegateCertificate(bytes: forged)
        let others = Sample.other.verifyingKey
        #expect(RowSigner(delegate: Sample.delegate, of: others, certificate) == nil)
    }

    private func grant() -> GatewayGrant {
        GatewayGrant(
            key: AccessKeyRow(
                name: "a", id: "CYG0123456789ABCDEF", secret: "b", bucket: "photos", prefix: "",
                rights: .all, createdMs: 5, expiresMs: 0),
            bucket: Sample.bucket.bytes, nameKey: Array(0..<32), dedupKey: Array(1..<33),
            rowKey: Array(2..<34), delegate: Sample.delegate.seed,
            certificate: Sample.certificate().bytes)
    }

    /// A key without a bucket's name would reach any bucket, and one without a secret anybody has.
    @Test func aGrantThatLacksSomethingOpensNothing() throws {
        func opens(_ change: (inout GatewayGrant) -> Void = { _ in }) -> Bool {
            var grant = grant()
            change(&grant)
            let account = Sample.account.verifyingKey
            return OpenedGrant(grant, of: account, id: "CYG0123456789ABCDEF") != nil
        }
        #expect(opens())
        #expect(!opens { $0.key = nil })
        #expect(!opens { $0.key?.bucket = "" })
        #expect(!opens { $0.key?.secret = "" })
        #expect(!opens { $0.key?.id = "CYG0123456789ABCDE0" })
        #expect(!opens { $0.delegate.removeLast() })
        #expect(!opens { $0.delegate = Sample.other.seed })
        #expect(!opens { $0.nameKey.removeLast() })
        #expect(!opens { $0.dedupKey.removeLast() })
        #expect(!opens { $0.rowKey.removeLast() })
        #expect(!opens { $0.bucket = Sample.otherBucket.bytes })
        #expect(!opens { $0.certificate = [] })
        #expect(!opens { $0.certificate = Self.certificate(signedBy: Sample.other) })
    }
}
