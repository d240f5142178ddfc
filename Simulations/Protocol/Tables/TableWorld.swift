import CyxCore
import CyxOverlay
import CyxTables
import SimulationHarness
import Synchronization

/// Peers that run the replicated tables alone: one partition and what it splits into, short timeouts, and a membership that
/// the adversary writes. Some thousand such worlds run in a minute, which is what it takes to come
/// upon the orders of events that a rule is there for.
final class TableWorld: Sendable {
    /// Peers at the start: views have 5 members, so two stand by.
    static let storers = 7
    static let registers = TableID(rawValue: 2)
    static let merges = TableID(rawValue: 3)
    /// How often a partition may split: until each of four rows has one of its own.
    static let splitsMax: UInt8 = 2
    static let removalMetric = "cyxcloud_table_tombstones_removed_total"

    let world: SimulatedWorld
    let directory = MemberDirectory()
    let configuration: TablesConfiguration
    private let state = Mutex<[TablePeer]>([])
    let direct = DirectPeers()

    /// Production's timings divided by some hundred: many view changes in seconds of virtual time.
    private static let timings: TableTimings = {
        var timings = TableTimings.hasty
        timings.deathDelay = .milliseconds(100)
        timings.settleDelay = .milliseconds(100)
        timings.rankStagger = .milliseconds(40)
        timings.reminder = .milliseconds(150)
        timings.tick = .milliseconds(40)
        timings.comparison = .milliseconds(200)
        timings.tombstoneAge = .milliseconds(150)
        return timings
    }()

    /// Peers' log lines at or above `printed` are printed.
    /// `splitRatio`: see `TablesConfiguration`.
    init(
        seed: UInt64, without broken: Set<TableRule>, splitRatio: Double = 0,
        printed: LogLevel? = nil
    ) {
        var options = WorldOptions()
        options.printedLogLevel = printed
        options.links.latency = .milliseconds(1)
        options.minimumLogLevel = printed ?? .warning
        world = SimulatedWorld(seed: seed, options: options)
        var configuration = TablesConfiguration()
        configuration.genesisDepth = 0
        configuration.splitRatio = splitRatio
        configuration.splitsMax = Self.splitsMax
        configuration.timings = Self.timings
        configuration.brokenRules = broken
        configuration.loggedTables = [Self.registers]
        self.configuration = configuration
    }

    var peers: [TablePeer] { state.withLock { $0 } }
    /// Peers that keep rows and stay.
    var storerCount: Int {
        peers.count { $0.isStaying && directory.state(of: $0.id) != .left }
    }
    /// How many members a view should have now (A1).
    var viewSize: Int { ViewSize.target(forPeers: storerCount).members }

    var running: [TablePeer] { peers.filter { $0.tables != nil } }

    /// Rows 0 and 1 lie in two halves of the key space, and four rows in its quarters.
    static func key(_ table: TableID, _ number: Int) -> RowKey {
        let bits = UInt64(number)
        let prefix = (bits & 1) << 63 | (bits >> 1 & 1) << 62
        return RowKey(table: table, position: Digest(prefix | (bits + 1) << 32, 0, 0, 0))
    }

    /// Adds a machine, starts it and lets everyone know it; the first one founds the network.
    @discardableResult
    func addPeer(storing: Bool = true) -> TablePeer {
        let peer = TablePeer(machine: world.addPeer(), isStoring: storing)
        state.withLock { $0.append(peer) }
        peer.boot(self, isFounder: peer.machine.index == 1)
        directory.set(Member(info: peer.info, state: .alive, since: world.now))
        world.run(limit: .seconds(2)) { peer.tables != nil }
        return peer
    }

    func restart(_ peer: TablePeer) {
        peer.machine.restart()
        directory.set(Member(info: peer.info, state: .alive, since: world.now))
    }

    func drain(_ peer: TablePeer) {
        peer.drain()
        let state = directory.state(of: peer.id) ?? .alive
        directory.set(Member(info: peer.info, state: state, since: world.now))
    }

    /// Ends a peer that has said that it leaves.
    func remove(_ peer: TablePeer) {
        directory.change(peer.id, to: .left, at: world.now)
        peer.leave()
    }
}
