internal import CyxCore
package import CyxCrypto
internal import CyxTables

/// What names a gateway to those who seal something for it: an X25519 key, derived from the secret key
/// of its peer, so that there is nothing more to keep.
package struct GatewayKey: Sendable {
    package static let byteCount = X25519.keySize

    let privateKey: X25519.PrivateKey

    /// `identity`: the peer's signing key.
    package init(identity: SigningKey) {
        privateKey = X25519.PrivateKey(
            bytes: BLAKE3.deriveKey(
                context: "cyxcloud v1 gateway key", identity.seed, count: X25519.keySize))
    }

    /// 32 bytes, which its operator gives out.
    package var publicKey: [UInt8] { privateKey.publicKey }
}

/// Rows that hold an access key for gateways without its account's seed (`decisions.md` E): in each,
/// sealed to every named gateway, all that it takes to serve the key.
enum SealedGrants {
    private static let context = Array("cyx gateway grant v1\0".utf8)

    /// Where the access key lies. Requests show its ID, so that nothing is sealed under it.
    static func row(accessKey id: String) -> RowKey {
        RowKey(
            table: .grants, position: BLAKE3.hash(Array("cyx access key\0".utf8) + Array(id.utf8)))
    }

    /// The signed row. An entry is for its gateway, its access key and its account: the first is whom
    /// HPKE seals to, the second is said in its `info`, and the third in the associated data.
    static func seal(
        _ grant: GatewayGrant, for gateways: [[UInt8]], at row: RowKey, with signer: RowSigner,
        random: any RandomSource
    ) throws(HPKEError) -> [UInt8] {
        let message = grant.protobufBytes()
        var sealed = SealedGrantsRow()
        for gateway in gateways {
            let entry = try HPKE.seal(
                message, to: gateway, info: context + row.position.bytes,
                aad: signer.accountKey.bytes,
                ephemeral: X25519.PrivateKey(bytes: random.bytes(X25519.keySize)))
            sealed.grants.append(
                SealedGrant(
                    gateway: gateway, encapsulated: entry.encapsulated,
                    ciphertext: entry.ciphertext))
        }
        return Rows.sign(sealed.protobufBytes(), at: row, with: signer)
    }

    /// What the row has for the gateway `key`; nil if that is not among the named ones.
    static func open(
        _ value: [UInt8], at row: RowKey, with key: GatewayKey
    ) throws(RowError) -> (grant: GatewayGrant, accountKey: VerifyingKey)? {
        let payload = try Rows.verify(value, at: row).payload
        let (sealed, signed): (SealedGrantsRow, SignedRow)
        do {
            (sealed, signed) = (
                try SealedGrantsRow(protobuf: payload), try SignedRow(protobuf: value)
            )
        } catch { throw .malformed(row.table) }
        guard let entry = sealed.grants.first(where: { $0.gateway == key.publicKey }) else {
            return nil
        }
        guard let accountKey = VerifyingKey(bytes: signed.accountKey) else { throw .unsigned }
        let message: [UInt8]
        do {
            message = try HPKE.open(
                HPKE.Sealed(encapsulated: entry.encapsulated, ciphertext: entry.ciphertext),
                with: key.privateKey, info: context + row.position.bytes, aad: signed.accountKey)
        } catch { throw .foreign }
        do { return (try GatewayGrant(protobuf: message), accountKey) } catch {
            throw .malformed(row.table)
        }
    }
}

/// A grant that was checked: an access key, and what its gateway signs and opens rows with.
struct OpenedGrant: Sendable {
    var key: AccessKey
    var keys: AccountKeys
    var certificate: DelegateCertificate

    /// Nil unless all of it is one account's word for one bucket and the access key `id`.
    init?(_ grant: GatewayGrant, of accountKey: VerifyingKey, id: String) {
        guard let row = grant.key, row.id == id, !row.secret.isEmpty, !row.bucket.isEmpty,
            grant.delegate.count == SigningKey.seedSize,
            let certificate = DelegateCertificate.checked(grant.certificate, of: accountKey),
            let signer = RowSigner(
                delegate: SigningKey(seed: grant.delegate), of: accountKey, certificate),
            let bucket = Digest(bytes: grant.bucket), bucket == certificate.bucket,
            let name = Digest(bytes: grant.nameKey), let dedup = Digest(bytes: grant.dedupKey),
            let rowKey = Digest(bytes: grant.rowKey)
        else { return nil }
        key = AccessKey(row)
        keys = AccountKeys(
            delegate: signer,
            bucket: BucketKeys(
                name: name, dedup: dedup, row: rowKey, bucket: bucket, account: signer.account))
        self.certificate = certificate
    }
}
