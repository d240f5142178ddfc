package import CyxCore
internal import CyxOverlay

/// What this peer holds and how it is doing.
extension TableService {
    package func custodians(of position: Digest) async throws(TableError) -> [PeerID] {
        var budget = OperationBudget(now: environment.now(), timings: configuration.timings)
        return try await locate(position, &budget).view.peers
    }

    package func localRows(
        _ table: TableID, after: RowKey?, limit: Int
    ) async throws(TableError) -> [RowKey] {
        var found: [RowKey] = []
        var from = after.map { StorageKey.next(after: StorageKey.row($0)) } ?? [StorageKey.rowTag]
        let end = StorageKey.rowBound(nil)
        while found.count < limit {
            let page: [(key: [UInt8], value: [UInt8])]
            do {
                page = try await rows.scan(
                    from: from, to: end, limit: TableMessageLimits.pageRows)
            } catch {
                throw .unavailable("the row store failed: \(error)")
            }
            for entry in page {
                guard found.count < limit, let key = StorageKey.decodeRow(entry.key),
                    key.table == table, isCustodian(of: key.position)
                else { continue }
                found.append(key)
            }
            guard page.count == TableMessageLimits.pageRows, let last = page.last else { break }
            from = StorageKey.next(after: last.key)
        }
        return found
    }

    package func localRow(_ key: RowKey) async throws(TableError) -> LocalRow? {
        try check(key)
        let bytes = StorageKey.row(key)
        while isCustodian(of: key.position) {
            if let cached = rows.cached(bytes) {
                switch cached?.content ?? .empty(key.table) {
                case .register(let record): return .register(try checked(key, record.state))
                case .merge(let row): return .merge(valid(row, key))
                }
            }
            do { try await rows.load([bytes]) } catch {
                throw .unavailable("the row store failed: \(error)")
            }
        }
        return nil
    }

    private func isCustodian(of position: Digest) -> Bool {
        guard let replica = replicas[partition(holding: position)] else { return false }
        return replica.isSynced && replica.successor == nil && !replica.isReshaped
    }

    package func custody() async -> UInt64 {
        var sum: UInt64 = 0
        for (partition, replica) in replicas where replica.successor == nil {
            // FNV-1a over what tells one custody from another (Fowler, Noll and Vo); added up, since
            // a dictionary has no order.
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            let id = replica.view.id
            for word in [
                partition.lowerBound.word0, UInt64(partition.depth), UInt64(id.generation),
                UInt64(id.epoch),
                replica.isSynced ? 1 : 0,
            ] {
                hash = (hash ^ word) &* 0x100_0000_01b3
            }
            sum &+= hash
        }
        return sum
    }

    package func health() async -> TablesHealth {
        let snapshot = membership.snapshot
        let target = currentPlanner().target
        var health = TablesHealth(
            partitions: 0, fullPartitions: 0, unavailablePartitions: 0, survives: 0,
            partitionBits: Int(replicas.keys.map(\.depth).max() ?? configuration.genesisDepth),
            leading: 0, held: replicas.count)
        var least: Int?
        let now = environment.now()
        var behind: [Partition: Instant] = [:]
        for partition in replicas.keys.sorted() {
            guard let replica = replicas[partition], replica.successor == nil else { continue }
            let view = replica.view
            let live = view.members.count { isHolding($0, replica, snapshot) }
            health.partitions += 1
            health.epoch = max(health.epoch, view.id.epoch)
            if !replica.isAtRest { health.changing += 1 }
            if !replica.isSynced {
                let since = behindSince[partition] ?? now
                behind[partition] = since
                health.lag = max(health.lag, now - since)
            }
            let rank = view.members.filter { member in
                member.peer == localPeer || snapshot.members[member.peer]?.isReachable == true
            }.firstIndex { $0.peer == localPeer }
            if let rank, rank < 2 {
                health.leading += 1 << (health.partitionBits - Int(partition.depth))
            }
            if live >= target.members { health.fullPartitions += 1 }
            if live < view.quorum {
                health.unavailablePartitions += 1
                let missing = view.members.filter { !isHolding($0, replica, snapshot) }
                health.unavailableReason =
                    health.unavailableReason
                    ?? "partition \(partition) has \(live) of \(view.members.count) custodians, "
                    + "\(view.quorum) are needed; missing: "
                    + missing.map { "\($0.peer)" }.joined(separator: ", ")
            }
            least = min(least ?? .max, max(0, live - view.quorum))
        }
        behindSince = behind
        health.survives = least ?? 0
        return health
    }

    /// Whether a member can be reached and, as far as is known here, holds the view's state.
    private func isHolding(
        _ member: ViewMember, _ replica: Replica, _ snapshot: MembershipSnapshot
    ) -> Bool {
        if member.peer == localPeer { return replica.isSynced }
        guard let seen = snapshot.members[member.peer], seen.isReachable,
            seen.info.store == member.store
        else { return false }
        guard replica.frozen != nil else { return true }
        return changes.synced[replica.view.id]?.contains(member.peer) ?? false
    }
}
