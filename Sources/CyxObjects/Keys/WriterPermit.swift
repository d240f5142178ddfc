package import CyxCore
package import CyxCrypto

/// An account's word that a peer may change the account's rows for a while.
///
/// Custodians know no account's secrets, and rows that go away are signed by nobody: whoever asks for
/// a change shows a permit. A gateway has its accounts' signing keys and makes permits for itself, one
/// a day for each account, so that a copied one is of no use to other peers, nor for long to a peer
/// that was a gateway once.
package struct WriterPermit: Hashable, Sendable {
    /// How long one holds.
    package static let lifetimeMs: Int64 = 24 * 3600 * 1000
    /// How far the clocks of a gateway and a custodian may be apart.
    package static let clockSlackMs: Int64 = 2 * 3600 * 1000

    private static let context = Array("cyx writer permit v1\0".utf8)
    private static let version: UInt8 = 1
    package static let byteCount =
        1 + VerifyingKey.byteCount + Digest.byteCount + 8 + 8 + SigningKey.signatureSize

    package let accountKey: VerifyingKey
    package let writer: PeerID
    package let notBefore: WallTime
    package let notAfter: WallTime
    package let signature: [UInt8]

    /// The account's permit for `writer` from `now` on.
    package static func signed(
        for writer: PeerID, now: WallTime, by signing: SigningKey
    ) -> WriterPermit {
        let end = WallTime(milliseconds: now.milliseconds + lifetimeMs)
        let statement = statement(signing.verifyingKey, writer, now, end)
        return WriterPermit(
            accountKey: signing.verifyingKey, writer: writer, notBefore: now, notAfter: end,
            signature: signing.sign(statement))
    }

    private init(
        accountKey: VerifyingKey, writer: PeerID, notBefore: WallTime, notAfter: WallTime,
        signature: [UInt8]
    ) {
        self.accountKey = accountKey
        self.writer = writer
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.signature = signature
    }

    private static func statement(
        _ account: VerifyingKey, _ writer: PeerID, _ notBefore: WallTime, _ notAfter: WallTime
    ) -> [UInt8] {
        var bytes = ByteWriter(capacity: context.count + byteCount)
        bytes.write(context)
        bytes.write(account.bytes)
        bytes.write(writer.digest)
        bytes.write(UInt64(bitPattern: notBefore.milliseconds))
        bytes.write(UInt64(bitPattern: notAfter.milliseconds))
        return bytes.bytes
    }

    /// Whether the account signed it.
    package var isSigned: Bool {
        accountKey.isValid(
            signature: signature,
            for: WriterPermit.statement(accountKey, writer, notBefore, notAfter))
    }

    /// Whether it is of that time, to a clock that need not agree with its maker's. One that says to
    /// hold for longer than any does not hold at all.
    package func holds(at now: WallTime) -> Bool {
        let (begin, end) = (notBefore.milliseconds, notAfter.milliseconds)
        let (span, overflow) = end.subtractingReportingOverflow(begin)
        guard !overflow, (0...WriterPermit.lifetimeMs).contains(span) else { return false }
        let slack = WriterPermit.clockSlackMs
        return now.milliseconds >= begin &- slack && now.milliseconds <= end &+ slack
    }

    /// Whether its maker had better use a new one: half its time is over, or its clock was set.
    func isSpent(at now: WallTime) -> Bool {
        let age = now.milliseconds - notBefore.milliseconds
        return !(0...WriterPermit.lifetimeMs / 2).contains(age)
    }

    package var bytes: [UInt8] {
        var bytes = ByteWriter(capacity: WriterPermit.byteCount)
        bytes.write(WriterPermit.version)
        bytes.write(accountKey.bytes)
        bytes.write(writer.digest)
        bytes.write(UInt64(bitPattern: notBefore.milliseconds))
        bytes.write(UInt64(bitPattern: notAfter.milliseconds))
        bytes.write(signature)
        return bytes.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.readUInt8()
        guard version == WriterPermit.version else {
            throw .unknown(field: "version", value: UInt64(version))
        }
        let key = try reader.readBytes(VerifyingKey.byteCount)
        guard let accountKey = VerifyingKey(bytes: key) else { throw .outOfRange(field: "key") }
        let writer = PeerID(try reader.readDigest())
        let notBefore = Int64(bitPattern: try reader.readUInt64())
        let notAfter = Int64(bitPattern: try reader.readUInt64())
        let signature = try reader.readBytes(SigningKey.signatureSize)
        try reader.finish()
        self.init(
            accountKey: accountKey, writer: writer, notBefore: WallTime(milliseconds: notBefore),
            notAfter: WallTime(milliseconds: notAfter), signature: signature)
    }
}
