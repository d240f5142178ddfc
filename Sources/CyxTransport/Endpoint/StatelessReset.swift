internal import CyxCore
internal import CyxCrypto

/// 16 bytes by which a peer that lost a connection's state says so (RFC 9000 §10.3).
struct StatelessResetToken: Hashable, Sendable {
    static let byteCount = 16
    // As words: a connection knows several, and none of them is worth an allocation.
    private let high: UInt64
    private let low: UInt64

    init?(bytes: [UInt8]) {
        guard bytes.count == StatelessResetToken.byteCount else { return nil }
        self = bytes.withUnsafeBytes(StatelessResetToken.init(first:))
    }

    /// The first 16 of `bytes`.
    init(first bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count >= StatelessResetToken.byteCount, "a token has 16 bytes")
        high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// The last 16 bytes of a datagram of at least that size.
    init(endOf datagram: UnsafeRawBufferPointer) {
        let start = datagram.count - StatelessResetToken.byteCount
        self.init(first: UnsafeRawBufferPointer(rebasing: datagram[start...]))
    }

    var bytes: [UInt8] {
        var writer = ByteWriter(capacity: StatelessResetToken.byteCount)
        writer.write(high)
        writer.write(low)
        return writer.bytes
    }

    /// Whether `datagram` ends in this token; takes the same time wherever they differ.
    func isAtEnd(of datagram: UnsafeRawBufferPointer) -> Bool {
        guard datagram.count >= StatelessResetToken.byteCount else { return false }
        let end = StatelessResetToken(endOf: datagram)
        return (high ^ end.high) | (low ^ end.low) == 0
    }
}

/// What survives a restart because it follows from the identity: tokens, and connection IDs that
/// show that we chose them, so that only those are answered by a reset.
struct ResetKeys: Sendable {
    // Keyed once; each use goes on from a copy.
    private let tokenCode: HMACSHA256
    private let connectionCode: HMACSHA256

    init(identitySeed: [UInt8]) {
        func keyed(_ purpose: String) -> HMACSHA256 {
            HMACSHA256(
                key: Primitives.hkdf(
                    secret: identitySeed, salt: [], info: Array(purpose.utf8), count: 32))
        }
        tokenCode = keyed("reset")
        connectionCode = keyed("connection id")
    }

    func token(for id: ConnectionID) -> StatelessResetToken {
        var code = tokenCode
        withUnsafeBytes(of: id.value.bigEndian) { code.update($0) }
        return withCode(code, StatelessResetToken.init(first:))
    }

    /// 4 random bytes and 4 that prove that we chose them for a peer at `ip`: nobody but who had
    /// a connection from there draws a reset.
    func connectionID(random: UInt32, ip: UInt128) -> ConnectionID {
        var code = connectionCode
        withUnsafeBytes(of: random.bigEndian) { code.update($0) }
        withUnsafeBytes(of: ip.bigEndian) { code.update($0) }
        let proof = withCode(code) { UInt32(bigEndian: $0.loadUnaligned(as: UInt32.self)) }
        return ConnectionID(UInt64(random) << 32 | UInt64(proof))
    }

    private func withCode<Result>(
        _ code: HMACSHA256, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(byteCount: HMACSHA256.codeSize, alignment: 8) { bytes in
            code.finalize(into: bytes)
            return body(UnsafeRawBufferPointer(bytes))
        }
    }

    func isOurs(_ id: ConnectionID, ip: UInt128) -> Bool {
        connectionID(random: UInt32(truncatingIfNeeded: id.value >> 32), ip: ip) == id
    }
}
