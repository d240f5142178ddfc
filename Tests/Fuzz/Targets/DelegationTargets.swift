import CyxCore
import CyxCrypto
import CyxTables

@testable import CyxObjects

/// What accounts let delegates do, and what delegates show for it.
let delegationTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "delegate-certificate", bytesMax: 400, trials: 1500,
        seeds: { [DelegationSamples.certificate.bytes] },
        decode: { bytes in
            let certificate = try exactRoundTrip(
                bytes,
                { bytes in
                    try taken(DecodingError.self) { try DelegateCertificate(bytes: bytes) }
                },
                { $0.bytes })
            guard let certificate else { return false }
            _ = certificate.holds(at: certificate.notBefore)
            if certificate.isSigned(by: ObjectSamples.signing.verifyingKey) {
                try BrokenProperty.check(certificate == DelegationSamples.certificate, "a forgery")
            }
            return true
        }),
    permitTarget("delegate-permit", bytesMax: 600) { DelegationSamples.permit },
    FuzzTarget(
        name: "delegate-row", bytesMax: 1024, trials: 1500,
        seeds: {
            [
                Rows.sign(
                    [1, 2], at: DelegationSamples.headKey, with: DelegationSamples.signer)
            ]
        },
        decode: { bytes in
            let key = DelegationSamples.headKey
            let found = try taken(RowError.self) { try Rows.verify(bytes, at: key) }
            _ = ObjectRowRules.validate(key, nil, bytes)
            if let found, found.account == DelegationSamples.certificate.account {
                try BrokenProperty.check(found.payload == [1, 2], "a forged row")
            }
            return found != nil
        }),
    FuzzTarget(
        name: "gateway-grant", bytesMax: 2048, trials: 1500,
        seeds: {
            [
                [0] + (try DelegationSamples.sealedGrants()),
                [1] + DelegationSamples.grant.protobufBytes(),
            ]
        },
        decode: gatewayGrants.decode),
]

private let gatewayGrants = Choice(decoders: [
    { bytes in
        let found = try taken(RowError.self) {
            try SealedGrants.open(
                bytes, at: DelegationSamples.grantKey, with: DelegationSamples.gateway)
        }
        guard let found, let (grant, accountKey) = found else { return false }
        if accountKey == ObjectSamples.signing.verifyingKey {
            try BrokenProperty.check(grant == DelegationSamples.grant, "a forged grant")
        }
        return true
    },
    { bytes in
        guard let grant = try message(GatewayGrant.self, bytes) else { return false }
        let accountKey = ObjectSamples.signing.verifyingKey
        guard let opened = OpenedGrant(grant, of: accountKey, id: DelegationSamples.id) else {
            return false
        }
        try BrokenProperty.check(
            opened.certificate == DelegationSamples.certificate
                && opened.keys.signing.seed == DelegationSamples.delegate.seed, "a forgery")
        return true
    },
])

enum DelegationSamples {
    static let delegate = SigningKey(seed: [UInt8](repeating: 4, count: 32))
    static let bucket = Digest(7, 7, 7, 7)
    static let now = WallTime(milliseconds: 1_700_000_000_000)
    static let certificate = DelegateCertificate.signed(
        for: delegate.verifyingKey, network: NetworkID(Digest(5, 5, 5, 5)), bucket: bucket,
        operations: [.read, .write], serial: Array(0..<16), now: now, by: ObjectSamples.signing)
    static var signer: RowSigner {
        guard
            let signer = RowSigner(
                delegate: delegate, of: ObjectSamples.signing.verifyingKey, certificate)
        else { preconditionFailure("the certificate is the account's") }
        return signer
    }
    static let id = "CYG0123456789ABCDEF"
    static let grantKey = SealedGrants.row(accessKey: id)
    static let gateway = GatewayKey(identity: SigningKey(seed: [UInt8](repeating: 6, count: 32)))
    static let grant = GatewayGrant(
        key: AccessKeyRow(
            name: "a", id: id, secret: "b", bucket: "photos", prefix: "c/", rights: .write,
            createdMs: 5, expiresMs: 9),
        bucket: bucket.bytes, nameKey: Array(0..<32), dedupKey: Array(1..<33),
        rowKey: Array(2..<34), delegate: delegate.seed, certificate: certificate.bytes)

    static func sealedGrants() throws -> [UInt8] {
        try SealedGrants.seal(
            grant, for: [gateway.publicKey], at: grantKey, with: RowSigner(ObjectSamples.signing),
            random: SameBytes())
    }

    /// Seeds are the same each time.
    private final class SameBytes: RandomSource {
        func fill(_ buffer: UnsafeMutableRawBufferPointer) {
            buffer.initializeMemory(as: UInt8.self, repeating: 5)
        }
    }

    static let permit = WriterPermit.signed(
        for: delegate.verifyingKey.peerID, now: now, by: signer)
    static let headKey = RowKey(
        table: .heads,
        position: BucketKeys(
            material: [1], bucket: bucket, account: ObjectSamples.signing.verifyingKey.accountID
        ).position(of: "a"))
}
