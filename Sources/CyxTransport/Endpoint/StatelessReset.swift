internal import CyxCrypto

/// 16 bytes by which a peer that lost a connection's state says so (RFC 9000 §10.3).
struct StatelessResetToken: Equatable, Sendable {
    static let byteCount = 16
    let bytes: [UInt8]

    init?(bytes: [UInt8]) {
        guard bytes.count == StatelessResetToken.byteCount else { return nil }
        self.bytes = bytes
    }

    /// Whether `datagram` ends in this token; takes the same time wherever they differ.
    func isAtEnd(of datagram: UnsafeRawBufferPointer) -> Bool {
        guard datagram.count >= StatelessResetToken.byteCount else { return false }
        var difference: UInt8 = 0
        let start = datagram.count - StatelessResetToken.byteCount
        for index in 0..<StatelessResetToken.byteCount {
            difference |= bytes[index] ^ datagram[start + index]
        }
        return difference == 0
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
        guard let token = StatelessResetToken(bytes: Array(code.finalize().prefix(16))) else {
            preconditionFailure("an HMAC-SHA256 has 32 bytes")
        }
        return token
    }

    /// 4 random bytes and 4 that prove that we chose them for a peer at `ip`: nobody but who had
    /// a connection from there draws a reset.
    func connectionID(random: UInt32, ip: UInt128) -> ConnectionID {
        var code = connectionCode
        withUnsafeBytes(of: random.bigEndian) { code.update($0) }
        withUnsafeBytes(of: ip.bigEndian) { code.update($0) }
        let proof = code.finalize().prefix(4).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return ConnectionID(UInt64(random) << 32 | proof)
    }

    func isOurs(_ id: ConnectionID, ip: UInt128) -> Bool {
        connectionID(random: UInt32(truncatingIfNeeded: id.value >> 32), ip: ip) == id
    }
}
