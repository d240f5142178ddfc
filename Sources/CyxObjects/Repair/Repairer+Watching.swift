internal import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport

/// Keeping up with which segments there are, who holds them and who is there.
extension Repairer {
    /// How likely a peer that membership suspects, or whose audits went wrong, is gone soon.
    private enum Risk {
        static let suspected = 0.5
        static let warned = 0.1
        static let suspended = 0.3
    }

    /// Brings the machine up to date; returns how long the walk over the local rows took.
    func look() async -> Duration {
        let basis = await currentBasis()
        let start = context.environment.now()
        let changed = peers.replace(basis.peers, watched: basis.holders, now: start)
        machine.peersChanged(changed, peers, now: start)
        var fresh: [SegmentID] = []
        var isComplete = false
        do throws(TableError) {
            fresh = try await discover()
            isComplete = fresh.count <= Repairer.loadsPerLook
        } catch {
            logger.debug("local segments could not be listed", [("error", "\(error)")])
        }
        let walk = context.environment.now() - start
        let stale = machine.stale(now: context.environment.now(), limit: Repairer.loadsPerLook)
        let failures = await load(Array(fresh.prefix(Repairer.loadsPerLook)) + stale)
        await checkReports()
        if isComplete, failures == 0 { looked = basis }
        return walk
    }

    /// Forgets segments that this peer need not watch any more, and returns those that it should
    /// and does not yet.
    func discover() async throws(TableError) -> [SegmentID] {
        var after: RowKey?
        var seen: Set<SegmentID> = []
        var fresh: [SegmentID] = []
        let snapshot = context.membership.snapshot
        let now = context.environment.now()
        while true {
            let page = try await context.tables.localRows(
                .segments, after: after, limit: RowLimits.scanPageRows)
            for key in page where key.suffix.isEmpty {
                let id = SegmentID(key.position)
                if let until = absent[id] ?? neglected[id], now < until { continue }
                guard let custody = try await custody(of: id, snapshot),
                    custody.rank < Repairer.watchers
                else { continue }
                seen.insert(id)
                if machine.segments[id] != nil {
                    machine.setCustody(id, rank: custody.rank, hasQuorum: custody.hasQuorum)
                } else {
                    fresh.append(id)
                }
            }
            guard page.count == RowLimits.scanPageRows, let last = page.last else { break }
            after = last
        }
        for id in machine.segments.keys.sorted() where !seen.contains(id) { machine.remove(id) }
        neglected = neglected.filter { now < $0.value }
        return fresh
    }

    /// Reads the rows of segments that are watched, a few at a time; returns how many could not be
    /// read. This peer's own copies will do, since nothing is done before a quorum was asked.
    func load(_ ids: [SegmentID]) async -> Int {
        var failures = 0
        var rest = ids[...]
        while !rest.isEmpty {
            let batch = rest.prefix(Repairer.concurrentLoads)
            rest = rest.dropFirst(Repairer.concurrentLoads)
            failures += await withTaskGroup(of: Bool.self) { group in
                for id in batch { group.addTask { await self.load(id, fromOwnCopy: true) } }
                var failures = 0
                for await isLoaded in group where !isLoaded { failures += 1 }
                return failures
            }
        }
        return failures
    }

    /// This peer's place among the reachable custodians, and whether those are enough to decide
    /// anything; nil if it is none.
    func custody(
        of id: SegmentID, _ snapshot: MembershipSnapshot
    ) async throws(TableError) -> (rank: Int, hasQuorum: Bool)? {
        let local = context.messaging.localPeer
        let custodians = try await context.tables.custodians(of: id.digest)
        let present = custodians.filter { $0 == local || snapshot.mayBeThere($0) }
        guard let rank = present.firstIndex(of: local) else { return nil }
        let hasQuorum =
            present.count >= ViewSize(members: custodians.count).quorum
            || !context.keeps(.repairsByQuorum)
        return (rank, hasQuorum)
    }

    /// A segment's core and holders, asked for at once: they lie with the same custodians, so that the
    /// two questions travel as one.
    private func rows(
        of id: SegmentID
    ) async throws(TableError) -> (
        core: RegisterState, holders: [(entry: HolderEntry, receipt: StoreReceipt)]
    ) {
        async let holders = result { () async throws(TableError) in
            try await self.context.holders(of: id)
        }
        let core = try await context.tables.read(ObjectRows.core(id))
        return (core, try await holders.get())
    }

    /// What `body` returns or throws; `async let` alone would forget the type of its errors.
    private func result<Value: Sendable>(
        _ body: () async throws(TableError) -> Value
    ) async -> Result<Value, TableError> {
        do throws(TableError) { return .success(try await body()) } catch {
            return .failure(error)
        }
    }

