import CyxCore
import CyxCrypto
import CyxObjects
import CyxOverlay
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

@Suite struct ChunkerTests {
    @Test(arguments: [1, 7, 100, 1000])
    func piecesOfAnySizeBecomeTheSameChunks(piece: Int) {
        let bytes = noise(1050)
        var source = bytes[...]
        var chunker = Chunker(chunkBytes: 100)
        var chunks: [[UInt8]] = []
        var last = 0
        while true {
            while chunker.needsInput {
                if source.isEmpty {
                    chunker.end()
                } else {
                    chunker.append(Array(source.prefix(piece)))
                    source = source.dropFirst(piece)
                }
            }
            guard let chunk = chunker.next() else { break }
            chunks.append(chunk.bytes)
            if chunk.isLast { last += 1 }
        }
        #expect(chunks.map(\.count) == Array(repeating: 100, count: 10) + [50])
        #expect(chunks.flatMap { $0 } == bytes)
        #expect(last == 1)
    }

    @Test func aWholeNumberOfChunksKnowsItsLast() {
        var chunker = Chunker(chunkBytes: 4)
        chunker.append([1, 2, 3, 4])
        #expect(chunker.needsInput)
        chunker.end()
        let chunk = chunker.next()
        #expect(chunk?.isLast == true)
        #expect(chunker.next() == nil)
    }

    @Test func chunkSizesFollowTheObject() {
        #expect(Chunker.chunkBytes(forObjectOf: nil) == 1 << 20)
        #expect(Chunker.chunkBytes(forObjectOf: 1 << 30) == 1 << 20)
        #expect(Chunker.chunkBytes(forObjectOf: 1 << 30 + 1) == 4 << 20)
    }
}

@Suite struct PlacementTests {
    private func members(_ zones: [String]) -> [Member] {
        zones.enumerated().map { index, zone in
            let peer = PeerID(BLAKE3.hash([UInt8(index)]))
            return Member(
                info: MemberInfo(
                    contact: PeerContact(
                        peer: peer, address: SocketAddress(ipv4: (127, 0, 0, 1), port: 1)),
                    roles: .storage, zone: zone, store: StoreID(peer.digest),
                    allocatedBytes: 1 << 40, freeBytes: 1 << 40),
                state: .alive, since: Instant(nanoseconds: 0))
        }
    }

    @Test func noZoneHoldsMoreThanItsShare() throws {
        let code = Redundancy(dataShards: 10, parityShards: 4)
        let candidates = members((0..<24).map { "z\($0 % 4)" })
        let zones = Dictionary(uniqueKeysWithValues: candidates.map { ($0.peer, $0.info.zone) })
        for seed in 0..<50 {
            let segment = SegmentID(BLAKE3.hash([UInt8(seed)]))
            let placement = try #require(
                Placement.choose(14, of: candidates, for: segment, code: code))
            #expect(Set(placement.holders).count == 14)
            let counts = Dictionary(grouping: placement.holders) { zones[$0] }
            #expect(counts.values.allSatisfy { $0.count <= 4 })
        }
    }

    @Test func oneZoneIsBetterThanNone() throws {
        let code = Redundancy(dataShards: 4, parityShards: 2)
        let placement = try #require(
            Placement.choose(
                6, of: members(Array(repeating: "", count: 6)), for: SegmentID(.zero), code: code))
        #expect(placement.holders.count == 6)
        #expect(
            Placement.choose(7, of: members(["a"]), for: SegmentID(.zero), code: code) == nil)
    }

    @Test func theLadderIsTheOneInTheArchitecture() {
        let steps = (0...20).map { Redundancy.widest(for: $0)?.description }
        #expect(steps[0] == nil)
        #expect(steps[1...2].allSatisfy { $0 == "rs(1,0)" })
        #expect(steps[3...5].allSatisfy { $0 == "rs(1,2)" })
        #expect(steps[6...13].allSatisfy { $0 == "rs(4,2)" })
        #expect(steps[14...].allSatisfy { $0 == "rs(10,4)" })
        #expect(Redundancy(dataShards: 10, parityShards: 4).acknowledged == 12)
    }
}

@Suite struct DecoderTests {
    private let signing = SigningKey(seed: [UInt8](repeating: 3, count: 32))

