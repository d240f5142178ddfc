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
    private let tokenKey: [UInt8]
    private let connectionKey: [UInt8]

    init(identitySeed: [UInt8]) {
        tokenKey = Primitives.hkdf(
            secret: identitySeed, salt: [], info: Array("reset".utf8), count: 32)
        connectionKey = Primitives.hkdf(
            secret: identitySeed, salt: [], info: Array("connection id".utf8), count: 32)
    }

    func token(for id: ConnectionID) -> StatelessResetToken {
        let mac = HMACSHA256.code(key: tokenKey, bigEndianBytes(id.value, count: 8))
        guard let token = StatelessResetToken(bytes: Array(mac.prefix(16))) else {
            preconditionFailure("an HMAC-SHA256 has 32 bytes")
        }
        return token
    }

    /// 4 random bytes and 4 that prove that we chose them for a peer at `ip`: nobody but who had
    /// a connection from there draws a reset.
    func connectionID(random: UInt32, ip: UInt128) -> ConnectionID {
        let mac = HMACSHA256.code(
            key: connectionKey,
            bigEndianBytes(UInt64(random), count: 4)
                + bigEndianBytes(UInt64(truncatingIfNeeded: ip >> 64), count: 8)
                + bigEndianBytes(UInt64(truncatingIfNeeded: ip), count: 8))
        let proof = mac.prefix(4).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return ConnectionID(UInt64(random) << 32 | proof)
    }

    func isOurs(_ id: ConnectionID, ip: UInt128) -> Bool {
        connectionID(random: UInt32(truncatingIfNeeded: id.value >> 32), ip: ip) == id
    }

    private func bigEndianBytes(_ value: UInt64, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }
}
