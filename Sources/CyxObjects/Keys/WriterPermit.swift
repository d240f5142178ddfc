package import CyxCore
package import CyxCrypto
internal import CyxTables

/// An account's word that a peer may change the account's rows for a while, or a delegate's that it may
/// change those that are the delegate's to change.
///
/// Custodians know no account's secrets, and rows that go away are signed by nobody: whoever asks for
/// a change shows a permit. A gateway has its accounts' signing keys and makes permits for itself, one
/// a day for each account, so that a copied one is of no use to other peers, nor for long to a peer
/// that was a gateway once. A delegate's counts no longer than its certificate.
package struct WriterPermit: Hashable, Sendable {
    /// How long one holds.
    package static let lifetimeMs: Int64 = 24 * 3600 * 1000
    /// How far the clocks of a gateway and a custodian may be apart.
    package static let clockSlackMs: Int64 = 2 * 3600 * 1000

    private static let context = Array("cyx writer permit v1\0".utf8)
    private static let delegateContext = Array("cyx delegate permit v1\0".utf8)
    private static let version: UInt8 = 1
    private static let delegateVersion: UInt8 = 2
    package static let byteCount =
        1 + VerifyingKey.byteCount + Digest.byteCount + 8 + 8 + SigningKey.signatureSize
    /// With a certificate.
    package static let delegateByteCount = byteCount + DelegateCertificate.byteCount

    package let accountKey: VerifyingKey
    package let writer: PeerID
    package let notBefore: WallTime
    package let notAfter: WallTime
    /// The delegate's; nil: the account signed the permit.
    package let certificate: DelegateCertificate?
    package let signature: [UInt8]

    /// The account's permit for `writer` from `now` on.
    package static func signed(
        for writer: PeerID, now: WallTime, by signing: SigningKey
    ) -> WriterPermit {
        signed(for: writer, now: now, by: RowSigner(signing))
    }

    package static func signed(
        for writer: PeerID, now: WallTime, by signer: RowSigner
    ) -> WriterPermit {
        let end = WallTime(milliseconds: now.milliseconds + lifetimeMs)
        let statement = statement(signer.accountKey, writer, now, end, signer.certificate)
        return WriterPermit(
            accountKey: signer.accountKey, writer: writer, notBefore: now, notAfter: end,
            certificate: signer.certificate, signature: signer.key.sign(statement))
    }

    private init(
        accountKey: VerifyingKey, writer: PeerID, notBefore: WallTime, notAfter: WallTime,
        certificate: DelegateCertificate?, signature: [UInt8]
    ) {
        self.certificate = certificate
        self.accountKey = accountKey
        self.writer = writer
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.signature = signature
    }

    private static func statement(
        _ account: VerifyingKey, _ writer: PeerID, _ notBefore: WallTime, _ notAfter: WallTime,
        _ certificate: DelegateCertificate?
    ) -> [UInt8] {
        var bytes = ByteWriter(capacity: delegateContext.count + delegateByteCount)
        bytes.write(certificate == nil ? context : delegateContext)
        bytes.write(account.bytes)
        bytes.write(writer.digest)
        bytes.write(UInt64(bitPattern: notBefore.milliseconds))
        bytes.write(UInt64(bitPattern: notAfter.milliseconds))
        if let certificate { bytes.write(certificate.bytes) }
        return bytes.bytes
    }

    /// Whether the account signed it, or a delegate whom the account certified.
    package var isSigned: Bool {
        if let certificate, !certificate.isSigned(by: accountKey) { return false }
        return (certificate?.subject ?? accountKey).isValid(
            signature: signature,
            for: WriterPermit.statement(accountKey, writer, notBefore, notAfter, certificate))
    }

    /// In whose name it lets its writer change rows, and which.
    var authority: RowAuthority {
        certificate.map { DelegateScope($0).authority } ?? RowAuthority(accountKey.accountID)
    }

    /// Whether it is of that time, to a clock that need not agree with its maker's. One that says to
    /// hold for longer than any does not hold at all.
    package func holds(at now: WallTime) -> Bool {
        let (begin, end) = (notBefore.milliseconds, notAfter.milliseconds)
        let (span, overflow) = end.subtractingReportingOverflow(begin)
        guard !overflow, (0...WriterPermit.lifetimeMs).contains(span) else { return false }
        if let certificate, !certificate.holds(at: now) { return false }
        let slack = WriterPermit.clockSlackMs
        return now.milliseconds >= begin &- slack && now.milliseconds <= end &+ slack
    }

    /// Whether its maker had better use a new one: half its time is over, or its clock was set.
    func isSpent(at now: WallTime) -> Bool {
        let age = now.milliseconds - notBefore.milliseconds
        return !(0...WriterPermit.lifetimeMs / 2).contains(age)
    }

    package var bytes: [UInt8] {
        var bytes = ByteWriter(capacity: WriterPermit.delegateByteCount)
        bytes.write(certificate == nil ? WriterPermit.version : WriterPermit.delegateVersion)
        bytes.write(accountKey.bytes)
        bytes.write(writer.digest)
        bytes.write(UInt64(bitPattern: notBefore.milliseconds))
        bytes.write(UInt64(bitPattern: notAfter.milliseconds))
        if let certificate { bytes.write(certificate.bytes) }
        bytes.write(signature)
        return bytes.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.readUInt8()
        guard [WriterPermit.version, WriterPermit.delegateVersion].contains(version) else {
            throw .unknown(field: "version", value: UInt64(version))
        }
        let key = try reader.readBytes(VerifyingKey.byteCount)
        guard let accountKey = VerifyingKey(bytes: key) else { throw .outOfRange(field: "key") }
        let writer = PeerID(try reader.readDigest())
        let notBefore = Int64(bitPattern: try reader.readUInt64())
        let notAfter = Int64(bitPattern: try reader.readUInt64())
        var certificate: DelegateCertificate?
        if version == WriterPermit.delegateVersion {
            certificate = try DelegateCertificate(
                bytes: try reader.readBytes(DelegateCertificate.byteCount))
        }
        let signature = try reader.readBytes(SigningKey.signatureSize)
        try reader.finish()
        self.init(
            accountKey: accountKey, writer: writer, notBefore: WallTime(milliseconds: notBefore),
            notAfter: WallTime(milliseconds: notAfter), certificate: certificate,
            signature: signature)
    }
}
