package import CyxCore
package import CyxCrypto
internal import CyxTransport

/// What a peer says of another one (SWIM §4.2), signed by it, so that whoever passes it on cannot
/// make it up. It holds only for the incarnation that it names.
package struct Accusation: Hashable, Sendable {
    package enum Kind: UInt32, Sendable {
        case suspect = 1
        /// The accuser holds it dead.
        case dead = 2
    }

    package var peer: PeerID
    package var incarnation: UInt64
    package var kind: Kind
    package var accuser: PeerID
    /// The accuser's wall clock, in milliseconds: an old accusation cannot be brought up again.
    package var statedMilliseconds: UInt64
    /// Empty: a hint. What its sender says of its own view, with no proof for others; worth a look,
    /// and enough for the accused itself to contradict it.
    package var signature: [UInt8]

    /// How far apart `statedMilliseconds` and a reader's wall clock may be: an hour that each of
    /// both clocks may be wrong by.
    package static let lifetime = Duration.seconds(2 * 3600)

    /// Two IDs, incarnation, kind, time and signature, each with a tag and some with a length.
    static let byteCount = 2 * 34 + 7 + 2 + 7 + 66 + 3

    private static let context = Array("cyx accusation v1\0".utf8)

    /// A hint; `sign` makes it an accusation.
    package init(
        peer: PeerID, incarnation: UInt64, kind: Kind, accuser: PeerID,
        statedMilliseconds: UInt64 = 0, signature: [UInt8] = []
    ) {
        self.peer = peer
        self.incarnation = incarnation
        self.kind = kind
        self.accuser = accuser
        self.statedMilliseconds = statedMilliseconds
        self.signature = signature
    }

    package var isHint: Bool { signature.isEmpty }

    private func message(_ network: NetworkID) -> [UInt8] {
        var message = Self.context + network.bytes + peer.bytes
        for number in [incarnation, UInt64(kind.rawValue), statedMilliseconds] {
            for shift in stride(from: 56, through: 0, by: -8) {
                message.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
            }
        }
        return message
    }

    package static func sign(
        _ peer: PeerID, incarnation: UInt64, kind: Kind, statedMilliseconds: UInt64,
        key: SigningKey, network: NetworkID
    ) -> Accusation {
        var accusation = Accusation(
            peer: peer, incarnation: incarnation, kind: kind, accuser: key.verifyingKey.peerID,
            statedMilliseconds: statedMilliseconds)
        accusation.signature = key.sign(accusation.message(network))
        return accusation
    }

    /// Whether `key`, the accuser's, signed this; costs 0.1 ms.
    package func isSigned(by key: VerifyingKey, network: NetworkID) -> Bool {
        key.peerID == accuser && key.isValid(signature: signature, for: message(network))
    }

    /// Whether it was made lately, as far as clocks agree.
    package func isRecent(wallMilliseconds: UInt64) -> Bool {
        let distance =
            wallMilliseconds > statedMilliseconds
            ? wallMilliseconds - statedMilliseconds : statedMilliseconds - wallMilliseconds
        return distance <= UInt64(Self.lifetime.nanoseconds / 1_000_000)
    }

    init?(_ claim: MemberClaim) {
        guard let peer = PeerID(bytes: claim.peer), let accuser = PeerID(bytes: claim.accuser),
            let kind = Kind(rawValue: claim.kind), claim.statedMilliseconds < UInt64.max / 2,
            claim.signature.isEmpty || claim.signature.count == SigningKey.signatureSize
        else { return nil }
        self.init(
            peer: peer, incarnation: claim.incarnation, kind: kind, accuser: accuser,
            statedMilliseconds: claim.statedMilliseconds, signature: claim.signature)
    }

    var claim: MemberClaim {
        MemberClaim(
            peer: peer.bytes, incarnation: incarnation, kind: kind.rawValue, accuser: accuser.bytes,
            statedMilliseconds: statedMilliseconds, signature: signature)
    }
}
