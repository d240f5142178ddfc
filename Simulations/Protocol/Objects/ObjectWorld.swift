import CyxCore
import CyxObjects
import CyxOverlay
import CyxTables
import SimulationHarness
import Synchronization

/// Storage peers in zones and gateways of one account, with everything that programs run above the
/// transport: one partition, short times, and a membership that the adversary writes. A virtual
/// minute takes about a second, so that many seeds can be tried.
final class ObjectWorld: Sendable {
    /// Storage peers at the start: segments lie on 6 of them as rs(4,2), rows on 5. One zone has
    /// three of them, so that only what caps a zone's share lets both bear its loss.
    static let storers = 9
    static let zones = 4
    static let gateways = 2
    static let bucket = "simulated"
    static let accountSeed = [UInt8](repeating: 42, count: 32)
    private static let packGraces: [Duration] = [
        .milliseconds(500), .seconds(2), .seconds(12),
    ]

    let world: SimulatedWorld
    let directory = MemberDirectory()
    let tables: TablesConfiguration
    let timings: ObjectTimings
    let broken: Set<ObjectRule>
    /// One seed of four has a bucket that keeps versions.
    let keepsVersions: Bool
    /// Whether clients are there that put much at once, which shares segments.
    let packs: Bool
    private let state = Mutex<[ObjectPeer]>([])
    /// Segments of the account with a lease, if there is one.
    private let leased = Mutex<Set<SegmentID>>([])
    let direct = DirectPeers()
    let forgeries = Forgeries()

    private static let tableTimings: TableTimings = {
        var timings = TableTimings.hasty
        timings.deathDelay = .milliseconds(400)
        timings.settleDelay = .milliseconds(200)
        timings.rankStagger = .milliseconds(60)
        timings.reminder = .milliseconds(250)
        timings.tick = .milliseconds(200)
        timings.comparison = .seconds(2)
        // Longer than an operation goes on, and not much: what is replayed finds rows forgotten.
        timings.tombstoneAge = .seconds(3)
        return timings
    }()

    private static let objectTimings: ObjectTimings = {
        var timings = ObjectTimings.devnet
        timings.appendTimeout = .milliseconds(800)
        timings.readTimeout = .milliseconds(500)
        timings.stragglerGrace = .milliseconds(100)
        timings.hedge = (.milliseconds(20), .milliseconds(200))
        timings.unfinishedUpload = .seconds(10)
        timings.cleanupRetry = (.milliseconds(100), .seconds(1))
        timings.repair.refresh = .seconds(8)
        timings.repair.rankStagger = .seconds(1)
        timings.repair.claim = .seconds(3)
        timings.repair.settle = .milliseconds(1500)
        timings.repair.storm = (.seconds(2), .milliseconds(500))
        timings.repair.declump = .seconds(2)
        timings.repair.surplus = .seconds(4)
        timings.audits.period = .seconds(20)
        timings.audits.window = .seconds(60)
        timings.audits.answer = .milliseconds(800)
        timings.audits.retry = .milliseconds(300)
        // Longer than any write that is still under way can take.
        timings.collection.grace = .seconds(12)
        // Heads refuse a bounded number of writes at a time, and many are given up here.
        timings.collection.fence = .seconds(30)
        timings.collection.partBits = 4
        timings.collection.pause = .milliseconds(300)
        timings.collection.unregistered = .seconds(15)
        timings.collection.sweep = (.milliseconds(100), .seconds(5))
        timings.collection.recheck = .seconds(10)
        timings.collection.trash = .seconds(6)
        timings.leases.grace = .seconds(6)
        timings.leases.settle = .seconds(8)
        return timings
    }()

    /// Peers' log lines at or above `printed` are printed.
    init(
        seed: UInt64, without broken: Set<ObjectRule>, packs: Bool = false,
        printed: LogLevel? = nil
    ) {
        var options = WorldOptions()
        options.printedLogLevel = printed
        options.links.latency = .milliseconds(1)
        options.minimumLogLevel = printed ?? .error
        world = SimulatedWorld(seed: seed, options: options)
        var tables = TablesConfiguration()
        tables.genesisDepth = 0
        // Splits are looked at in the world of tables; here one view is struck at a time.
        tables.splitRatio = 0
        tables.timings = Self.tableTimings
        tables.twoPhaseTables = ObjectRowRules.twoPhaseTables
        tables.loggedTables = ObjectRowRules.loggedTables
        if !broken.contains(.custodiansJudge) {
            tables.custodianTables = ObjectRowRules.custodianTables
        }
        if !broken.contains(.keepsRoomForRepair) {
            tables.openRowBytes = ObjectRowRules.openRowBytes
        }
        if !broken.contains(.checksSignatures) { tables.validate = ObjectRowRules.validate }
        self.tables = tables
        keepsVersions = seed % 4 == 3 && broken.isEmpty
        var timings = Self.objectTimings
        // What is safe must not depend on it (B5): it spares writes that go on for longer.
        if packs { timings.collection.grace = Self.packGraces[Int(seed / 8 % 3)] }
        self.timings = timings
        self.packs = packs
        self.broken = broken
    }

    var peers: [ObjectPeer] { state.withLock { $0 } }
    var storers: [ObjectPeer] { peers.filter { $0.isStoring && !$0.isGone } }
    var gateways: [ObjectPeer] {
        peers.filter { !$0.isStoring && !$0.isLyingWriter && !$0.isLeased }
    }

    /// Custodians of a row that know what has been chosen.
    static let quorum = 3
    /// For how long a holder goes by a lease that it read: what it remembers, and the reading itself.
    var leaseMemory: Duration { timings.leases.memory + tables.timings.operationTimeout * 2 }

    var leasedSegments: Set<SegmentID> { leased.withLock { $0 } }
    func setLeased(_ segments: Set<SegmentID>) { leased.withLock { $0 = segments } }

    func peer(_ id: PeerID) -> ObjectPeer? { peers.first { $0.id == id } }

    /// Adds a machine, starts it and lets everyone know it; the first one founds the network.
    @discardableResult
    func addPeer(
        storing: Bool, lying: Bool = false, leased: Bool = false
    ) -> ObjectPeer {
        let number = peers.count
        let peer = ObjectPeer(
            machine: world.addPeer(), zone: storing ? "zone\(number % Self.zones)" : "",
            isStoring: storing, isLyingWriter: lying, isLeased: leased)
        state.withLock { $0.append(peer) }
        peer.boot(self, isFounder: number == 0)
        world.run(limit: .seconds(2)) { peer.isUp }
        return peer
    }

    func crash(_ peer: ObjectPeer) {
        peer.crash()
        directory.change(peer.id, to: .dead, at: world.now)
    }
}
