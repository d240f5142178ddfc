package import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Anti-entropy: members of a view compare their rows and give each other what one of them missed,
/// so that a write that a quorum acknowledged ends on all of them (Demers et al. 1987, §1.3), and
/// the next losses are counted from there.
extension TableService {
    /// Partitions that this peer compares at once.
    private static let comparedAtOnce = 16
    /// How often a range is divided: 16^12 rows in one partition are more than there are.
    private static let depthLimit = 12

    func compareForever() async {
        do {
            while true {
                try await environment.sleep(for: configuration.timings.comparison)
                await compareDue()
            }
        } catch {
            logger.debug("stopped comparing")
        }
    }

    private func compareDue() async {
        guard !isSuspended else { return }
        let snapshot = membership.snapshot
        let now = environment.now()
        let due = replicas.keys.sorted().compactMap { partition -> (View, ViewMember)? in
            guard let replica = replicas[partition], replica.isAtRest else { return nil }
            let member = comparisons.due(
                replica.view, by: localPeer,
                reachable: { snapshot.members[$0.peer]?.isReachable == true },
                pause: configuration.timings.comparison, now: now)
            return member.map { (replica.view, $0) }
        }
        await withTaskGroup(of: Void.self) { group in
            for (index, (view, member)) in due.enumerated() {
                if index >= TableService.comparedAtOnce { await group.next() }
                group.addTask { await self.compare(view, with: member) }
            }
        }
    }

    private enum Finding {
        case same
        case different
        case noAnswer
    }

    /// Compares a whole partition with another member, and mends what differs on either side.
    private func compare(_ view: View, with member: ViewMember) async {
        let version = comparisons.version(view.partition)
        let range = StorageKey.rows(of: view.partition)
        do throws(StoreError) {
            let known = try await fingerprint(of: view.partition).digest
            let finding = try await compare(
                view, with: member.peer, from: range.from, to: range.to, known: known, depth: 0)
            comparisons.noteComparison(
                of: view.partition, with: member, at: version, isSame: finding == .same,
                now: environment.now())
            environment.metrics.counter(
                "cyxcloud_table_comparisons_total", [("result", "\(finding)")]
            ).add()
        } catch {
            logger.warning("row store failed", [("error", "\(error)")])
        }
    }

    /// The fingerprint of all rows here, from memory if it is known.
    func fingerprint(of partition: Partition) async throws(StoreError) -> RowFingerprint {
        comparisons.noteFailures(rows.failures)
        if let known = comparisons.fingerprint(partition) { return known }
        let version = comparisons.version(partition)
        let range = StorageKey.rows(of: partition)
        let summary = try await summary(from: range.from, to: range.to)
        comparisons.keep(
            summary.total, bytes: summary.byteCount, of: partition, at: version,
            now: environment.now())
        return summary.total
    }

    /// The hash of all rows that this peer has of the partition around `position`: once nothing is
    /// written any more, the same at all members of its view.
    package func rowsDigest(around position: Digest) async throws(StoreError) -> Digest {
        try await fingerprint(of: partition(holding: position)).digest
    }

    /// Compares one range; `known`: the digest of the fingerprint of what is here, nil if unknown.
    private func compare(
        _ view: View, with peer: PeerID, from start: [UInt8], to end: [UInt8], known: Digest?,
        depth: Int
    ) async throws(StoreError) -> Finding {
        var from = start
        var known = known
        while true {
            let request = RowRequest(
                view: ViewReference(view.id), operation: .compare, key: from,
                row: known?.bytes ?? [], scanEnd: end)
            guard let reply = await exchange(request, with: peer) else { return .noAnswer }
            if reply.status == .same { return from == start ? .same : .different }
            guard reply.status == .done else { return .noAnswer }
            let next = reply.row.isEmpty ? end : reply.row
            guard from.lexicographicallyPrecedes(next), !end.lexicographicallyPrecedes(next) else {
                return .noAnswer
            }
            if reply.parts.isEmpty {
                let theirs = reply.scanned.map { RowSummary(key: $0.key, version: $0.row) }
                try await mend(view, with: peer, theirs, from: from, to: next)
            } else if depth < TableService.depthLimit {
                try await compareParts(
                    reply.parts, view, with: peer, from: from, to: next, depth: depth)
            }
            guard next != end else { return .different }
            (from, known) = (next, nil)
        }
    }

    private func compareParts(
        _ parts: [RangePart], _ view: View, with peer: PeerID, from: [UInt8], to end: [UInt8],
        depth: Int
    ) async throws(StoreError) {
        // Parts that do not follow one another within the range are no answer.
        let bounds = parts.map(\.from) + [end]
        guard bounds.first == from, parts.count <= RangeSummary.parts,
            zip(bounds, bounds.dropFirst()).allSatisfy({ $0.lexicographicallyPrecedes($1) })
        else { return }
        for (index, part) in parts.enumerated() {
            let here = try await summary(from: part.from, to: bounds[index + 1]).total.digest
            guard here.bytes != part.fingerprint else { continue }
            _ = try await compare(
                view, with: peer, from: part.from, to: bounds[index + 1], known: here,
                depth: depth + 1)
        }
    }

    /// One request to one member, this peer among them; nil without an answer.
    func exchange(_ request: RowRequest, with peer: PeerID) async -> RowReply? {
        let call = await ask(
            [peer], .tableRows, request.protobufBytes(), as: RowReply.self, urgency: .background
        ) { _ in .goOn }
        return call.answers.first?.reply
    }
}
