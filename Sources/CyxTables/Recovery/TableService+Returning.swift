internal import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Coming back from a generation that was given up (A5).
///
/// Its members step back as soon as they hear of the newer one, and serve nothing of their own. If a
/// quorum of them comes back at once, whoever asks all members hears from the survivors that it is
/// lost. Only where none of these answers in time do the returners serve each other, until somebody
/// tells them: no vote of theirs could, and what they acknowledge meanwhile is handed over like the
/// rest.
///
/// A member that missed the recovery may have rows that nobody else has. They are not lost: it gives
/// them to the members of the newer view as another member would when comparing rows, and forgets
/// them only when a quorum has each. A register that has been promised to the newer generation
/// refuses: whatever was decided since did not see the old value, and stands.
extension TableService {
    /// Rows under way at once.
    private static let handedOverAtOnce = 32

    /// Looks further for a newer view while too few members of the known one can be reached: these
    /// may be all that does not know it.
    func seekNews(_ replica: Replica, _ planner: ViewPlanner, now: Instant) {
        let members = planner.snapshot.members
        let reachable = replica.newest.view.peers.count {
            $0 == localPeer || members[$0]?.isReachable == true
        }
        let partition = replica.partition
        guard reachable < replica.newest.view.quorum else {
            changes.seekAt[partition] = nil
            return
        }
        changes.lookUntil = max(changes.lookUntil, now + configuration.timings.tick * 2)
        guard now >= changes.seekAt[partition] ?? now else { return }
        changes.seekAt[partition] = now + configuration.timings.reminder
        start { [weak self] in await self?.ask(about: partition) }
    }

    /// Gives rows of a lost generation to the view after it, unless they were merged into that;
    /// false if they still have to lie here.
    func handOver(_ replica: Replica) async -> Bool {
        let own = ViewMember(peer: localPeer, store: storeID)
        guard let successor = replica.successor,
            successor.view.id.generation > replica.view.id.generation, !successor.merges(own)
        else { return true }
        let partition = replica.partition
        guard changes.handingOver.insert(partition).inserted else { return false }
        defer { changes.handingOver.remove(partition) }
        let range = StorageKey.rows(of: partition)
        var from = range.from
        var handed = Handed()
        do throws(StoreError) {
            while true {
                let page = try await rows.scan(
                    from: from, to: range.to, limit: TableMessageLimits.pageRows)
                guard await handOver(page, of: replica.certificate, successor.view, &handed) else {
                    logger.warning(
                        "rows of a lost generation stay here until its successor takes them",
                        [("partition", "\(partition)")])
                    return false
                }
                guard page.count == TableMessageLimits.pageRows, let last = page.last else { break }
                from = StorageKey.next(after: last.key)
            }
        } catch {
            logger.warning("row store failed", [("error", "\(error)")])
            return false
        }
        logger.warning(
            "came back from a lost generation and handed its rows over",
            [
                ("partition", "\(partition)"), ("rows", "\(handed.taken)"),
                ("changed_since", "\(handed.refused)"),
            ])
        return true
    }

    private struct Handed {
        var taken = 0
        /// Registers that the newer generation has promised or changed.
        var refused = 0
    }

    private func handOver(
        _ page: [(key: [UInt8], value: [UInt8])], of lost: ViewCertificate, _ view: View,
        _ handed: inout Handed
    ) async -> Bool {
        await withTaskGroup(of: Bool?.self) { group in
            var isWhole = true
            func note(_ isTaken: Bool?) {
                switch isTaken {
                case true?: handed.taken += 1
                case false?: handed.refused += 1
                case nil: isWhole = false
                }
            }
            for (index, entry) in page.enumerated() {
                if index >= TableService.handedOverAtOnce, let result = await group.next() {
                    note(result)
                }
                guard isWhole else { break }
                group.addTask { await self.handOver(entry.key, entry.value, of: lost, view) }
            }
            for await result in group { note(result) }
            return isWhole
        }
    }

    /// Whether a quorum took a row; nil: too few answered.
    private func handOver(
        _ key: [UInt8], _ value: [UInt8], of lost: ViewCertificate, _ view: View
    ) async -> Bool? {
        let row: StoredRow
        do {
            row = try RowStore.decode(key, value)
        } catch {
            // Unreadable here, and therefore nobody's loss but this disk's.
            return false
        }
        if case .register(let record) = row.content, record.accepted == .none { return true }
        let request = RowRequest(
            view: ViewReference(view.id), operation: .mend, key: key, row: row.contentBytes,
            certificate: lost.bytes)
        func isConclusive(_ reply: RowReply) -> Bool {
            [.done, .refused, .rejected, .tooLarge].contains(reply.status)
        }
        let call = await ask(
            reachable(view), .tableRows, request.protobufBytes(), as: RowReply.self
        ) { answers in
            answers.count { isConclusive($0.reply) } >= view.quorum ? .finish : .goOn
        }
        let answers = call.answers.filter { isConclusive($0.reply) }
        guard answers.count >= view.quorum else { return nil }
        return answers.allSatisfy { $0.reply.status == .done }
    }
}