    private func mutations(_ bytes: [UInt8], _ body: ([UInt8]) -> Void) {
        for count in 0..<bytes.count { body(Array(bytes.prefix(count))) }
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<2000 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<mutated.count, using: &generator)
                mutated[place] = UInt8.random(in: 0...255, using: &generator)
            }
            body(mutated)
        }
    }

    private var shape: SegmentShape {
        SegmentShape(
            id: .owned(by: signing.verifyingKey.accountID, random: BLAKE3.hash([1])),
            code: Redundancy(dataShards: 4, parityShards: 2),
            chunkLengths: [1000, 17], roots: (0..<6).map { BLAKE3.hash([UInt8($0)]) },
            created: WallTime(milliseconds: 5))
    }

    @Test func aSignedCoreSurvivesOnlyUnchanged() throws {
        let shape = shape
        let signed = shape.signed(by: signing)
        #expect(try SegmentShape.verified(signed, of: shape.id).shape == shape)
        #expect(throws: RowError.self) {
            try SegmentShape.verified(signed, of: SegmentID(BLAKE3.hash([2])))
        }
        mutations(signed) { bytes in
            guard bytes != signed, let result = try? SegmentShape.verified(bytes, of: shape.id)
            else { return }
            #expect(result.shape == shape)
        }
    }

    @Test func coresFromOutsideNeverTrap() throws {
        let payload = shape.message.protobufBytes()
        mutations(payload) { bytes in
            guard let core = try? SegmentCore(protobuf: bytes),
                let shape = try? SegmentShape(core)
            else { return }
            #expect(shape.fileBytes <= 80 << 20)
        }
    }

    @Test func holderEntriesAndRowsNeverTrap() throws {
        let entry = HolderEntry(
            index: 3, peer: PeerID(BLAKE3.hash([1])), store: StoreID(BLAKE3.hash([2])),
            receiptHash: [UInt8](repeating: 7, count: 16))
        #expect(try HolderEntry(element: entry.element) == entry)
        mutations(entry.element) { _ = try? HolderEntry(element: $0) }
        let key = ObjectRows.core(shape.id)
        let signed = shape.signed(by: signing)
        #expect(ObjectRowRules.validate(key, nil, signed) == nil)
        mutations(signed) { _ = ObjectRowRules.validate(key, nil, $0) }
        mutations(signed) {
            _ = ObjectRowRules.validate(ObjectRows.holders(shape.id), entry.element, $0)
        }
        #expect(ObjectRowRules.validate(key, nil, []) != nil)
    }

    @Test func manifestsLayoutsAndRequestsNeverTrap() {
        let manifest = ContentManifest(
            chunks: [ManifestChunk(key: shape.roots[0].bytes, length: 984)], size: 984)
        mutations(manifest.protobufBytes()) { _ = try? ContentManifest(protobuf: $0) }
        let layout = LayoutRow(
            generation: 1,
            segments: [
                PlacedSegment(core: shape.message, holders: [UInt8](repeating: 1, count: 192))
            ])
        mutations(layout.protobufBytes()) { bytes in
            guard let row = try? LayoutRow(protobuf: bytes) else { return }
            for segment in row.segments { _ = segment.core.map { try? SegmentShape($0) } }
        }
    }
}

/// Whose row may lie where.
@Suite struct OwnedPositionTests {
    @Test func aCoreOfAnotherAccountIsRefusedEverywhere() throws {
        let owner = SigningKey(seed: [UInt8](repeating: 3, count: 32))
        let other = SigningKey(seed: [UInt8](repeating: 4, count: 32))
        let shape = SegmentShape(
            id: .owned(by: owner.verifyingKey.accountID, random: BLAKE3.hash([1])),
            code: Redundancy(dataShards: 1, parityShards: 0), chunkLengths: [17],
            roots: [BLAKE3.hash([2])], created: WallTime(milliseconds: 5))
        let key = ObjectRows.core(shape.id)
        #expect(ObjectRowRules.validate(key, nil, shape.signed(by: owner)) == nil)
        #expect(ObjectRowRules.validate(key, nil, shape.signed(by: other)) != nil)
        #expect(throws: RowError.foreign) {
            try SegmentShape.verified(shape.signed(by: other), of: shape.id)
        }
    }

    /// Heads and all that lies beside them: a stranger has a key, and a signature for the place.
    @Test func anAccountCannotWriteOverAnothersHead() throws {
        let world = try ObjectWorld(storers: 3)
        try world.createBucket()
        _ = try world.put("key", [1, 2, 3])
        let heads = world.shared.state.withLock { $0.registers.keys.filter { $0.table == .heads } }
        let head = try #require(heads.first)
        let stranger = SigningKey(seed: [UInt8](repeating: 4, count: 32))
        let forged = Rows.sign([4, 5], at: head, with: stranger)
        #expect(ObjectRowRules.validate(head, nil, forged) == "another account's row")
        let row = try #require(world.shared.state.withLock { $0.registers[head]?.value })
        #expect(ObjectRowRules.validate(head, nil, row) == nil)
    }
}
