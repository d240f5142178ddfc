package import CyxCore
package import CyxCrypto
internal import CyxTransport

/// What a peer says of itself, signed by it, as it was verified. Nobody else can change a peer's
/// address, roles, zone or store, or make it leave.
package struct MemberStatement: Hashable, Sendable {
    package let info: MemberInfo
    /// Of two statements of one peer the one with the higher incarnation counts. Starts at wall
    /// clock milliseconds, so that a restarted peer overrides its former life.
    package let incarnation: UInt64
    package let isLeaving: Bool
    /// Announced maintenance: off until then by its wall clock, and coming back. 0: none.
    package let awayUntilMilliseconds: UInt64
    /// The bytes that were signed, passed on as they are.
    package let record: SignedMemberRecord

    package var peer: PeerID { info.peer }

    /// The key that signed it, read out of the record; nobody keeps it beside.
    package var key: VerifyingKey? {
        do { return VerifyingKey(bytes: try MemberRecord(protobuf: record.record).publicKey) } catch
        {
            return nil
        }
    }

    private static let context = Array("cyx member v1\0".utf8)

    /// Signs a statement of `key`'s own peer.
    package static func sign(
        _ info: MemberInfo, incarnation: UInt64, isLeaving: Bool = false,
        awayUntilMilliseconds: UInt64 = 0, key: SigningKey, network: NetworkID
    ) -> MemberStatement {
        precondition(key.verifyingKey.peerID == info.peer, "a peer speaks for itself only")
        let ip = info.contact.address.ip
        let record = MemberRecord(
            publicKey: key.verifyingKey.bytes, ipHigh: UInt64(truncatingIfNeeded: ip >> 64),
            ipLow: UInt64(truncatingIfNeeded: ip), port: UInt32(info.contact.address.port),
            roles: info.roles.rawValue, zone: info.zone, store: info.store?.bytes ?? [],
            allocatedBytes: info.allocatedBytes, freeBytes: info.freeBytes,
            incarnation: incarnation, leaving: isLeaving,
            relays: info.relays.map { ContactRecord($0) },
            awayUntilMilliseconds: awayUntilMilliseconds, draining: info.isDraining,
            storeMark: info.mark.count, storeOpening: info.mark.opening
        ).protobufBytes()
        let signature = key.sign(context + network.bytes + record)
        return MemberStatement(
            info: info, incarnation: incarnation, isLeaving: isLeaving,
            awayUntilMilliseconds: awayUntilMilliseconds,
            record: SignedMemberRecord(record: record, signature: signature))
    }

    /// Checks a record from outside. `isNews` sees peer and incarnation before the signature is
    /// checked, which costs 0.1 ms, and may decline: then the result is nil.
    package static func verify(
        _ signed: SignedMemberRecord, network: NetworkID, isNews: (PeerID, UInt64) -> Bool
    ) throws(MemberStatementError) -> MemberStatement? {
        let record: MemberRecord
        do {
            record = try MemberRecord(protobuf: signed.record)
        } catch {
            throw .malformed(error)
        }
        guard let key = VerifyingKey(bytes: record.publicKey) else { throw .invalid("public key") }
        guard record.zone.utf8.count <= MembershipLimits.zoneBytes else { throw .invalid("zone") }
        guard let port = UInt16(exactly: record.port), port > 0 else { throw .invalid("port") }
        var store: StoreID?
        if !record.store.isEmpty {
            store = StoreID(bytes: record.store)
            guard store != nil else { throw .invalid("store") }
        }
        guard record.incarnation > 0, record.incarnation < UInt64.max / 2 else {
            throw .invalid("incarnation")
        }
        guard record.relays.count <= MembershipLimits.relays else { throw .invalid("relays") }
        var relays: [PeerContact] = []
        for relay in record.relays {
            do { relays.append(try PeerContact(relay)) } catch { throw .malformed(error) }
        }
        let peer = key.peerID
        guard isNews(peer, record.incarnation) else { return nil }
        let message = context + network.bytes + signed.record
        guard key.isValid(signature: signed.signature, for: message) else { throw .forged(peer) }
        let address = SocketAddress(
            ip: UInt128(record.ipHigh) << 64 | UInt128(record.ipLow), port: port)
        var info = MemberInfo(
            contact: PeerContact(peer: peer, address: address),
            roles: PeerRoles(rawValue: record.roles), zone: record.zone, store: store,
            allocatedBytes: record.allocatedBytes, freeBytes: record.freeBytes, relays: relays,
            isDraining: record.draining)
        info.mark = StoreMark(count: record.storeMark, opening: record.storeOpening)
        return MemberStatement(
            info: info, incarnation: record.incarnation, isLeaving: record.leaving,
            awayUntilMilliseconds: record.awayUntilMilliseconds, record: signed)
    }
}

/// Why a member record from outside was refused.
package enum MemberStatementError: Error, Equatable {
    case malformed(DecodingError)
    /// A field is outside what it may be.
    case invalid(String)
    /// The signature is not that of the record's key.
    case forged(PeerID)
}
