package import CyxCore
internal import CyxCrypto

/// A member of a view: a peer during one life of its store, so that a wiped store counts as a
/// dead member (A5).
package struct ViewMember: Hashable, Sendable {
    package var peer: PeerID
    package var store: StoreID

    package init(peer: PeerID, store: StoreID) {
        self.peer = peer
        self.store = store
    }
}

/// Who replicates a partition during one epoch.
package struct View: Hashable, Sendable {
    package static let memberLimit = 32

    package var id: ViewID
    /// In custodian rank order: rank 0 first.
    package var members: [ViewMember]
    package var quorum: Int

    package init(id: ViewID, members: [ViewMember], quorum: Int) {
        self.id = id
        self.members = members
        self.quorum = quorum
    }

    package var partition: Partition { id.partition }
    package var peers: [PeerID] { members.map(\.peer) }
    /// How many members may be lost, or replaced at once (A3).
    package var tolerance: Int { members.count - quorum }

    /// How many precommits of one round decide that `next` follows this view.
    func precommitsNeeded(for next: View, without broken: Set<TableRule>) -> Int {
        if next.partition != partition, broken.contains(.splitsByQuorum) { return 1 }
        return broken.contains(.decidesByQuorum) ? max(1, tolerance) : quorum
    }

    /// Whether this view may come right after `previous`: of the same partition, or else of one of
    /// the two that it splits into, with the same members (A2).
    func follows(_ previous: View) -> Bool {
        guard id.generation == previous.id.generation, id.epoch == previous.id.epoch &+ 1 else {
            return false
        }
        return partition == previous.partition
            || partition.parent == previous.partition && members == previous.members
                && quorum == previous.quorum
    }

    package func rank(of peer: PeerID) -> Int? { members.firstIndex { $0.peer == peer } }
    package func contains(_ peer: PeerID) -> Bool { rank(of: peer) != nil }
    package func contains(_ member: ViewMember) -> Bool { members.contains(member) }

    /// Canonical bytes: what is hashed, signed and stored.
    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 32 + members.count * 64)
        write(to: &writer)
        return writer.bytes
    }

    package var digest: Digest { BLAKE3.hash(bytes) }

    func write(to writer: inout ByteWriter) {
        writer.write(id.partition.depth)
        writer.write(id.partition.index)
        writer.write(id.generation)
        writer.write(id.epoch)
        writer.write(UInt8(quorum))
        writer.write(UInt8(members.count))
        for member in members {
            writer.write(member.peer.digest)
            writer.write(member.store.digest)
        }
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        try self.init(from: &reader)
        try reader.finish()
    }

    init(from reader: inout ByteReader) throws(DecodingError) {
        let depth = try reader.readUInt8()
        guard let partition = Partition(depth: depth, index: try reader.readUInt64()) else {
            throw .outOfRange(field: "partition")
        }
        id = ViewID(
            partition: partition, generation: try reader.readUInt32(),
            epoch: try reader.readUInt32())
        quorum = Int(try reader.readUInt8())
        let count = Int(try reader.readUInt8())
        guard (1...View.memberLimit).contains(count), count / 2 + 1 <= quorum, quorum <= count
        else { throw .outOfRange(field: "quorum") }
        members = []
        for _ in 0..<count {
            let peer = PeerID(try reader.readDigest())
            members.append(ViewMember(peer: peer, store: StoreID(try reader.readDigest())))
        }
        guard Set(peers).count == count else { throw .outOfRange(field: "members") }
    }
}

/// How many members a view has and how many of them decide (A1, private networks and devnet).
package struct ViewSize: Hashable, Sendable {
    package var members: Int
    package var quorum: Int

    /// The size that a network of `peers` storing peers wants.
    package static func target(forPeers peers: Int) -> ViewSize {
        switch peers {
        case ..<3: ViewSize(members: 1)
        case 3...4: ViewSize(members: 3)
        case 5...8: ViewSize(members: 5)
        default: ViewSize(members: 9)
        }
    }

    package init(members: Int) {
        self.members = members
        quorum = members / 2 + 1
    }

    package var tolerance: Int { members - quorum }
}
