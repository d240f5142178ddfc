package import CyxCore
package import CyxCrypto
internal import Synchronization

/// An account's word that a key may sign for it in one of its buckets (`decisions.md` E).
///
/// This version of the program makes and takes chains of one link: no delegate certifies others. Nor
/// does a certificate say how names of objects begin that its delegate may write, although the format
/// has room for that: custodians, who never see names, could not hold anybody to it, and would learn
/// part of the names. Which names a gateway serves to whom is sealed beside the certificate
/// (`GatewayGrant`). Serials are for rows that revoke certificates before their time, which there are
/// none of yet: until then a delegate whose access key was revoked may write for as long as its
/// certificate holds.
package struct DelegateCertificate: Hashable, Sendable {
    /// What a delegate may do with the rows of its bucket.
    package struct Operations: OptionSet, Hashable, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let read = Operations(rawValue: 1)
        /// Also to remove.
        package static let write = Operations(rawValue: 2)
        static let known: Operations = [.read, .write]
    }

    /// How long one holds at most.
    package static let lifetimeMs: Int64 = 30 * 86_400_000
    package static let serialBytes = 16
    private static let magic = Array("CYXD".utf8)
    private static let version: UInt8 = 1
    private static let depth: UInt8 = 1
    /// All tables of a bucket's objects.
    private static let anyTable: UInt8 = 0
    private static let statementBytes =
        4 + 1 + 4 * Digest.byteCount + serialBytes + 8 + 8 + 1 + 2 + (1 + Digest.byteCount + 4 + 2)
    package static let byteCount = statementBytes + SigningKey.signatureSize

    package let network: NetworkID
    package let account: AccountID
    /// Whose signatures count as the account's.
    package let subject: VerifyingKey
    package let serial: [UInt8]
    package let notBefore: WallTime
    package let notAfter: WallTime
    package let bucket: Digest
    package let operations: Operations
    package let signature: [UInt8]

    /// `network`, `bucket`, `operations`: where and what it is for. `serial`: 16 random bytes.
    package static func signed(
        for subject: VerifyingKey, network: NetworkID, bucket: Digest, operations: Operations,
        serial: [UInt8], now: WallTime, by signing: SigningKey
    ) -> DelegateCertificate {
        precondition(serial.count == serialBytes, "a serial has 16 bytes")
        let end = WallTime(milliseconds: now.milliseconds + lifetimeMs)
        let draft = DelegateCertificate(
            network: network, account: signing.verifyingKey.accountID, subject: subject,
            serial: serial, notBefore: now, notAfter: end, bucket: bucket, operations: operations,
            signature: [])
        return DelegateCertificate(
            network: network, account: draft.account, subject: subject, serial: serial,
            notBefore: now, notAfter: end, bucket: bucket, operations: operations,
            signature: signing.sign(draft.statement))
    }

    private init(
        network: NetworkID, account: AccountID, subject: VerifyingKey, serial: [UInt8],
        notBefore: WallTime, notAfter: WallTime, bucket: Digest, operations: Operations,
        signature: [UInt8]
    ) {
        self.network = network
        self.account = account
        self.subject = subject
        self.serial = serial
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.bucket = bucket
        self.operations = operations
        self.signature = signature
    }

    /// What is signed. It begins as nothing else does that accounts sign: rows and permits have
    /// contexts of their own.
    private var statement: [UInt8] {
        var bytes = ByteWriter(capacity: DelegateCertificate.byteCount)
        bytes.write(DelegateCertificate.magic)
        bytes.write(DelegateCertificate.version)
        bytes.write(network.digest)
        bytes.write(account.digest)
        // The parent's hash: the account itself has none.
        bytes.write(Digest.zero)
        bytes.write(subject.bytes)
        bytes.write(serial)
        bytes.write(UInt64(bitPattern: notBefore.milliseconds))
        bytes.write(UInt64(bitPattern: notAfter.milliseconds))
        bytes.write(DelegateCertificate.depth)
        bytes.write(UInt16(1))
        bytes.write(DelegateCertificate.anyTable)
        bytes.write(bucket)
        bytes.write(operations.rawValue)
        bytes.write(UInt16(0))
        return bytes.bytes
    }

    package var bytes: [UInt8] { statement + signature }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        guard try reader.readBytes(4) == DelegateCertificate.magic else {
            throw .outOfRange(field: "magic")
        }
        try reader.expect(DelegateCertificate.version, "version")
        let network = NetworkID(try reader.readDigest())
        let account = AccountID(try reader.readDigest())
        guard try reader.readDigest() == .zero else { throw .outOfRange(field: "parent") }
        let key = try reader.readBytes(VerifyingKey.byteCount)
        guard let subject = VerifyingKey(bytes: key) else { throw .outOfRange(field: "subject") }
        let serial = try reader.readBytes(DelegateCertificate.serialBytes)
        let notBefore = Int64(bitPattern: try reader.readUInt64())
        let notAfter = Int64(bitPattern: try reader.readUInt64())
        let (span, overflow) = notAfter.subtractingReportingOverflow(notBefore)
        guard !overflow, (0...DelegateCertificate.lifetimeMs).contains(span) else {
            throw .outOfRange(field: "notAfter")
        }
        try reader.expect(DelegateCertificate.depth, "depth")
        guard try reader.readUInt16() == 1 else { throw .outOfRange(field: "capabilities") }
        try reader.expect(DelegateCertificate.anyTable, "table")
        let bucket = try reader.readDigest()
        let operations = Operations(rawValue: try reader.readUInt32())
        guard operations.isSubset(of: .known) else {
            throw .unknown(field: "operations", value: UInt64(operations.rawValue))
        }
        guard try reader.readUInt16() == 0 else { throw .outOfRange(field: "prefix") }
        let signature = try reader.readBytes(SigningKey.signatureSize)
        try reader.finish()
        self.init(
            network: network, account: account, subject: subject, serial: serial,
            notBefore: WallTime(milliseconds: notBefore),
            notAfter: WallTime(milliseconds: notAfter), bucket: bucket, operations: operations,
            signature: signature)
    }

    /// Whether the account signed it, whose key that is.
    package func isSigned(by accountKey: VerifyingKey) -> Bool {
        accountKey.accountID == account && accountKey.isValid(signature: signature, for: statement)
    }

    /// Whether it is of that time, to a clock that need not agree with its maker's.
    package func holds(at now: WallTime) -> Bool {
        let slack = WriterPermit.clockSlackMs
        return now.milliseconds >= notBefore.milliseconds &- slack
            && now.milliseconds <= notAfter.milliseconds &+ slack
    }

    // MARK: Remembering

    /// Certificates that are remembered as signed: rows of one gateway bring the same again and again.
    /// Whether one is signed follows from its bytes alone, whoever asks and when. So all of a process
    /// share what is known of it, and rows are verified without anything being handed down to there.
    private static let knownCapacity = 1 << 10
    private static let known = Mutex<[[UInt8]: DelegateCertificate]>([:])

    /// The certificate that `bytes` are, if the account signed it whose key `accountKey` is.
    package static func checked(
        _ bytes: [UInt8], of accountKey: VerifyingKey
    ) -> DelegateCertificate? {
        guard bytes.count == byteCount else { return nil }
        if let certificate = known.withLock({ $0[bytes] }) {
            return certificate.account == accountKey.accountID ? certificate : nil
        }
        let certificate: DelegateCertificate
        do { certificate = try DelegateCertificate(bytes: bytes) } catch { return nil }
        guard certificate.isSigned(by: accountKey) else { return nil }
        known.withLock { known in
            if known.count >= knownCapacity { known.removeAll(keepingCapacity: true) }
            known[bytes] = certificate
        }
        return certificate
    }
}

extension ByteReader {
    fileprivate mutating func expect(_ value: UInt8, _ field: String) throws(DecodingError) {
        let found = try readUInt8()
        guard found == value else { throw .unknown(field: field, value: UInt64(found)) }
    }
}
