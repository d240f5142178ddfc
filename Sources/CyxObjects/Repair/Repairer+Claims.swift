internal import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport

/// Custodians tell each other what they rebuild, so that the next in rank, who starts a while after
/// the first, does what is left instead of the same again.
extension Repairer {
    /// Rebuilds a segment while the other custodian that watches it knows.
    func performClaimed(_ task: RepairTask) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.claim(task.segment, ended: false) }
            group.addTask { await self.perform(task) }
            // The end is told after the claim was answered: it must not come before it.
        }
        await claim(task.segment, ended: true)
    }

    /// Tells the other custodian that watches a segment. Best effort: one that is not told of the
    /// claim does work twice, and one that is not told of its end sees it in the rows.
    private func claim(_ id: SegmentID, ended: Bool) async {
        let local = context.messaging.localPeer
        let snapshot = context.membership.snapshot
        do throws(TableError) {
            let watchers = try await context.tables.custodians(of: id.digest)
                .filter { $0 == local || snapshot.mayBeThere($0) }.prefix(Repairer.watchers)
            for peer in watchers where peer != local {
                do throws(ShardClient.Failure) {
                    try await context.client.claim(id, ended: ended, to: peer)
                } catch {
                    context.logger.debug("a claim was not taken", [("error", "\(error)")])
                }
            }
        } catch {
            context.logger.debug("nobody to claim a segment from", [("error", "\(error)")])
        }
    }

    func claim(_ bytes: [UInt8], by peer: PeerID) async throws -> [UInt8] {
        guard let request = ShardHolder.decoded(ClaimSegmentRequest.self, bytes),
            let id = SegmentID(bytes: request.segment)
        else { throw ShardRefusal.malformed.failure("claim") }
        if machine.segments[id] != nil,
            try await context.tables.custodians(of: id.digest).contains(peer)
        {
            if request.ended {
                // What it did is in the rows: without a look at them the same would be done again.
                await load(id)
                machine.claimEnded(id)
            } else {
                machine.claimed(id, now: context.environment.now())
            }
        }
        return ClaimSegmentResponse().protobufBytes()
    }
}
