import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import Testing

@Suite struct WireTests {
    private static let network = NetworkID(Digest(5, 6, 7, 8))
    private static let key = SigningKey(seed: [UInt8](0..<32))

    private static func statement() -> MemberStatement {
        let info = MemberInfo(
            contact: PeerContact(
                peer: key.verifyingKey.peerID,
                address: SocketAddress(ipv4: (192, 0, 2, 7), port: 7700)),
            roles: [.storage, .relay], zone: "rack1", store: StoreID(Digest(1, 2, 3, 4)),
            allocatedBytes: 1 << 40, freeBytes: 1 << 39)
        return MemberStatement.sign(info, incarnation: 77, key: key, network: network)
    }

    private func verify(
        _ record: SignedMemberRecord, network: NetworkID = network
    ) throws(MemberStatementError) -> MemberStatement? {
        try MemberStatement.verify(record, network: network) { _, _ in true }
    }

    @Test func aRecordSurvivesTheWireAndKeepsItsBytes() throws {
        let statement = Self.statement()
        let bytes = statement.record.protobufBytes()
        let read = try verify(try SignedMemberRecord(protobuf: bytes))
        #expect(read == statement)
    }

    @Test func aRecordOfAnotherNetworkIsForged() {
        let statement = Self.statement()
        #expect(throws: MemberStatementError.forged(statement.peer)) {
            try verify(statement.record, network: NetworkID(.zero))
        }
    }

    @Test func everyFlippedBitOfARecordIsNoticed() {
        let record = Self.statement().record
        for index in record.record.indices {
            for bit in 0..<8 {
                var changed = record
                changed.record[index] ^= 1 << UInt8(bit)
                #expect(throws: MemberStatementError.self) { try verify(changed) }
            }
        }
        for index in record.signature.indices {
            var changed = record
            changed.signature[index] ^= 1
            #expect(throws: MemberStatementError.self) { try verify(changed) }
        }
        for count in record.record.indices {
            var changed = record
            changed.record = Array(record.record.prefix(count))
            #expect(throws: MemberStatementError.self) { try verify(changed) }
        }
    }

    @Test func fieldsOutOfRangeAreNamed() {
        let publicKey = Self.key.verifyingKey.bytes
        func check(_ record: MemberRecord, _ field: String) {
            let signed = SignedMemberRecord(record: record.protobufBytes(), signature: [])
            #expect(throws: MemberStatementError.invalid(field)) { try verify(signed) }
        }
        check(MemberRecord(publicKey: [1, 2]), "public key")
        check(MemberRecord(publicKey: publicKey, port: 70_000, incarnation: 1), "port")
        check(MemberRecord(publicKey: publicKey, port: 0, incarnation: 1), "port")
        let zone = String(repeating: "z", count: 65)
        check(MemberRecord(publicKey: publicKey, port: 1, zone: zone, incarnation: 1), "zone")
        check(MemberRecord(publicKey: publicKey, port: 1, store: [1], incarnation: 1), "store")
        check(MemberRecord(publicKey: publicKey, port: 1, incarnation: .max), "incarnation")
        check(MemberRecord(publicKey: publicKey, port: 1), "incarnation")
    }

    @Test func truncatedAndMutatedMessagesNeverTrap() {
        var generator = SeededGenerator(seed: 1)
        let statement = Self.statement()
        let peer = statement.peer.bytes
        let batch = GossipBatch(
            members: [statement.record],
            claims: [MemberClaim(peer: peer, incarnation: 7, kind: 1, accuser: peer)])
        let messages: [[UInt8]] = [
            ProbeRequest(target: peer, timeoutMilliseconds: 9, gossip: batch).protobufBytes(),
            ProbeResponse(reached: true, gossip: batch).protobufBytes(),
            SyncRequest(
                members: [MemberVersion(peer: peer, incarnation: 3, state: 2)],
                sender: statement.record
            ).protobufBytes(),
            SyncResponse(gossip: batch, wanted: [peer, peer]).protobufBytes(),
            FindNodeResponse(contacts: [ContactRecord(peer: peer, port: 7)]).protobufBytes(),
        ]
        for message in messages {
            for count in message.indices { read(Array(message.prefix(count))) }
            for _ in 0..<2000 {
                var changed = message
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let index = Int.random(in: 0..<changed.count, using: &generator)
                    changed[index] = UInt8.random(in: 0...255, using: &generator)
                }
                read(changed)
            }
        }
    }

    /// Reads `bytes` as every message; only that none of it traps counts.
    private func read(_ bytes: [UInt8]) {
        func attempt<Message: ProtobufMessage>(_ type: Message.Type) -> Message? {
            do { return try Message(protobuf: bytes) } catch { return nil }
        }
        if let message = attempt(ProbeRequest.self) { #expect(message.target.count <= bytes.count) }
        if let message = attempt(SyncRequest.self) {
            #expect(message.members.count <= bytes.count)
        }
        if let message = attempt(SyncResponse.self) { #expect(message.wanted.count <= bytes.count) }
        if let message = attempt(FindNodeResponse.self) {
            #expect(message.contacts.count <= bytes.count)
        }
        if let record = attempt(SignedMemberRecord.self) {
            do {
                // An intact record may sit in changed surroundings.
                #expect(try verify(record) == Self.statement())
            } catch {
                #expect("\(error)".count > 0)
            }
        }
    }
}
