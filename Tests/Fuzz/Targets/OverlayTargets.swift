import CyxCore
import CyxCrypto
import CyxTransport

@testable import CyxOverlay

/// Messages of lookups and gossip, and what is signed inside them.
let overlayTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "overlay-message",
        seeds: {
            let batch = OverlaySamples.batch
            let peer = OverlaySamples.statement.peer.bytes
            let record = OverlaySamples.statement.record
            return [
                [0]
                    + ProbeRequest(target: peer, timeoutMilliseconds: 9, gossip: batch)
                    .protobufBytes(),
                [1] + ProbeResponse(reached: true, gossip: batch).protobufBytes(),
                [2]
                    + SyncRequest(
                        members: [MemberVersion(peer: peer, incarnation: 3, state: 2)],
                        sender: record
                    ).protobufBytes(),
                [3] + SyncResponse(gossip: batch, wanted: [peer, peer]).protobufBytes(),
                [4] + FindNodeRequest(target: peer, wantsRecord: true).protobufBytes(),
                [5]
                    + FindNodeResponse(
                        contacts: [ContactRecord(peer: peer, ipHigh: 1, ipLow: 2, port: 7)],
                        token: Array(0..<16), record: record
                    ).protobufBytes(),
                [6] + StoreRecordRequest(token: Array(0..<16), record: record).protobufBytes(),
            ]
        },
        decode: Choice(decoders: [
            { bytes in try admit(try message(ProbeRequest.self, bytes)?.gossip) },
            { bytes in try admit(try message(ProbeResponse.self, bytes)?.gossip) },
            { bytes in
                guard let request = try message(SyncRequest.self, bytes) else { return false }
                if let versions = request.versions, let sender = request.sender,
                    let statement = try verified(sender)
                {
                    let again = SyncRequest(versions: versions, sender: statement)
                    try BrokenProperty.check(
                        again.versions?.count == versions.count, "other versions")
                }
                return true
            },
            { bytes in try admit(try message(SyncResponse.self, bytes)?.gossip) },
            { bytes in try message(FindNodeRequest.self, bytes) != nil },
            { bytes in
                guard let answer = try message(FindNodeResponse.self, bytes) else { return false }
                for record in answer.contacts {
                    let contact = try taken(DecodingError.self) { try PeerContact(record) }
                    if let contact {
                        try BrokenProperty.check(ContactRecord(contact) == record, "other contact")
                        _ = contact.address.isGlobal
                    }
                }
                return true
            },
            { bytes in
                guard let request = try message(StoreRecordRequest.self, bytes) else {
                    return false
                }
                if let record = request.record { _ = try verified(record) }
                return true
            },
        ]).decode),
    FuzzTarget(
        name: "reachability-message", bytesMax: 1024,
        seeds: {
            let address = AddressRecord(SocketAddress(ipv4: (192, 0, 2, 7), port: 7700))
            let peer = OverlaySamples.statement.peer.bytes
            return [
                [0] + ObservedResponse(address: address).protobufBytes(),
                [1]
                    + MeetRequest(
                        peer: peer, token: Array(0..<16), candidates: [address, address], mapping: 1
                    ).protobufBytes(),
                [2]
                    + MeetResponse(token: Array(0..<16), candidates: [address], mapping: 2)
                    .protobufBytes(),
                [3] + ReservationResponse(seconds: 60, address: address).protobufBytes(),
                [4] + CircuitRequest(peer: peer, circuit: 7).protobufBytes(),
                [5] + CircuitResponse(circuit: 8).protobufBytes(),
            ]
        },
        decode: Choice(decoders: [
            { bytes in
                guard let answer = try message(ObservedResponse.self, bytes) else { return false }
                return try check(answer.address.map { [$0] } ?? [])
            },
            { bytes in
                guard let request = try message(MeetRequest.self, bytes) else { return false }
                _ = Opener.Token(bytes: request.token)?.bytes
                return try check(request.candidates)
            },
            { bytes in
                guard let answer = try message(MeetResponse.self, bytes) else { return false }
                return try check(answer.candidates)
            },
            { bytes in
                guard let answer = try message(ReservationResponse.self, bytes) else {
                    return false
                }
                return try check(answer.address.map { [$0] } ?? [])
            },
            { bytes in try message(CircuitRequest.self, bytes) != nil },
            { bytes in try message(CircuitResponse.self, bytes) != nil },
        ]).decode),
    FuzzTarget(
        name: "member-statement",
        seeds: { [OverlaySamples.statement.record.protobufBytes()] },
        decode: { bytes in
            guard let record = try message(SignedMemberRecord.self, bytes) else { return false }
            guard let statement = try verified(record) else { return false }
            try BrokenProperty.check(
                statement.record.record == OverlaySamples.statement.record.record,
                "another statement under that signature")
            return true
        }),
]

private func check(_ addresses: [AddressRecord]) throws -> Bool {
    for record in addresses {
        guard let address = SocketAddress(record) else { continue }
        try BrokenProperty.check(AddressRecord(address) == record, "another address")
        _ = address.isGlobal
    }
    return true
}

private func verified(_ record: SignedMemberRecord) throws -> MemberStatement? {
    try taken(MemberStatementError.self) {
        try MemberStatement.verify(record, network: OverlaySamples.network) { _, _ in true }
    } ?? nil
}

/// Takes a batch of gossip in as an overlay does; false only where there is no message.
private func admit(_ batch: GossipBatch??) throws -> Bool {
    guard let batch else { return false }
    guard let batch else { return true }
    let statements = try taken(MemberStatementError.self) {
        try batch.statements(network: OverlaySamples.network) { _, _ in true }
    }
    let accusations = try taken(MemberStatementError.self) { try batch.unverifiedAccusations() }
    if let statements, let accusations {
        try BrokenProperty.check(
            statements.count + accusations.count <= MembershipLimits.receivedBatch,
            "a batch without bound")
        let own = OverlaySamples.accusation
        for accusation in accusations where accusation.accuser == own.accuser {
            let isGenuine = accusation == own || accusation.isHint
            let isSigned = accusation.isSigned(
                by: OverlaySamples.key.verifyingKey, network: OverlaySamples.network)
            try BrokenProperty.check(isGenuine || !isSigned, "a changed accusation is signed")
        }
    }
    return true
}

enum OverlaySamples {
    static let network = NetworkID(Digest(5, 6, 7, 8))
    static let key = SigningKey(seed: [UInt8](0..<32))

    static let statement: MemberStatement = {
        let info = MemberInfo(
            contact: PeerContact(
                peer: key.verifyingKey.peerID,
                address: SocketAddress(ipv4: (192, 0, 2, 7), port: 7700)),
            roles: [.storage, .relay], zone: "rack1", store: StoreID(Digest(1, 2, 3, 4)),
            allocatedBytes: 1 << 40, freeBytes: 1 << 39)
        return MemberStatement.sign(info, incarnation: 77, key: key, network: network)
    }()

    static let accusation = Accusation.sign(
        PeerID(Digest(9, 9, 9, 9)), incarnation: 7, kind: .dead, statedMilliseconds: 1 << 40,
        key: key, network: network)

    static var batch: GossipBatch {
        let peer = statement.peer.bytes
        return GossipBatch(
            members: [statement.record],
            claims: [
                MemberClaim(peer: peer, incarnation: 7, kind: 1, accuser: peer), accusation.claim,
            ])
    }
}
