internal import CyxCore

/// Partitions that split (A2): what this peer knows of them, and its own rows that lie in them.
///
/// A split is a decision on the view's successor like any other, by which two views follow one. No
/// row has to move for it: the members, their quorum and what each of them has accepted and promised
/// stay the same, and ballots of the new epoch are above all that was promised before. So whoever had
/// all rows of the partition has all of both parts and serves them at once, however large they are;
/// only who had not pulls them as after any change.
///
/// Whoever learns of a split, in whatever way, first cuts its replica in two. Either part then goes on
/// by itself: it follows the certificates of its own partition, and is there for the members of its
/// own next view, though of the other part nothing may be known here for long.
extension TableService {
    func partition(holding position: Digest) -> Partition {
        catalog.partition(holding: position)
    }

    /// The newest certificate that this peer knows of just that partition.
    func knownCertificate(_ partition: Partition) -> ViewCertificate? { catalog[partition] }

    /// Whether another view is known to have come after that one.
    func isOver(_ view: ViewID) -> Bool {
        catalog.hasSplit(view.partition)
            || catalog[view.partition]?.view.id.isNewer(than: view) ?? false
            || catalog.joined(after: view) != nil
    }

    /// Proof that a view is over, if it is as far as is known here: the newest view around `position`
    /// or, if that is not known, of another part of the partition.
    func successor(of view: ViewID, around position: Digest?) -> ViewCertificate? {
        guard isOver(view) else { return nil }
        if let position, view.partition.contains(position),
            let known = catalog[partition(holding: position)]
        {
            return known
        }
        return catalog[catalog.part(of: view.partition) ?? view.partition]
            ?? catalog.joined(after: view)
    }

    /// Remembers a valid certificate, and of a split both, unless what is known is newer. Replicas of
    /// partitions that have split by it are cut.
    func record(_ certificate: ViewCertificate) {
        let finding = catalog.take(certificate)
        guard finding != .outdated else { return }
        if let other = certificate.sibling { _ = catalog.take(other) }
        let partition = certificate.view.partition
        if finding == .joined { join(partition) }
        for ancestor in catalog.ancestors(of: partition) { cut(ancestor) }
        if catalog.isFull { catalog.shrink(to: replicas.mapValues(\.view.id)) }
    }

    // MARK: Replicas

    /// Replaces the replica of a partition that has split by one of each part, in one durable batch.
    private func cut(_ partition: Partition) {
        guard let whole = replicas[partition], catalog.hasSplit(partition) else { return }
        var writes = remove(partition)
        for part in catalog.parts(of: partition) where replicas[part] == nil {
            var replica = whole
            replica.partition = part
            replicas[part] = replica
            writes.append(.put(key: StorageKey.replica(part), value: replica.bytes))
        }
        rows.stage(writes)
        keepLooking()
    }

    /// Replaces the replicas of all parts of a partition of which a later generation has begun by one:
    /// what lies here goes to that, or is merged into it, as after any recovery (A5).
    private func join(_ whole: Partition) {
        let parts = replicas.keys.filter { whole.contains($0) }.sorted()
        let newest = parts.compactMap { replicas[$0] }.max {
            $1.view.id.isNewer(than: $0.view.id)
        }
        guard let newest else { return }
        var writes = parts.flatMap { remove($0) }
        var replica = Replica(certificate: newest.certificate, isSynced: false)
        replica.partition = whole
        replicas[whole] = replica
        writes.append(.put(key: StorageKey.replica(whole), value: replica.bytes))
        rows.stage(writes)
        keepLooking()
    }

    /// Removes a replica from memory; returns what does so from the disk.
    private func remove(_ partition: Partition) -> [KeyValueWrite] {
        replicas[partition] = nil
        comparisons.forget(partition)
        changes.forget(partition)
        changes.gathered[partition] = nil
        return [.delete(key: StorageKey.replica(partition))]
    }

    /// The partitions within one of which something lies here, itself perhaps.
    func heldParts(of partition: Partition) -> [Partition] {
        guard catalog.hasSplit(partition) else {
            return replicas[partition] == nil ? [] : [partition]
        }
        return replicas.keys.filter { partition.contains($0) }.sorted()
    }

    /// Whether something lies here of a partition, of a part of it or of all around it.
    func holdsAny(of partition: Partition) -> Bool {
        replicas[partition] != nil || !heldParts(of: partition).isEmpty
            || catalog.ancestors(of: partition).contains { replicas[$0] != nil }
    }

    /// Sets out from what the disk says: which partitions there are, and which have split.
    func setOut(_ held: [Replica], left: [ViewCertificate]) {
        // In the order in which they were made: a recovery may have made one again of what had split.
        let known = (held.map(\.newest) + left).sorted {
            $1.view.id.isNewer(than: $0.view.id)
        }
        for certificate in known { record(certificate) }
        for certificate in left { catalog.keepForGood(certificate.view.partition) }
        for replica in held {
            replicas[replica.partition] = replica
            // Of what the partition of its view has split into nothing else may be known.
            let view = replica.newest.view.id
            if view.partition != replica.partition, view.partition.contains(replica.partition) {
                catalog.note(replica.partition, of: view)
            }
        }
        for replica in held { cut(replica.partition) }
    }

    // MARK: Parts

    /// Finds the view of a part of a partition that has split, and enters it or steps back.
    func seekView(ofPart replica: Replica, now: Instant) {
        let partition = replica.partition
        if catalog[partition] != nil {
            enterKnownView(partition)
            return
        }
        changes.lookUntil = max(changes.lookUntil, now + configuration.timings.tick * 2)
        guard now >= changes.seekAt[partition] ?? now else { return }
        changes.seekAt[partition] = now + configuration.timings.reminder
        let view = replica.newest.view
        start { [weak self] in await self?.ask(about: partition, alsoOf: view) }
    }
}
