internal import CyxCore
internal import CyxTransport

/// Learners (A3): who is to join a view copies its state from a member while the view still serves.
/// Once the view is sealed, most pages are the same at all and only hashes travel: the pause of a
/// view change does not grow with what the partition holds.
///
/// What was learnt is a head start and no more. It counts as nobody's state, and the pull from a
/// quorum of sealed members follows as for any other: rows only ever grow towards what their members
/// accepted, so that a row learnt early is one that a further source would have given.
extension TableService {
    /// What candidates are to learn of `view`: its proof, or nothing where there is little to learn.
    func lesson(_ view: View) async -> [UInt8] {
        guard let replica = replicas[view.partition], replica.view == view else { return [] }
        let range = StorageKey.rows(of: view.partition)
        do throws(StoreError) {
            try await rows.settle()
            let page = try await pageHere(from: range.from, to: range.to)
            let isLittle =
                page.end == range.to && page.rowCount < configuration.lessonRowsMin
            return isLittle ? [] : replica.certificate.bytes
        } catch {
            logger.warning("row store failed", [("error", "\(error)")])
            return []
        }
    }

    /// Whether learners have had their time: then they join without knowing all, and the view is
    /// sealed for longer. A view that has lost members must not wait for a peer that learns forever.
    func isTiredOfWaiting(_ view: View) -> Bool {
        let now = environment.now()
        let since = changes.waitingForLearners[view.id] ?? now
        // One entry a partition: those of views that have ended are not asked for again.
        changes.waitingForLearners = changes.waitingForLearners.filter {
            $0.key.partition != view.partition
        }
        changes.waitingForLearners[view.id] = since
        return now >= since + learningPatience
    }

    private var learningPatience: Duration {
        configuration.timings.reminder * ViewChanges.learnReminders
    }

    /// Says whether this peer can join, and begins to learn what it is asked to.
    func answerReady(
        _ request: ViewRequest, _ partition: Partition, from remote: PeerID
    ) -> ViewReply {
        guard !request.certificate.isEmpty, !holdsAny(of: partition) else {
            return ViewReply(status: .done)
        }
        guard let certificate = adopt(request.certificate, for: partition),
            certificate.view.contains(remote)
        else { return ViewReply(status: .refused, detail: "no valid certificate") }
        let view = certificate.view.id
        let until = environment.now() + learningPatience
        if changes.learning[partition]?.view == view {
            changes.learning[partition]?.until = until
        } else {
            guard changes.learning.count < ViewChanges.learnLimit else {
                return ViewReply(status: .busy, detail: "learning others")
            }
            changes.learning[partition] = Learning(view: view, until: until)
            start { [weak self] in await self?.learn(certificate.view, from: remote) }
        }
        keepLooking()
        let isDone = changes.learning[partition]?.isDone == true
        return ViewReply(status: isDone ? .done : .busy, detail: "learning")
    }

    private func learn(_ view: View, from peer: PeerID) async {
        let pull = Pull(old: view.id, view: view.id)
        var isDone = false
        do throws(StoreError) {
            if try await clear(for: pull) {
                isDone = try await carryOut(pull, from: peer) != .nothing
            }
        } catch {
            logger.warning(
                "learning failed",
                [("partition", "\(view.partition)"), ("error", "\(error)")])
        }
        guard isWanted(pull) else { return }
        if isDone {
            changes.learning[view.partition]?.isDone = true
        } else {
            // Whoever asks next begins another attempt; what is here stays.
            changes.learning[view.partition] = nil
        }
    }

    /// Drops what was learnt for a view that this peer was not asked into.
    func dropLessons(now: Instant) {
        for partition in changes.learning.keys.sorted() {
            guard let lesson = changes.learning[partition] else { continue }
            guard lesson.until <= now || catalog.hasSplit(partition) else {
                changes.lookUntil = max(
                    changes.lookUntil, lesson.until + configuration.timings.tick * 2)
                continue
            }
            changes.learning[partition] = nil
            changes.gathered[partition] = nil
            guard !holdsAny(of: partition) else { continue }
            start { [weak self] in await self?.drop(partition) }
        }
    }

    /// Not while it holds or learns some of the partition again; what is left over then goes before
    /// it ever joins there (`clear`).
    private func drop(_ partition: Partition) async {
        let range = StorageKey.rows(of: partition)
        do throws(StoreError) {
            rows.forget(from: range.from, to: range.to)
            comparisons.forget(partition)
            try await delete(range) {
                !self.holdsAny(of: partition)
                    && !self.changes.learning.keys.contains { $0.overlaps(partition) }
            }
        } catch {
            logger.warning("cannot drop what was learnt", [("error", "\(error)")])
        }
    }
}
