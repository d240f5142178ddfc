internal import CyxCore

/// In which order the rows of one store changed (a machine): who has read the rows of a bucket once
/// need only be told what has changed since (`decisions.md` A9).
///
/// Every change of what a register accepted takes the next number of one sequence, which lies in the row
/// and in an entry of the log, written in the row's own batch. An entry goes when its row changes again
/// or is dropped: the log is as large as the rows of its tables. It is sorted by table, by the first
/// bits of positions and by number, so that what a bucket's listing needs is one range, whatever
/// partitions the bucket has lain in. Promises are no changes: nothing was chosen by one.
///
/// **Why no acknowledged row is missed.** A reader keeps for each member the number up to which it has
/// read that member's log, and holds of every row that the member had then what was chosen for it, at
/// least as new as what that member had accepted. It begins by going through all rows of a quorum of
/// members, each of which gave its number before its first row. A write that is acknowledged was
/// accepted by a quorum of its view; members of later views pull it from a quorum. So of the quorum that
/// a reader asks, all of them synced and unsealed members of one view, one has it or something newer
/// (A3). If that member's row has changed since the number that the reader has, it is in the answer; if
/// not, the reader has it already. Where the rows of the answer are not what a quorum agrees on readably
/// (A6), the register is read, which settles what a minority holds of it.
///
/// **Why a row that has gone is noticed.** A deletion is a change like any other, and its tombstone is
/// told. Once it is forgotten (`TableService+Removing`) its entry goes as well, and the member's floor
/// (`Replica.changesFloor`) rises to the number of the tombstone: whoever has not read up to there begins
/// anew. What a member lost in other ways it lost with its place in a view: whoever enters one without
/// having had all rows of the view before sets the floor above all that it ever told. So does a
/// generation after a lost quorum. A wiped store is another member (A5). One that was put back from an
/// older copy may give a number twice; such a peer stops serving as soon as that is noticed
/// (`TableService+Marks`), and a number that it has not reached yet is refused.
///
/// Numbers grow over restarts. One that was told is on disk, also when the row that had it is not there
/// any more.
struct ChangeLog: Sendable {
    /// Bits of a position by which changes are sorted. No partition has a longer prefix, so that rows
    /// which agree in them have the same members.
    static let prefixBits = 32

    let tables: Set<TableID>
    /// The highest number that was given.
    private(set) var latest: UInt64
    /// Up to which number everything is on disk.
    private(set) var durable: UInt64

    /// `stored`: what `mark` wrote last.
    init(tables: Set<TableID>, stored: UInt64) {
        precondition(tables.allSatisfy(\.isRegister), "only changes of registers are logged")
        self.tables = tables
        latest = stored
        durable = stored
    }

    /// A number above all that were given.
    mutating func next() -> UInt64 {
        latest += 1
        return latest
    }

    /// Numbers the change of a row from `old` (nil: absent); returns what goes into its batch.
    mutating func note(
        _ key: [UInt8], from old: StoredRow?, to row: inout StoredRow
    ) -> [KeyValueWrite] {
        guard let table = StorageKey.table(of: key), tables.contains(table),
            case .register(let record) = row.content
        else { return [] }
        row.sequence = old?.sequence ?? 0
        if case .register(let before) = old?.content, before.accepted == record.accepted {
            return []
        }
        guard record.accepted != .none else { return [] }
        let former = forget(key, old)
        row.sequence = next()
        return former + [.put(key: StorageKey.change(of: key, row.sequence), value: key)]
    }

    /// What goes into the batch that drops a row.
    func forget(_ key: [UInt8], _ old: StoredRow?) -> [KeyValueWrite] {
        guard let old, old.sequence > 0 else { return [] }
        return [.delete(key: StorageKey.change(of: key, old.sequence))]
    }

    /// What goes into the next batch, so that numbers are not given again; nil: nothing.
    var mark: KeyValueWrite? {
        guard latest > durable else { return nil }
        var writer = ByteWriter(capacity: 8)
        writer.write(latest)
        return .put(key: StorageKey.changeMark, value: writer.bytes)
    }

    /// A batch is on disk that was taken when `latest` was `sequence`.
    mutating func noteWritten(_ sequence: UInt64) { durable = max(durable, sequence) }

    /// What `mark` wrote; nil: it is damaged.
    static func stored(_ bytes: [UInt8]?) -> UInt64? {
        guard let bytes else { return 0 }
        guard bytes.count == 8 else { return nil }
        return bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }
}
