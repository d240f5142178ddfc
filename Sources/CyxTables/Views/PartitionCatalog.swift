package import CyxCore

/// Which partitions there are as far as a peer knows, and the newest view of each (a machine).
///
/// Partitions only ever split (A2), so knowing any view of a deeper partition is knowing that all
/// around it have. What a position lies in is thus found from its genesis partition downwards, though
/// of the partition that is found there nothing else may be known yet.
package struct PartitionCatalog: Sendable {
    /// Splits that are remembered, each with a certificate or two of 2 KiB. Once there are more, all
    /// that this peer has no part in are forgotten and found again when they are needed.
    static let splitsKept = 1 << 14

    private struct Split {
        /// One of the partitions that it consists of since.
        var part: Partition
        /// The latest generation of a view of such a partition.
        var generation: UInt32
    }

    private let genesisDepth: UInt8
    private let depthMax: UInt8
    private var certificates: [Partition: ViewCertificate] = [:]
    /// Partitions that have split.
    private var splits: [Partition: Split] = [:]
    /// Partitions that this peer has left: it must not become a member of an earlier view anew.
    private var left: Set<Partition> = []

    /// `depthMax`: bits of the longest prefix that a partition may have, so that nobody has a peer
    /// remember ever smaller ones.
    package init(genesisDepth: UInt8, depthMax: UInt8) {
        precondition(genesisDepth <= depthMax && depthMax <= Partition.depthLimit, "few bits")
        self.genesisDepth = genesisDepth
        self.depthMax = depthMax
    }

    package var isEmpty: Bool { certificates.isEmpty }

    /// The newest certificate known of just that partition.
    package subscript(partition: Partition) -> ViewCertificate? { certificates[partition] }

    /// All newest certificates, in key order.
    package var newest: [ViewCertificate] {
        certificates.values.sorted { $0.view.partition < $1.view.partition }
    }

    // MARK: Splits

    /// Whether a network with that genesis has such partitions.
    package func mayExist(_ partition: Partition) -> Bool {
        (genesisDepth...depthMax).contains(partition.depth)
    }

    /// Whether a partition is one no more.
    package func hasSplit(_ partition: Partition) -> Bool { splits[partition] != nil }

    /// The partition in which a position lies.
    package func partition(holding position: Digest) -> Partition {
        var partition = Partition(holding: position, depth: genesisDepth)
        while splits[partition] != nil {
            partition = Partition(holding: position, depth: partition.depth + 1)
        }
        return partition
    }

    /// The partitions that one consists of by now: itself if it has not split.
    package func parts(of partition: Partition) -> [Partition] {
        guard splits[partition] != nil, let children = partition.children else {
            return [partition]
        }
        return parts(of: children.lower) + parts(of: children.upper)
    }

    /// One of the partitions that a split one consists of, of which more is known than that.
    package func part(of partition: Partition) -> Partition? {
        var part = splits[partition]?.part
        while let next = part.flatMap({ splits[$0]?.part }) { part = next }
        return part
    }

    /// All partitions around another, down from genesis.
    package func ancestors(of partition: Partition) -> [Partition] {
        (min(genesisDepth, partition.depth)..<partition.depth).map {
            Partition(holding: partition.lowerBound, depth: $0)
        }
    }

    /// Of a later generation than `view`, a view of all around its partition: what had split was
    /// recovered as one.
    package func joined(after view: ViewID) -> ViewCertificate? {
        let whole = partition(holding: view.partition.lowerBound)
        guard whole.depth < view.partition.depth, let known = certificates[whole],
            known.view.id.generation > view.generation
        else { return nil }
        return known
    }

    // MARK: Learning

    package enum Finding: Hashable, Sendable {
        /// What was known is as new or newer.
        case outdated
        /// The newest of its partition.
        case newer
        /// The partition had split, but a later generation of it has begun, by the word of who knew of
        /// no split (A5).
        case joined
    }

    /// Takes in a valid certificate. Of two views around one position the later generation counts,
    /// whichever partitions they are of.
    package mutating func take(_ certificate: ViewCertificate) -> Finding {
        let view = certificate.view.id
        let partition = view.partition
        func isOutdatedBy(_ other: Partition) -> Bool {
            certificates[other].map { $0.view.id.generation > view.generation } ?? false
        }
        if let known = certificates[partition], !view.isNewer(than: known.view.id) {
            return .outdated
        }
        if ancestors(of: partition).contains(where: isOutdatedBy) { return .outdated }
        let split = splits[partition]
        if let split, split.generation >= view.generation { return .outdated }
        if split != nil { join(partition) }
        certificates[partition] = certificate
        note(view, isProven: true)
        return split == nil ? .newer : .joined
    }

    private mutating func join(_ whole: Partition) {
        splits = splits.filter { !whole.contains($0.key) }
        certificates = certificates.filter { !whole.contains($0.key) }
        left = left.filter { !whole.contains($0) }
    }

    /// Notes that there is such a partition, and so all around it have split. `view`: one of its, or
    /// of one around it.
    package mutating func note(_ partition: Partition, of view: ViewID) {
        var view = view
        view.partition = partition
        note(view, isProven: false)
    }

    private mutating func note(_ view: ViewID, isProven: Bool) {
        for ancestor in ancestors(of: view.partition) {
            let known = splits[ancestor]
            splits[ancestor] = Split(
                part: isProven ? view.partition : known?.part ?? view.partition,
                generation: max(view.generation, known?.generation ?? 0))
            certificates[ancestor] = nil
            left.remove(ancestor)
        }
    }

    // MARK: Forgetting

    /// Keeps what is known of a partition that this peer has left, whatever else it forgets.
    package mutating func keepForGood(_ partition: Partition) {
        if certificates[partition] != nil { left.insert(partition) }
    }

    /// Whether as much is known as may be remembered.
    package var isFull: Bool { splits.count > PartitionCatalog.splitsKept }

    /// Forgets all splits but those of partitions that are `held`, in the views named, or were left.
    package mutating func shrink(to held: [Partition: ViewID]) {
        certificates = certificates.filter {
            $0.key.depth == genesisDepth || left.contains($0.key) || held[$0.key] != nil
        }
        splits = [:]
        for certificate in newest { note(certificate.view.id, isProven: true) }
        for partition in held.keys.sorted() {
            if let view = held[partition] { note(partition, of: view) }
        }
    }
}
