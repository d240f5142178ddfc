package import CyxCore
internal import CyxCrypto

/// Tokens that gate storing: only who has just asked from an address may store from it, so that
/// nobody writes under another's address, nor without having paid a round trip (BEP 5's tokens;
/// here bound to the asker's address and identity).
package struct StoreTokens: Sendable {
    /// A secret is used so long, and its tokens hold for as long again.
    package static let rotation = Duration.seconds(300)
    package static let byteCount = 16

    private var current: Digest
    private var previous: Digest
    private var rotated: Instant

    /// `secret` must be unpredictable; `rotate` asks for further ones.
    package init(secret: Digest, now: Instant) {
        current = secret
        previous = secret
        rotated = now
    }

    /// Takes new secrets from `fresh` as time passes; call it before `issue` and `isValid`.
    package mutating func rotate(now: Instant, fresh: () -> Digest) {
        guard now - rotated >= Self.rotation else { return }
        // After a long pause both are too old.
        previous = now - rotated >= Self.rotation * 2 ? fresh() : current
        current = fresh()
        rotated = now
    }

    package func issue(to peer: PeerID, at address: SocketAddress) -> [UInt8] {
        Self.token(current, peer, address)
    }

    package func isValid(_ token: [UInt8], of peer: PeerID, at address: SocketAddress) -> Bool {
        [current, previous].contains {
            isEqualInConstantTime(token, Self.token($0, peer, address))
        }
    }

    /// The port is left out: a peer behind a NAT may change it between two requests.
    private static func token(
        _ secret: Digest, _ peer: PeerID, _ address: SocketAddress
    ) -> [UInt8] {
        let ip = address.ip
        let bytes = (0..<16).map { UInt8(truncatingIfNeeded: ip >> UInt128(120 - 8 * $0)) }
        return Array(BLAKE3.keyedHash(key: secret, peer.bytes + bytes).bytes.prefix(byteCount))
    }
}
