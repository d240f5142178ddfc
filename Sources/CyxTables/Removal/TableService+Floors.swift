internal import CyxCore
internal import CyxTransport

/// What a member still knows of registers that it forgot: no ballot up to the partition's floor is
/// taken for a register that is not here (A6).
///
/// Once all members of a view have accepted a deletion t, no value from before can be chosen any more:
/// each member has accepted t or something above it, or has forgotten the register and its floor is t
/// at least. Either refuses whatever is older and comes late. Members of later views gather their state
/// from sources of which each is in one of the two cases, and take the highest of their floors; so it
/// stays true for as long as the generation lasts. Absent and deleted mean the same, which is why
/// forgetting needs no round.
///
/// A register that is not here need not be one that was forgotten: a member may have missed it, and
/// other removals have raised its floor since. Hence neither does a reader count an absent row as
/// agreement with a tombstone below the floor, though A6 has it so: of five members, A, B and C accept
/// a value that D and E miss; a deletion reaches A alone; A, D and E would then settle that the
/// register is deleted, and B, C and D that it is not. Nor is a refused copy given up: the member that
/// wanted to give it has a quorum decide, under a ballot above the floor (`finishRound`).
///
/// A generation that follows a lost quorum has no floor and forgets nothing. Members of the lost one
/// who missed the recovery bring back what only they have, under ballots below any floor of the newer
/// generation; nothing there would tell such a row from one that was deleted and forgotten. What was
/// deleted there stays on record and refuses older values by its ballot. What the lost generation itself
/// had forgotten can come back only from members of views before the one that forgot it.
extension TableService {
    /// Whether registers may be forgotten in a view: not in a generation after a lost quorum.
    func mayForget(in view: View) -> Bool { view.id.generation == 0 }

    /// Why something is not taken for a register that is not here; nil: it may be.
    func refusalByFloor(_ request: RowRequest, _ key: RowKey) -> RowReply? {
        guard key.table.isRegister, configuration.keeps(.keepsFloors),
            let partition = request.view?.id?.partition,
            let floor = replicas[partition]?.floor, floor != .none
        else { return nil }
        do {
            let ballot: RegisterVersion
            switch request.operation {
            case .prepare: ballot = try RegisterVersion(bytes: request.ballot)
            case .accept, .mend: ballot = try RegisterRecord.accepted(in: request.row)
            default: return nil
            }
            guard ballot <= floor else { return nil }
            return RowReply(status: .refused, ballot: floor.bytes, floor: floor.bytes)
        } catch {
            // What it is then is refused for what is wrong with it.
            return nil
        }
    }

    /// Forgets a register that all members had deleted under the same ballot, if that is still what is
    /// here. The floor rises in the same durable batch. Of a merge row that all had alike it forgets
    /// which elements were removed.
    func remove(
        _ request: RowRequest, _ content: StoredRow.Content?, isOfCustodian: Bool
    ) -> RowReply {
        guard isOfCustodian else {
            return RowReply(status: .rejected, detail: "only its custodians may do that to the row")
        }
        // What was frozen of the view before is told by the rows that are there now.
        guard let id = request.view?.id, var replica = replicas[id.partition], replica.isAtRest,
            mayForget(in: replica.view)
        else { return RowReply(status: .busy) }
        guard let content, isSame(content, .init(key: request.key, version: request.ballot)) else {
            return RowReply(status: .done)
        }
        var removed = 1
        switch content {
        case .register(let record):
            var extra: [KeyValueWrite] = []
            let change = (rows.cached(request.key) ?? nil)?.sequence ?? 0
            if record.accepted > replica.floor || change > replica.changesFloor {
                replica.floor = max(replica.floor, record.accepted)
                replica.changesFloor = max(replica.changesFloor, change)
                replicas[id.partition] = replica
                extra = [.put(key: StorageKey.replica(id.partition), value: replica.bytes)]
            }
            dropRow(request.key, in: id.partition, extra: extra)
        case .merge(var row):
            removed = row.dropTombstones()
            if row.isEmpty {
                dropRow(request.key, in: id.partition)
            } else {
                stage(request.key, .merge(row), in: id)
            }
        }
        environment.metrics.counter("cyxcloud_table_tombstones_removed_total").add(UInt64(removed))
        return RowReply(status: .done)
    }

    /// Takes a row out of memory and, with the next batch, off the disk.
    /// `stored`: what the disk has of one that is not in memory.
    func dropRow(
        _ key: [UInt8], in partition: Partition, stored: StoredRow? = nil,
        extra: [KeyValueWrite] = []
    ) {
        guard let table = StorageKey.table(of: key) else { return }
        comparisons.noteChange(
            of: key, in: partition, from: (rows.cached(key) ?? nil)?.content, to: .empty(table),
            now: environment.now())
        rows.stageRemoval(key, stored: stored, extra: extra)
    }

    // MARK: Proposing above floors

    /// The highest floor of a partition that this peer has or was told of.
    func knownFloor(_ partition: Partition) -> RegisterVersion {
        max(toldFloors[partition] ?? .none, replicas[partition]?.floor ?? .none)
    }

    /// Remembers the floor that an answer tells of.
    func noteFloor(_ reply: RowReply, _ partition: Partition) {
        noteBallot(TableService.floor(reply.floor), partition)
    }

    /// Has this peer's later proposals in `partition` begin above `ballot`, as above a floor.
    func noteBallot(_ ballot: RegisterVersion, _ partition: Partition) {
        if ballot > knownFloor(partition) { toldFloors[partition] = ballot }
    }

    func floorBytes(_ request: RowRequest) -> [UInt8] {
        let floor = request.view?.id.flatMap { replicas[$0.partition]?.floor } ?? .none
        return floor == .none ? [] : floor.bytes
    }

    static func floor(_ bytes: [UInt8]) -> RegisterVersion {
        guard !bytes.isEmpty else { return .none }
        do {
            return try RegisterVersion(bytes: bytes)
        } catch {
            return .none
        }
    }

    /// Takes over the floor of a source that a view's state is pulled from; durable once the view is
    /// held completely.
    func takeFloor(_ reply: ViewReply?, _ pull: Pull) {
        let partition = pull.partition
        guard let bytes = reply?.floor, let certificate = pull.certificate,
            certificate.recovery == nil, let own = replicas[partition]?.floor
        else { return }
        replicas[partition]?.floor = max(own, TableService.floor(bytes))
    }
}
