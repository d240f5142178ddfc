import CyxCore
import CyxCrypto
import CyxObjects
import CyxTables

/// Makes rows in others' names for a member that has the network's key and no other but its own.
struct Forger: Sendable {
    /// A storage peer in whose name something is forged.
    struct Victim: Sendable {
        var key: VerifyingKey
        var store: StoreID
    }

    /// What is wrong with a forged receipt.
    enum ReceiptLie: CaseIterable {
        /// All is right but who signed it.
        case strangersKey
        /// A holder's, with another signature.
        case bentSignature
        /// A holder's, for another shard of the segment.
        case otherIndex
        /// A holder's, from another life of its store.
        case otherStore
        /// A holder's, of another segment.
        case otherSegment
        /// Written over a holder's own.
        case overwriting
    }

    /// What is wrong with a forged row of an account.
    enum RowLie: CaseIterable {
        case bentSignature
        /// The signature of what was there before, over something else.
        case staleSignature
        /// Signed by its owner, for another key.
        case otherKey
        /// Signed by whoever forged it.
        case otherAccount
    }

    let key: SigningKey
    let tables: TableService
    let forgeries: Forgeries

    // MARK: Holders

    /// Elements that name a holder for every shard of `segment`; `other` is another segment.
    func receipts(
        _ lie: ReceiptLie, of segment: SegmentID, other: SegmentID, _ victims: [Victim],
        _ generator: inout SeededGenerator
    ) async throws -> [MergeElement] {
        let source = lie == .otherSegment ? other : segment
        if lie == .otherSegment, other == segment { return [] }
        guard let core = try await tables.read(ObjectRows.core(segment)).value else { return [] }
        let row = try await tables.readMerge(ObjectRows.holders(source))
        let elements: [MergeElement]
        if lie == .strangersKey {
            let shape = try SegmentShape.verified(core, of: segment).shape
            elements = shape.roots.indices.compactMap { index in
                guard let victim = victims.randomElement(using: &generator) else { return nil }
                return claim(of: shape, index, by: victim, &generator)
            }
        } else {
            elements = try row.compactMap { try bent($0, lie, &generator) }
        }
        if lie != .overwriting { forgeries.note(elements, of: segment) }
        return elements
    }

    /// What `victim` would have signed.
    private func claim(
        of shape: SegmentShape, _ index: Int, by victim: Victim,
        _ generator: inout SeededGenerator
    ) -> MergeElement? {
        var receipt = StoreReceipt.signed(
            ShardID(segment: shape.id, index: index), root: shape.roots[index],
            fileBytes: shape.fileBytes, store: victim.store,
            nonce: generator.bytes(StoreReceipt.nonceBytes), by: key)
        receipt.peerKey = victim.key.bytes
        return receipt.claim.map {
            MergeElement(element: $0.entry.element, value: receipt.protobufBytes())
        }
    }

    /// A holder's own element, made to say something else.
    private func bent(
        _ genuine: MergeElement, _ lie: ReceiptLie, _ generator: inout SeededGenerator
    ) throws -> MergeElement? {
        var entry = try HolderEntry(element: genuine.element)
        var receipt = try StoreReceipt(protobuf: genuine.value ?? [])
        switch lie {
        case .strangersKey, .otherSegment: break
        case .bentSignature, .overwriting:
            receipt.signature[Int.random(in: 0..<32, using: &generator)] ^= 1
            guard let claim = receipt.claim else { return nil }
            if lie == .bentSignature { entry = claim.entry }
        case .otherIndex: entry.index = entry.index == 0 ? 1 : 0
        case .otherStore: entry.store = StoreID(Digest(generator.next(), 0, 0, 0))
        }
        return MergeElement(element: entry.element, value: receipt.protobufBytes())
    }

    /// Claims that look well until their signatures are checked, in the names of members and of
    /// nobody.
    func stuffing(
        _ count: Int, for segment: SegmentID, _ victims: [Victim],
        _ generator: inout SeededGenerator
    ) -> [MergeElement] {
        let elements = (0..<count).compactMap { number -> MergeElement? in
            let victim = number.isMultiple(of: 2) ? victims.randomElement(using: &generator) : nil
            let receipt = StoreReceipt(
                peerKey: victim?.key.bytes ?? generator.bytes(32), segment: segment.bytes,
                index: UInt32(number % 6), root: generator.bytes(32),
                store: (victim?.store.bytes) ?? generator.bytes(32),
                nonce: generator.bytes(StoreReceipt.nonceBytes),
                signature: generator.bytes(SigningKey.signatureSize), fileBytes: 1000)
            guard let claim = receipt.claim else { return nil }
            return MergeElement(
                element: claim.entry.element, value: receipt.protobufBytes())
        }
        forgeries.note(elements, of: segment)
        return elements
    }

    /// Has it that nobody holds anything of `segment`.
    func strike(_ segment: SegmentID) async throws {
        let key = ObjectRows.holders(segment)
        let entries = try await tables.readMerge(key)
        try await tables.merge(
            key, entries.map { MergeElement(element: $0.element, value: nil) })
    }

    // MARK: Registers

    /// Nothing needs a key to go away.
    func remove(_ key: RowKey) async throws {
        _ = try await tables.update(key) { $0.value == nil ? .abandon : .delete }
    }

    /// Puts back what the account signed for `key` once.
    func putBack(_ key: RowKey) async throws {
        guard let value = try await tables.read(key).value,
            let older = forgeries.older(than: value, at: key)
        else { return }
        _ = try await tables.update(key) { $0.value == nil ? .abandon : .set(older) }
    }

    /// Puts something else in the place of what an account has signed for `key`; `other` is another
    /// row of that table.
    func replace(
        _ key: RowKey, _ lie: RowLie, other: RowKey, _ generator: inout SeededGenerator
    ) async throws {
        guard let genuine = try await tables.read(key).value else { return }
        var forged = genuine
        switch lie {
        case .bentSignature: forged[forged.count - 1] ^= 1
        case .staleSignature: forged[forged.count / 2] ^= 1
        case .otherKey:
            guard other != key, let value = try await tables.read(other).value else { return }
            forged = value
        case .otherAccount:
            let random = generator.bytes(200)
            forged = Rows.sign(random, at: key, with: self.key)
            if key.table == .segments {
                var shape = try SegmentShape.verified(genuine, of: SegmentID(key.position)).shape
                shape = SegmentShape(
                    id: shape.id, code: shape.code, chunkLengths: shape.chunkLengths,
                    roots: shape.roots.reversed(), created: shape.created)
                forged = shape.signed(by: self.key)
            }
        }
        try await write(forged, at: key)
    }

    /// Has it that `victim` is banned.
    func slander(_ victim: Victim) async throws {
        let peer = victim.key.peerID
        var standing = Standing(peer: peer)
        standing.close(1, WindowTally(wrong: 1000))
        try await write(standing.row.protobufBytes(), at: AuditRows.standing(peer))
    }

    /// Writes what nobody may write there; over a register that holds something, unless it is a
    /// standing.
    private func write(_ forged: [UInt8], at key: RowKey) async throws {
        forgeries.note(forged, at: key)
        _ = try await tables.update(key) { state in
            state.value == nil && key.table != .standings ? .abandon : .set(forged)
        }
    }
}

extension SeededGenerator {
    fileprivate mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}
