import CyxCore
import CyxCrypto
import CyxTables
import Testing

/// Bytes from other peers and from disk: nothing traps, nothing changed is taken for the original.
@Suite struct DecodingTests {
    private static let key = SigningKey(seed: [UInt8](repeating: 7, count: 32))

    private static func certificate() -> ViewCertificate {
        let member = ViewMember(peer: key.verifyingKey.peerID, store: StoreID(.zero))
        let partition = Partition(holding: .zero, depth: 8)
        let old = View(
            id: ViewID(partition: partition, generation: 0, epoch: 0), members: [member],
            quorum: 1)
        var next = old
        next.id.epoch = 1
        let statement = ViewCertificate.statement(view: next, previous: old, round: 1)
        return ViewCertificate(
            view: next, previous: old, round: 1,
            signatures: [
                ViewSignature(key: key.verifyingKey.bytes, signature: key.sign(statement))
            ])
    }

    private static func row() -> MergeRow {
        var row = MergeRow()
        let writer = key.verifyingKey.peerID
        for number in 0..<3 as Range<UInt8> {
            row.put(
                [number],
                MergeEntry(
                    value: number == 1 ? nil : [number, number],
                    stamp: HybridStamp(value: UInt64(number)), writer: writer), twoPhase: false)
        }
        return row
    }

    /// Every truncation and many mutations of `bytes` through `decode`, which must not trap.
    private func attack(_ bytes: [UInt8], _ decode: ([UInt8]) throws -> Bool) {
        for count in 0..<bytes.count {
            #expect(throws: DecodingError.self) { _ = try decode(Array(bytes.prefix(count))) }
        }
        #expect(throws: DecodingError.self) { _ = try decode(bytes + [0]) }
        var random = SeededGenerator(seed: 9)
        for _ in 0..<2000 {
            var mutated = bytes
            let index = Int.random(in: 0..<bytes.count, using: &random)
            mutated[index] ^= UInt8.random(in: 1...255, using: &random)
            do {
                _ = try decode(mutated)
            } catch {
                #expect(error is DecodingError)
            }
        }
    }

