package import CyxCore
internal import Synchronization

/// One replicated table. A table holds either registers or merge rows (`decisions.md` A6).
package struct TableID: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Registers have even numbers, merge tables odd ones, so that a row's bytes tell which it is.
    package var isRegister: Bool { rawValue.isMultiple(of: 2) }
}

/// Where a row lies and what it is called. Rows with one position share a partition and, within
/// it, sort by (table, position, suffix).
package struct RowKey: Hashable, Sendable {
    package var table: TableID
    package var position: Digest
    /// Tells rows of one position apart; at most `RowLimits.suffixBytes`.
    package var suffix: [UInt8]

    package init(table: TableID, position: Digest, suffix: [UInt8] = []) {
        self.table = table
        self.position = position
        self.suffix = suffix
    }
}

package enum RowLimits {
    package static let suffixBytes = 256
    package static let valueBytes = 1 << 20
    package static let mergeElements = 10_000
    package static let scanPageRows = 1000
}

/// What a register held when it was read.
package struct RegisterState: Hashable, Sendable {
    /// Nil: never written, or deleted.
    package var value: [UInt8]?
    /// Grows with every change of this register, except that one that was deleted long ago may show
    /// as never written; what is written then is above all that was. Opaque to callers.
    package var version: RegisterVersion

    package init(value: [UInt8]?, version: RegisterVersion) {
        self.value = value
        self.version = version
    }
}

/// Ballot order of a register's value (A6): (generation, epoch, counter, proposer, nonce).
package struct RegisterVersion: Hashable, Comparable, Sendable {
    package var generation: UInt32
    package var epoch: UInt32
    package var counter: UInt64
    package var proposer: PeerID
    package var nonce: UInt64

    package init(
        generation: UInt32, epoch: UInt32, counter: UInt64, proposer: PeerID, nonce: UInt64
    ) {
        self.generation = generation
        self.epoch = epoch
        self.counter = counter
        self.proposer = proposer
        self.nonce = nonce
    }

    package static let none = RegisterVersion(
        generation: 0, epoch: 0, counter: 0, proposer: PeerID(.zero), nonce: 0)

    package static func < (left: RegisterVersion, right: RegisterVersion) -> Bool {
        (left.generation, left.epoch, left.counter, left.proposer, left.nonce)
            < (right.generation, right.epoch, right.counter, right.proposer, right.nonce)
    }
}

/// One element of a merge row. A row is a map from element to state; two replicas merge element by
/// element: the higher (clock, writer, value hash) wins, except that a removed element of a
/// two-phase table stays removed.
package struct MergeElement: Hashable, Sendable {
    package var element: [UInt8]
    /// Nil: removed.
    package var value: [UInt8]?

    package init(element: [UInt8], value: [UInt8]?) {
        self.element = element
        self.value = value
    }
}

package enum TableError: Error, Equatable, Sendable {
    /// Fewer than a quorum of the partition's custodians answered: nothing is known to have
    /// changed, though a write may still take effect. Callers answer 503.
    case unavailable(String)
    /// Other writers were faster, again and again: nothing has changed, and nothing will.
    case contended
    /// The row or value is larger than `RowLimits`.
    case tooLarge
    /// A custodian's validator refused the row (bad signature, wrong owner).
    case rejected(String)
    case cancelled
}

