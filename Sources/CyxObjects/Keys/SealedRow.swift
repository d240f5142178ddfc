internal import CyxCore
package import CyxCrypto
package import CyxTables

/// Why a row's bytes are not what they should be.
package enum RowError: Error, Equatable, Sendable {
    /// Not a message of that table.
    case malformed(TableID)
    /// The signature is not its account's for this row.
    case unsigned
    /// Belongs to another account or bucket.
    case foreign
}

/// Signs rows for the custodians and seals them against everybody but the owner.
///
/// A signature covers the row's key, so that no row can be put in another's place. Sealing is
/// AES-256-GCM with the row's key as associated data and a random nonce of 12 bytes: below 2^32
/// rows per bucket key, as SP 800-38D §8.3 wants.
package enum Rows {
    private static let nonceBytes = 12
    private static let context = Array("cyx row v1\0".utf8)

    private static func associated(_ key: RowKey) -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + key.suffix.count)
        writer.write(context)
        writer.write(key.table.rawValue)
        writer.write(key.position)
        writer.write(UInt16(truncatingIfNeeded: key.suffix.count))
        writer.write(key.suffix)
        return writer.bytes
    }

    /// A `SignedRow` around `payload`.
    package static func sign(
        _ payload: [UInt8], at key: RowKey, with signer: RowSigner
    ) -> [UInt8] {
        SignedRow(
            accountKey: signer.accountKey.bytes, payload: payload,
            signature: signer.key.sign(associated(key) + payload),
            certificate: signer.certificate?.bytes ?? []
        ).protobufBytes()
    }

    package static func sign(
        _ payload: [UInt8], at key: RowKey, with signing: SigningKey
    ) -> [UInt8] {
        sign(payload, at: key, with: RowSigner(signing))
    }

    /// The payload and the account that signed it, after checking the signature.
    ///
    /// A delegate's counts where its certificate lets it write, whenever that was: what is stored does
    /// not expire with a certificate, whose times count when a row is written (`WriterPermit`).
    static func verify(
        _ value: [UInt8], at key: RowKey
    ) throws(RowError) -> (payload: [UInt8], account: AccountID) {
        let row: SignedRow
        do { row = try SignedRow(protobuf: value) } catch { throw .malformed(key.table) }
        guard let accountKey = VerifyingKey(bytes: row.accountKey) else { throw .unsigned }
        var signer = accountKey
        if !row.certificate.isEmpty {
            guard let certificate = DelegateCertificate.checked(row.certificate, of: accountKey)
            else { throw .unsigned }
            guard DelegateScope(certificate).writes(key) else { throw .foreign }
            signer = certificate.subject
        }
        guard signer.isValid(signature: row.signature, for: associated(key) + row.payload) else {
            throw .unsigned
        }
        return (row.payload, accountKey.accountID)
    }

    /// Encrypts `message` for the row at `key` and signs the result.
    static func seal(
        _ message: some ProtobufMessage, at key: RowKey, keys: (seal: Digest, sign: RowSigner),
        random: any RandomSource
    ) -> [UInt8] {
        sign(encrypt(message, at: key, key: keys.seal, random: random), at: key, with: keys.sign)
    }

    /// Encrypts `message` for a part of the row at `key`.
    static func encrypt(
        _ message: some ProtobufMessage, at key: RowKey, key sealKey: Digest,
        random: any RandomSource
    ) -> [UInt8] {
        let nonce = random.bytes(nonceBytes)
        return nonce
            + AESGCM(key: sealKey.bytes).seal(
                nonce: nonce, aad: associated(key), plaintext: message.protobufBytes())
    }

    /// Opens what `encrypt` made.
    static func decrypt<Message: ProtobufMessage>(
        _ type: Message.Type, _ bytes: [UInt8], at key: RowKey, key sealKey: Digest
    ) throws(RowError) -> Message {
        guard bytes.count >= nonceBytes + ObjectLimits.tagBytes else {
            throw .malformed(key.table)
        }
        let plain: [UInt8]
        do {
            plain = try AESGCM(key: sealKey.bytes).open(
                nonce: Array(bytes.prefix(nonceBytes)), aad: associated(key),
                sealed: Array(bytes.dropFirst(nonceBytes)))
        } catch { throw .foreign }
        do { return try Message(protobuf: plain) } catch { throw .malformed(key.table) }
    }

    /// Opens what `seal` made. Only the owner has the key, so that the cipher's tag proves what the
    /// signature would: it is left to those who cannot open the row.
    static func open<Message: ProtobufMessage>(
        _ type: Message.Type, _ value: [UInt8], at key: RowKey, key sealKey: Digest
    ) throws(RowError) -> Message {
        let row: SignedRow
        do { row = try SignedRow(protobuf: value) } catch { throw .malformed(key.table) }
        return try decrypt(type, row.payload, at: key, key: sealKey)
    }
}
