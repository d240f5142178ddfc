internal import CyxCore
package import CyxCrypto

/// How a peer's tables behave.
package struct TablesConfiguration: Sendable {
    /// Bits of the prefixes that partitions have at genesis: 2^depth partitions.
    package var genesisDepth: UInt8 = 8
    /// A partition splits while there are fewer than so many times as many as there are peers for
    /// each of a view's members (A2); 0: never for that.
    package var splitRatio = 8.0
    /// A partition whose rows take more than this splits, too (A2).
    package var partitionBytesMax = 4 << 30
    /// How often a partition may split: into 2^16 at most.
    package var splitsMax: UInt8 = 16
    /// Whether this peer makes the genesis views if it finds none: it was started without anyone
    /// to join.
    package var isFounder = false
    /// Merge tables whose removed elements stay removed.
    package var twoPhaseTables: Set<TableID> = []
    /// Tables of registers whose rows can be followed (`Tables.changes`).
    package var loggedTables: Set<TableID> = []
    /// Rows of a partition from which on those who are to join its view learn it in advance, while
    /// the view still serves; fewer than a page of rows are pulled in no time.
    package var lessonRowsMin = RowLimits.scanPageRows
    package var timings = TableTimings.production
    /// Whose word brings partitions back that have lost their quorum (A5); nil: nobody's.
    package var adminKey: VerifyingKey?
    /// Rules that are not kept: none, except in `simulate rules`.
    package var brokenRules: Set<TableRule> = []
    /// Registers that nobody but custodians of their rows may write, or read while what custodians
    /// hold of them differs: what such a row says is their word.
    package var custodianTables: Set<TableID> = []
    /// Bytes up to which a merge row may grow by what others than its custodians bring; what is left
    /// of `RowLimits.valueBytes` is the custodians' own. If each of a view's members is brought
    /// something else, all of it together must fit a row.
    package var openRowBytes: [TableID: Int] = [:]
    /// Who may change rows beside their custodians, and how this peer shows that it may.
    package var rowGuard = RowGuard.none
    /// Why a row's value must not be stored or believed; nil: fine. The second argument is the
    /// element of a merge row whose value it is, nil for a register. Called by custodians when they
    /// accept and by readers.
    package var validate: @Sendable (RowKey, [UInt8]?, [UInt8]) -> String? = { _, _, _ in nil }

    package init() {}

    /// Bits of the longest prefix that a partition may have.
    var depthMax: UInt8 {
        UInt8(min(Int(genesisDepth) + Int(splitsMax), ChangeLog.prefixBits))
    }

    func keeps(_ rule: TableRule) -> Bool { !brokenRules.contains(rule) }
}

package struct TableTimings: Sendable {
    /// How long one request to one custodian may take.
    package var callTimeout: Duration
    /// How long one read or update may go on trying.
    package var operationTimeout: Duration
    /// How long to wait, once a quorum answered differently, for answers that agree.
    package var graceDelay: Duration
    /// First and longest pause before another attempt; each pause is random up to twice the last.
    package var backoff: (first: Duration, most: Duration)
    /// How long a member must have been dead before it is replaced (A4).
    package var deathDelay: Duration
    /// How long the network's size must have been stable before views grow.
    package var settleDelay: Duration
    /// How much later a custodian of the next rank proposes.
    package var rankStagger: Duration
    /// How often a decision is repeated to members that have not said that they hold the view.
    package var reminder: Duration
    /// How often a peer looks for views that should change. Nothing is sent unless one should.
    package var tick: Duration
    /// How long a partition must have been left alone before its members compare their rows.
    package var comparison: Duration
    /// How often others are told how far the store has come, while rows are written. Of a store that
    /// is put back from a copy younger than that nobody can tell.
    package var mark: Duration
    /// How long a register must have been deleted before its members forget it (A6). Until then
    /// everybody who missed the deletion has time to learn of it, and who was about to change the
    /// register sees it among the changes. Twice the operations' time at least, or those that find
    /// it gone often cannot tell what became of their change.
    package var tombstoneAge: Duration

    package static let production = TableTimings(
        callTimeout: .seconds(3), operationTimeout: .seconds(10), graceDelay: .milliseconds(50),
        backoff: (.milliseconds(5), .milliseconds(640)), deathDelay: .seconds(900),
        settleDelay: .seconds(30), rankStagger: .seconds(5), reminder: .seconds(20),
        tick: .seconds(5), comparison: .seconds(60), mark: .seconds(300),
        tombstoneAge: .seconds(3600))

    package static let devnet = TableTimings(
        callTimeout: .milliseconds(1500), operationTimeout: .seconds(8),
        graceDelay: .milliseconds(20), backoff: (.milliseconds(5), .milliseconds(320)),
        deathDelay: .seconds(2), settleDelay: .seconds(1), rankStagger: .milliseconds(300),
        reminder: .seconds(1), tick: .milliseconds(250), comparison: .seconds(2),
        mark: .seconds(5), tombstoneAge: .seconds(20))
}