    @Test func certificatesComeBackAndNoFlippedBitIsValid() throws {
        let certificate = Self.certificate()
        #expect(certificate.isValid(adminKey: nil))
        #expect(try ViewCertificate(bytes: certificate.bytes) == certificate)
        attack(certificate.bytes) { try ViewCertificate(bytes: $0).bytes == certificate.bytes }
        let bytes = certificate.bytes
        for index in bytes.indices {
            var mutated = bytes
            mutated[index] ^= 1
            do {
                #expect(
                    !(try ViewCertificate(bytes: mutated).isValid(adminKey: nil)), "byte \(index)")
            } catch {
                continue
            }
        }
    }

    /// A decision that a partition splits, as a certificate of the lower part.
    private static func split(members: [ViewMember]? = nil, after epoch: UInt32 = 1)
        -> ViewCertificate
    {
        let old = certificate().view
        var lower = old
        lower.id.epoch = epoch + 1
        if let partition = old.partition.children?.lower { lower.id.partition = partition }
        lower.members = members ?? old.members
        let statement = ViewCertificate.statement(view: lower, previous: old, round: 3)
        return ViewCertificate(
            view: lower, previous: old, round: 3,
            signatures: [
                ViewSignature(key: key.verifyingKey.bytes, signature: key.sign(statement))
            ])
    }

    @Test func oneDecisionProvesTheViewsOfBothPartsAndOfNothingElse() throws {
        let lower = Self.split()
        let upper = try #require(lower.sibling)
        #expect(lower.isSplit && upper.isSplit && upper.sibling == lower)
        #expect(lower.isValid(adminKey: nil) && upper.isValid(adminKey: nil))
        #expect(try ViewCertificate(bytes: upper.bytes) == upper)
        #expect(upper.view.partition == lower.view.partition.sibling)
        #expect(upper.view.members == lower.view.members)
        #expect(Self.certificate().sibling == nil)

        // Whoever is asked in has none of the rows; a part of another partition is no part.
        let stranger = ViewMember(peer: PeerID(.zero), store: StoreID(.zero))
        #expect(!Self.split(members: [stranger]).isValid(adminKey: nil))
        let member = try #require(lower.view.members.first)
        #expect(!Self.split(members: [member, stranger]).isValid(adminKey: nil))
        #expect(!Self.split(after: 2).isValid(adminKey: nil))
        var foreign = lower
        foreign.view.id.partition = try #require(Partition(depth: 9, index: 2))
        #expect(!foreign.isValid(adminKey: nil))
        var deeper = lower
        deeper.view.id.partition = try #require(Partition(depth: 10, index: 0))
        #expect(!deeper.isValid(adminKey: nil))
    }

    private static func recovery() -> ViewCertificate {
        let lost = certificate().view
        var next = lost
        next.id.generation = 7
        next.id.epoch = 0
        return RecoveryPlan(view: next, previous: lost, survivors: lost.members)
            .certificate(signedBy: key)
    }

    @Test func recoveriesComeBackAndOnlyTheAdminsWholeWordIsValid() throws {
        let certificate = Self.recovery()
        let admin = Self.key.verifyingKey
        #expect(certificate.isValid(adminKey: admin))
        #expect(!certificate.isValid(adminKey: nil))
        let other = SigningKey(seed: [UInt8](repeating: 8, count: 32)).verifyingKey
        #expect(!certificate.isValid(adminKey: other))
        #expect(try ViewCertificate(bytes: certificate.bytes) == certificate)
        attack(certificate.bytes) { try ViewCertificate(bytes: $0).bytes == certificate.bytes }
        let bytes = certificate.bytes
        for index in bytes.indices {
            var mutated = bytes
            mutated[index] ^= 1
            do {
                let isValid = try ViewCertificate(bytes: mutated).isValid(adminKey: admin)
                #expect(!isValid, "byte \(index)")
            } catch {
                continue
            }
        }
        var plan = RecoveryPlan(
            view: certificate.view, previous: certificate.previous, survivors: [])
        #expect(try RecoveryPlan(bytes: plan.bytes) == plan)
        attack(plan.bytes) { try RecoveryPlan(bytes: $0) == plan }
        // No generation comes twice.
        plan.view.id.generation = 0
        plan.view.id.epoch = 9
        #expect(!plan.certificate(signedBy: Self.key).isValid(adminKey: admin))
    }

    @Test func aFounderBeginsNoGeneration() {
        var view = Self.certificate().view
        view.id.epoch = 0
        #expect(ViewCertificate.genesis(view, key: Self.key).isValid(adminKey: nil))
        view.id.generation = 1
        #expect(!ViewCertificate.genesis(view, key: Self.key).isValid(adminKey: nil))
    }

    @Test func aQuorumIsOfDifferentMembers() {
        var certificate = Self.certificate()
        let other = ViewMember(peer: PeerID(Digest(1, 2, 3, 4)), store: StoreID(.zero))
        certificate.previous?.members.append(other)
        certificate.previous?.quorum = 2
        guard let previous = certificate.previous else { return }
        let statement = ViewCertificate.statement(
            view: certificate.view, previous: previous, round: 1)
        let signature = ViewSignature(
            key: Self.key.verifyingKey.bytes, signature: Self.key.sign(statement))
        certificate.signatures = [signature, signature]
        #expect(!certificate.isValid(adminKey: nil))
    }

    @Test func mergeRowsComeBack() throws {
        let row = Self.row()
        #expect(try MergeRow(bytes: row.bytes) == row)
        #expect(row.byteCount == row.bytes.count)
        attack(row.bytes) { try MergeRow(bytes: $0).isEmpty }
        // A count that would need gigabytes.
        #expect(throws: DecodingError.self) {
            _ = try MergeRow(bytes: [255, 255, 255, 255] + row.bytes)
        }
    }

    @Test func replicasComeBack() throws {
        var replica = Replica(certificate: Self.certificate(), isSynced: true)
        _ = replica.vote.precommit(replica.view, round: 4)
        replica.successor = Self.certificate()
        replica.frozen = Replica.Frozen(view: replica.view.id, isSource: true)
        replica.floor = RegisterVersion(
            generation: 0, epoch: 2, counter: 3, proposer: PeerID(.zero), nonce: 4)
        replica.changesFloor = 5
        #expect(try Replica(bytes: replica.bytes) == replica)
        attack(replica.bytes) { try Replica(bytes: $0).isSynced }
    }

    @Test func partsOfReplicasComeBack() throws {
        let split = Self.split()
        let whole = try #require(split.previous)
        var part = Replica(certificate: Self.certificate(), isSynced: true)
        #expect(part.isServing && !part.isSource(of: whole.id))
        part.partition = split.view.partition
        // Its view has ended, and what it had is there for those who follow.
        #expect(part.isReshaped && !part.isServing && part.isSource(of: whole.id))
        part.frozen = Replica.Frozen(view: whole.id, isSource: true)
        #expect(try Replica(bytes: part.bytes) == part)
        attack(part.bytes) { try Replica(bytes: $0).isSynced }
        var next = Replica(certificate: split, isSynced: true)
        next.frozen = Replica.Frozen(view: whole.id, isSource: true)
        #expect(!next.isReshaped && next.isSource(of: whole.id))
        #expect(try Replica(bytes: next.bytes) == next)
        part.partition = try #require(Partition(depth: 9, index: 3))
        #expect(throws: DecodingError.self) { _ = try Replica(bytes: part.bytes) }
    }

    @Test func registersAreReadWithoutTrapping() {
        let version = RegisterVersion(
            generation: 1, epoch: 2, counter: 3, proposer: PeerID(.zero), nonce: 4)
        var record = RegisterRecord().successor(value: nil, ballot: version)
        record = record.successor(value: nil, ballot: version)
        attack(record.bytes) { try RegisterRecord(bytes: $0).value == nil }
        attack(version.bytes) { try RegisterVersion(bytes: $0) == version }
    }

    @Test func requestsAreReadWithoutTrapping() {
        let request = ViewRequest(
            operation: .install, view: ViewReference(depth: 8, index: 9, generation: 1, epoch: 2),
            round: 3, certificate: Self.certificate().bytes)
        let bytes = TablesBatch(items: [request.protobufBytes()]).protobufBytes()
        var random = SeededGenerator(seed: 10)
        for _ in 0..<2000 {
            var mutated = bytes
            let index = Int.random(in: 0..<bytes.count, using: &random)
            mutated[index] = UInt8.random(in: 0...255, using: &random)
            do {
                for item in try TablesBatch(protobuf: mutated).items {
                    _ = try ViewRequest(protobuf: item)
                }
            } catch {
                continue
            }
        }
    }
}