    /// The same as this peer has them; nil if it has none, which may be because they did not reach it.
    private func ownRows(
        of id: SegmentID
    ) async throws(TableError) -> (
        core: RegisterState, holders: [(entry: HolderEntry, receipt: StoreReceipt)]
    )? {
        guard case .register(let core) = try await context.tables.localRow(ObjectRows.core(id)),
            core.value != nil,
            case .merge(let row) = try await context.tables.localRow(ObjectRows.holders(id)),
            !row.isEmpty
        else { return nil }
        return (core, ObjectContext.holders(row))
    }

    /// Reads the rows of one segment, from a quorum or as far as this peer has them; false when they
    /// could not be read.
    @discardableResult
    func load(_ id: SegmentID, fromOwnCopy isLocal: Bool = false) async -> Bool {
        do throws(TableError) {
            let own = isLocal ? try await ownRows(of: id) : nil
            let (state, holders) = if let own { own } else { try await rows(of: id) }
            let now = context.environment.now()
            guard let signed = state.value else {
                absent[id] = now + context.timings.repair.refresh
                machine.remove(id)
                return true
            }
            let snapshot = context.membership.snapshot
            guard let custody = try await custody(of: id, snapshot) else {
                machine.remove(id)
                return true
            }
            let (shape, account) = try SegmentShape.verifiedOrRejected(signed, of: id)
            guard await !isNeglected(account) else {
                neglected[id] = now + context.timings.repair.refresh
                machine.remove(id)
                return true
            }
            let forged = await unproven(holders, shape)
            let named = holders.map(\.entry)
            let entries = named.filter { !forged.contains($0) }
            for entry in entries where peers[entry.peer] == nil {
                guard let peer = unheard(entry.peer, entry.store, snapshot) else { continue }
                peers.set(entry.peer, peer, now: now)
            }
            machine.load(
                shape, signed, entries, forged: named.filter(forged.contains),
                rank: custody.rank, hasQuorum: custody.hasQuorum, peers, now: now)
            return true
        } catch {
            logger.debug("a segment's rows could not be read", [("error", "\(error)")])
            return false
        }
    }

    /// Whether nobody asks for the account's data any more. As long as that cannot be read it is
    /// repaired: its lease lies in another partition, whose loss must not be that of the data.
    private func isNeglected(_ account: AccountID) async -> Bool {
        do { return try await context.isNeglected(account) } catch { return false }
    }

    /// The entries whose holder did not sign their receipt. Those that were loaded before are known
    /// to be good.
    func unproven(
        _ holders: [(entry: HolderEntry, receipt: StoreReceipt)], _ shape: SegmentShape
    ) async -> Set<HolderEntry> {
        let known = Set(machine.segments[shape.id]?.entries ?? [])
        let fresh = holders.filter { !known.contains($0.entry) }
        guard !fresh.isEmpty, context.keeps(.provesReceipts) else { return [] }
        let forged = await context.environment.blocking.run {
            Set(fresh.filter { !$0.receipt.proves($0.entry, in: shape) }.map(\.entry))
        }
        if !forged.isEmpty {
            logger.warning(
                "entries without a valid receipt do not count",
                [("segment", "\(shape.id)"), ("entries", "\(forged.count)")])
        }
        return forged
    }

    func currentBasis() async -> Basis {
        let custody = await context.tables.custody()
        let standings = context.standings
        var peers: [PeerID: RepairPeer] = [:]
        let snapshot = context.membership.snapshot
        for member in snapshot.storers + snapshot.awayStorers {
            // What a banned peer holds counts as lost.
            let verdict = standings.verdict(member.peer)
            guard let store = member.info.store, verdict != .banned else { continue }
            var risk = member.state == .suspect ? Risk.suspected : 0
            if verdict == .warned { risk += Risk.warned }
            if verdict == .suspended { risk += Risk.suspended }
            peers[member.peer] = RepairPeer(
                store: store, zone: context.countedZone(member.info.zone),
                isAway: member.state == .away, risk: risk)
        }
        let holders = snapshot.isPartial ? machine.holders : nil
        if let holders {
            // Its view does not hold them all, and nobody here finds out when they die.
            context.membership.watch(holders, for: .holders)
            for holder in holders {
                guard let store = machine.store(of: holder) else { continue }
                peers[holder] = peers[holder] ?? unheard(holder, store, snapshot)
            }
        }
        return Basis(custody: custody, peers: peers, holders: holders)
    }

    /// A holder of which nobody has heard here yet counts as there, lest a custodian rebuild all that
    /// it has just taken over.
    func unheard(
        _ holder: PeerID, _ store: StoreID, _ snapshot: MembershipSnapshot
    ) -> RepairPeer? {
        guard snapshot.members[holder] == nil, snapshot.mayBeThere(holder),
            context.standings.verdict(holder) != .banned
        else { return nil }
        return RepairPeer(store: store, zone: "", risk: Risk.suspected)
    }
}