/// Reads and writes rows of replicated tables from any peer, custodian or not.
package protocol Tables: AnyObject, Sendable {
    /// The linearizable value of a register.
    func read(_ key: RowKey) async throws(TableError) -> RegisterState

    /// Compare-and-set as a function: `change` sees the current state and returns the new value,
    /// nil to delete, or `.abandon` to leave it alone. It may run several times; the result tells
    /// which time counts. Most callers want `update`.
    func decide(
        _ key: RowKey,
        _ change: @escaping @Sendable (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange

    /// Writes a register that never had a value, in one round instead of two. Only for a row whose name
    /// this caller has drawn at random, or made of such a draw: nobody else may ever give it a first
    /// value, though others may change what they find (`RegisterProposer.create`).
    func create(_ key: RowKey, _ value: [UInt8]) async throws(TableError)

    /// All elements of a merge row that are not removed.
    func readMerge(_ key: RowKey) async throws(TableError) -> [MergeElement]

    /// Writes elements of a merge row; stamps come from this peer's hybrid clock.
    func merge(_ key: RowKey, _ elements: [MergeElement]) async throws(TableError)

    /// Registers of `table` that hold a value and whose position starts with the first
    /// `prefixBits` bits of `position`, ordered by (position, suffix), after `after` exclusively.
    /// Every write acknowledged before the call began is seen. At most `limit` rows.
    func scan(
        _ table: TableID, position: Digest, prefixBits: Int, after: RowKey?, limit: Int
    ) async throws(TableError) -> [(key: RowKey, state: RegisterState)]

    /// What has changed, since `cursor` was told, of the registers of `table` whose positions begin with
    /// the first 32 bits of `position` (A9); without a cursor all of them, page by page. The table must
    /// be one of those whose changes are logged.
    func changes(
        _ table: TableID, position: Digest, since cursor: ScanCursor?
    ) async throws(TableError) -> ChangePage

    /// The rows of `table` for which this peer is a custodian, from its local replica: for repair
    /// and upkeep, which tolerate staleness. Ordered like `scan`.
    func localRows(
        _ table: TableID, after: RowKey?, limit: Int
    ) async throws(TableError) -> [RowKey]

    /// What this peer's own copy of a row says; nil if it has none that it vouches for, since it is no
    /// custodian of the row, or none yet that has all rows. Costs no message, and misses what has not
    /// reached this copy: anti-entropy brings that within a minute or so.
    func localRow(_ key: RowKey) async throws(TableError) -> LocalRow?

    /// The members of the view that holds `position`, in custodian rank order: rank 0 first.
    func custodians(of position: Digest) async throws(TableError) -> [PeerID]

    /// How the tables are doing, for `status`.
    func health() async -> TablesHealth

    /// A number that changes whenever this peer begins or ceases to serve a partition, or its view
    /// changes: who walked `localRows` under another one has to walk them again.
    func custody() async -> UInt64
}

/// One custodian's copy of a row.
package enum LocalRow: Sendable, Equatable {
    case register(RegisterState)
    case merge([MergeElement])
}

extension Tables {
    /// For tables that are nobody's copy.
    package func localRow(_ key: RowKey) async throws(TableError) -> LocalRow? { nil }

    /// For tables that have no shorter way.
    package func create(_ key: RowKey, _ value: [UInt8]) async throws(TableError) {
        _ = try await decide(key) { $0.value == nil ? .set(value) : .abandon }
    }

    /// Compare-and-set (`decide`); returns the state that holds afterwards.
    package func update(
        _ key: RowKey, _ change: @escaping @Sendable (RegisterState) -> RegisterChange
    ) async throws(TableError) -> RegisterState {
        try await decide(key, change).state
    }

    /// The same for who must know on what the change was made: `change` returns beside it a finding,
    /// and that of the call that counts is returned.
    package func update<Finding: Sendable>(
        _ key: RowKey,
        finding change: @escaping @Sendable (RegisterState) -> (RegisterChange, Finding)
    ) async throws(TableError) -> Finding {
        let findings = Mutex<[Finding]>([])
        let decided = try await decide(key) { state in
            let (change, finding) = change(state)
            findings.withLock { $0.append(finding) }
            return change
        }
        return findings.withLock { $0[decided.call] }
    }
}

/// What became of a compare-and-set.
package struct DecidedChange: Sendable, Equatable {
    /// What holds now.
    package var state: RegisterState
    /// Which call of the function decided it, from 0: an earlier one than the last, if a round that
    /// seemed to have failed took effect after all.
    package var call: Int

    package init(state: RegisterState, call: Int) {
        self.state = state
        self.call = call
    }
}

package enum RegisterChange: Sendable, Equatable {
    case set([UInt8])
    case delete
    case abandon
    /// Leave the value and its version, but have a quorum accept them under a new ballot.
    case reaccept
}

/// How the partitions that this peer knows of are doing.
package struct TablesHealth: Sendable, Equatable {
    /// Partitions in whose view this peer is.
    package var partitions: Int
    /// Partitions of which something lies here that others may still need: those, and what was left
    /// and is kept until all members of the view after it have it.
    package var held: Int
    /// Of `partitions`, how many have as many live, synced members as A1 wants for the network's size.
    package var fullPartitions: Int
    /// Of those, how many have no live quorum.
    package var unavailablePartitions: Int
    /// Least number of further losses that every row survives.
    package var survives: Int
    /// Which partition has no live quorum, and who is missing; nil: none.
    package var unavailableReason: String?
    /// Bits of the longest prefix that one of them has: there are 2^bits partitions, or fewer where
    /// not all have split as often.
    package var partitionBits: Int
    /// Prefixes of so many bits in which this peer is the first or the second of the members that can
    /// be reached.
    package var leading: Int
    /// Of `partitions`, those whose view is being left or entered.
    package var changing: Int
    /// The highest epoch among their views: how often one has changed.
    package var epoch: UInt32
    /// For how long the partition that waits longest has been without all of its rows here.
    package var lag: Duration

    package init(
        partitions: Int, fullPartitions: Int, unavailablePartitions: Int, survives: Int,
        unavailableReason: String? = nil, partitionBits: Int = 0,
        leading: Int = 1, changing: Int = 0, epoch: UInt32 = 0, lag: Duration = .zero,
        held: Int = 0
    ) {
        self.partitions = partitions
        self.held = held
        self.fullPartitions = fullPartitions
        self.unavailablePartitions = unavailablePartitions
        self.survives = survives
        self.unavailableReason = unavailableReason
        self.partitionBits = partitionBits
        self.leading = leading
        self.changing = changing
        self.epoch = epoch
        self.lag = lag
    }
}
