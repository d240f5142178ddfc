import CyxCore
import CyxCrypto
import CyxObjects
import Testing

/// A machine and the peers that it knows, moved by hand.
struct RepairBench {
    var peers: RepairPeers
    var machine: RepairMachine
    var now = Instant(nanoseconds: 0)
    static let code = Redundancy(dataShards: 10, parityShards: 4)

    init(
        peers count: Int = 30, zones: Int = 5, timings: RepairTimings = .production,
        limits: RepairLimits = RepairLimits()
    ) {
        peers = RepairPeers(timings: timings)
        machine = RepairMachine(timings: timings, limits: limits)
        for number in 0..<count {
            peers.set(peer(number), RepairBench.state(number, zones: zones), now: now)
        }
        machine.peersChanged([peer(0)], peers, now: now)
    }

    static func state(_ number: Int, zones: Int = 5) -> RepairPeer {
        RepairPeer(store: StoreID(digest(number)), zone: "z\(number % zones)")
    }

    static func digest(_ number: Int) -> Digest { BLAKE3.hash([UInt8(number)]) }

    func peer(_ number: Int) -> PeerID { PeerID(RepairBench.digest(number)) }

    func entry(_ index: Int, at number: Int) -> HolderEntry {
        HolderEntry(
            index: index, peer: peer(number), store: StoreID(RepairBench.digest(number)),
            receiptHash: [UInt8](repeating: UInt8(number), count: 16))
    }

    func segment(_ number: Int) -> SegmentID { SegmentID(BLAKE3.hash([1, UInt8(number)])) }

    /// Index i at peer `first` + i, and what else is said.
    mutating func load(
        _ number: Int, first: Int = 0, also: [HolderEntry] = [], without: Set<Int> = [],
        rank: Int = 0, hasQuorum: Bool = true
    ) {
        let shape = SegmentShape(
            id: segment(number), code: RepairBench.code, chunkLengths: [10 << 20],
            roots: Array(repeating: .zero, count: 14), created: WallTime(milliseconds: 0))
        let entries = (0..<14).filter { !without.contains($0) }.map { entry($0, at: first + $0) }
        machine.load(
            shape, [], entries + also, rank: rank, hasQuorum: hasQuorum, peers, now: now)
    }

    mutating func lose(_ numbers: [Int]) {
        for number in numbers { peers.set(peer(number), nil, now: now) }
        machine.peersChanged(numbers.map(peer), peers, now: now)
    }

    mutating func restore(_ numbers: [Int]) {
        for number in numbers {
            peers.set(peer(number), RepairBench.state(number), now: now)
        }
        machine.peersChanged(numbers.map(peer), peers, now: now)
    }

    /// The shard with that index, as `load` places it, turned out to be bad.
    mutating func markBad(_ number: Int, index: Int) {
        machine.markBad(segment(number), index: index, peer: peer(index), peers, now: now)
    }

    mutating func wait(_ seconds: Int64) { now = now + .seconds(seconds) }

    var due: [RepairTask] { machine.due(peers, now: now) }

    func rebuilds(_ numbers: Int...) -> [RepairTask] { numbers.map { .rebuild(segment($0)) } }
}

@Suite struct RepairScheduleTests {
    private let hour: Int64 = 3600

    @Test(arguments: [(1, 24 * 3600), (2, 3600), (3, 0), (4, 0)] as [(Int, Int64)])
    func theFewerLossesCanBeBorneTheSoonerItIsRebuilt(lost: Int, delay: Int64) {
        // So many peers that four losses are no storm.
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.wait(10 * hour)
        #expect(bench.due == [])
        bench.lose(Array(0..<lost))
        if delay > 0 {
            let next = bench.machine.nextDue(bench.peers, now: bench.now)
            #expect(next == bench.now + .seconds(delay))
            bench.wait(delay - 1)
            #expect(bench.due == [])
            bench.wait(1)
        }
        #expect(bench.due == bench.rebuilds(0))
    }

    @Test func whatCannotBeReadIsNotTried() {
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.wait(hour)
        bench.lose(Array(0..<5))
        bench.wait(48 * hour)
        #expect(bench.due == [])
        #expect(bench.machine.status.lost == 1)
    }

    @Test func whatTooManyBadShardsMakeUnreadableIsLookedAtAgain() {
        var bench = RepairBench()
        bench.load(0)
        bench.load(1)
        for index in 0..<5 { bench.markBad(0, index: index) }
        bench.wait(1)
        // The others are gone: nobody could be asked again.
        bench.lose(Array(0..<5))
        #expect(bench.due == [])
        bench.restore(Array(0..<5))
        #expect(bench.due == bench.rebuilds(0))
        bench.machine.markGood(
            bench.entry(2, at: 2), of: bench.segment(0), bench.peers, now: bench.now)
        #expect(bench.machine.segments[bench.segment(0)]?.missing == [0, 1, 3, 4])
        #expect(bench.machine.status.atRisk == 1 && bench.machine.status.lost == 0)
    }

    @Test func theMostEndangeredComesFirstThenTheLikeliestToBeLostThenTheOldest() {
        var limits = RepairLimits()
        limits.ordinary = 9
        limits.endangered = 9
        var bench = RepairBench(peers: 200, zones: 20, limits: limits)
        for number in 0..<5 { bench.load(number, first: 20 * number) }
        bench.wait(hour)
        // Margins 2, 2, 2, 0 and 1; the third holds a shard at a peer that is suspected.
        bench.lose([0, 1])
        bench.wait(1)
        bench.lose([20, 21, 40, 41, 60, 61, 62, 63, 80, 81, 82])
        var suspect = RepairBench.state(45, zones: 20)
        suspect.risk = 0.5
        bench.peers.set(bench.peer(45), suspect, now: bench.now)
        bench.machine.peersChanged([bench.peer(45)], bench.peers, now: bench.now)
        bench.wait(2 * hour)
        #expect(bench.due == bench.rebuilds(3, 4, 2, 0, 1))
    }

    @Test func atMostFourEndangeredAndTwoOthersAreRebuiltAtOnce() {
        var bench = RepairBench(peers: 200, zones: 20)
        for number in 0..<6 { bench.load(number, first: 0) }
        for number in 6..<10 { bench.load(number, first: 20) }
        bench.wait(hour)
        bench.lose([0, 1, 2, 20, 21])
        bench.wait(2 * hour)
        let first = bench.due
        #expect(first.count == 6)
        for task in first { bench.machine.begin(task, now: bench.now) }
        #expect(bench.due == [])
        #expect(bench.machine.nextDue(bench.peers, now: bench.now) == nil)
        bench.machine.end(first[0].segment, succeeded: true, now: bench.now)
        #expect(bench.due.count == 1)
    }

    @Test func theThrottleHoldsBackOnlyWhatIsNotEndangered() {
        var bench = RepairBench(
            peers: 200, zones: 20, limits: RepairLimits(bytesPerSecond: 1 << 20))
        for number in 0..<4 { bench.load(number, first: 20 * number) }
        bench.wait(hour)
        bench.lose([0, 1, 20, 21, 40, 41, 60, 61, 62])
        bench.wait(2 * hour)
        // One in advance, and the endangered one; a segment moves 12 MiB.
        let first = bench.due
        #expect(first.count == 2 && first[0] == .rebuild(bench.segment(3)))
        for task in first { bench.machine.begin(task, now: bench.now) }
        for task in first { bench.machine.end(task.segment, succeeded: true, now: bench.now) }
        for number in [0, 1, 2, 3] where first.contains(.rebuild(bench.segment(number))) {
            bench.machine.remove(bench.segment(number))
        }
        #expect(bench.due == [])
        bench.wait(7)
        #expect(bench.due == [])
        bench.wait(1)
        #expect(bench.due.count == 1)
        bench.machine.setThrottle(nil, now: bench.now)
        #expect(bench.due.count == 2)
    }

    @Test func aPauseLeavesTheEndangeredAlone() {
        var bench = RepairBench(peers: 200, zones: 20)
        bench.load(0)
        bench.load(1, first: 20)
        bench.wait(hour)
        bench.lose([0, 1, 20, 21, 22])
        bench.wait(2 * hour)
        bench.machine.isPaused = true
        #expect(bench.due == bench.rebuilds(1))
        bench.machine.isPaused = false
        #expect(bench.due == bench.rebuilds(1, 0))
    }

    @Test func whoIsAskedToHastenDoesNotWait() {
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.wait(hour)
        bench.lose([0])
        #expect(bench.due == [])
        bench.machine.hastenAll()
        #expect(bench.due == bench.rebuilds(0))
    }

    @Test func theNextCustodianGivesTheFirstItsTime() {
        var bench = RepairBench(peers: 60)
        bench.load(0, rank: 1)
        bench.wait(hour)
        bench.lose([0, 1, 2])
        bench.wait(59)
        #expect(bench.due == [])
        bench.wait(1)
        #expect(bench.due == bench.rebuilds(0))
    }

    @Test func withoutAQuorumNothingIsRebuiltMovedOrReleased() {
        var bench = RepairBench(peers: 60)
        bench.load(0, hasQuorum: false)
        bench.load(1, also: (14..<17).map { bench.entry(3, at: $0) }, hasQuorum: false)
        bench.wait(hour)
        bench.lose([0, 1, 2])
        bench.wait(100 * hour)
        #expect(bench.due == [])
        bench.machine.setCustody(bench.segment(0), rank: 0, hasQuorum: true)
        #expect(bench.due == bench.rebuilds(0))
        bench.restore([0, 1, 2])
        bench.wait(100 * hour)
        #expect(bench.due == [])
        bench.machine.setCustody(bench.segment(1), rank: 0, hasQuorum: true)
        #expect(bench.due.count == 1)
    }

    @Test func peersThatAreAwayAreWaitedForUnlessNothingMoreCouldBeLost() {
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.wait(hour)
        func away(_ numbers: Range<Int>) {
            for number in numbers {
                var state = RepairBench.state(number)
                state.isAway = true
                bench.peers.set(bench.peer(number), state, now: bench.now)
            }
            bench.machine.peersChanged(numbers.map(bench.peer), bench.peers, now: bench.now)
        }
        away(0..<3)
        bench.wait(20 * hour)
        #expect(bench.due == [])
        away(3..<4)
        #expect(bench.due == bench.rebuilds(0))
    }
}

@Suite struct RepairStormTests {
    private let hour: Int64 = 3600

    @Test func afterAStormOnlyTheEndangeredAreRebuiltForAnHour() {
        var bench = RepairBench(peers: 30)
        bench.load(0, first: 0)
        bench.load(1, first: 14)
        bench.wait(24 * hour)
        // Four of 30: segment 0 bears no further loss but one, segment 1 two.
        bench.lose([0, 1, 14, 15])
        bench.lose([2])
        #expect(bench.machine.segments[bench.segment(0)]?.margin == 1)
        #expect(bench.machine.segments[bench.segment(1)]?.margin == 2)
        #expect(bench.due == bench.rebuilds(0))
        bench.machine.hastenAll()
        bench.wait(hour - 1)
        #expect(bench.due == bench.rebuilds(0))
        bench.wait(1)
        #expect(bench.due == bench.rebuilds(0, 1))
    }

    @Test func aZoneThatGoesWholeIsAStormHoweverSmall() {
        // 60 peers in 20 zones of three.
        var bench = RepairBench(peers: 60, zones: 20)
        bench.wait(hour)
        bench.lose([0, 20])
        #expect(bench.peers.stormEnd == nil)
        bench.lose([40])
        #expect(bench.peers.stormEnd == bench.now + .seconds(hour))
    }

    /// Most that a peer sees of a large network are nothing to it, and come and go unnoticed.
    @Test func inALargeNetworkOnlyLossesOfHoldersMakeAStorm() {
        var bench = RepairBench(peers: 60, zones: 30)
        let holders = Set((0..<20).map(bench.peer))
        func without(_ gone: Range<Int>) -> [PeerID: RepairPeer] {
            var peers = bench.peers.peers
            for number in gone { peers[bench.peer(number)] = nil }
            return peers
        }
        _ = bench.peers.replace(without(20..<50), watched: holders, now: bench.now)
        #expect(bench.peers.stormEnd == nil)
        _ = bench.peers.replace(without(0..<3), watched: holders, now: bench.now)
        #expect(bench.peers.stormEnd != nil)
    }

    @Test func lossesThatAreFarApartOrMendedAreNoStorm() {
        var bench = RepairBench(peers: 30, zones: 3)
        bench.wait(hour)
        for number in 0..<8 {
            bench.lose([number])
            bench.wait(16 * 60)
        }
        #expect(bench.peers.stormEnd == nil)
        // Three that come and go count once each, and only while they are gone.
        for _ in 0..<4 {
            bench.lose([9])
            bench.restore([9])
        }
        #expect(bench.peers.stormEnd == nil)
    }
}

@Suite struct RepairPlacementTests {
    private let hour: Int64 = 3600

    @Test func twoSparesAreKeptAndWhatIsBeyondGoesAfterADay() {
        var bench = RepairBench(peers: 60)
        bench.load(0, also: [14, 15].map { bench.entry(3, at: $0) })
        bench.wait(100 * hour)
        #expect(bench.due == [])
        let shard = ShardID(segment: bench.segment(0), index: 3)
        #expect(!bench.machine.wantsSpare(shard, bench.peers))
        #expect(
            bench.machine.wantsSpare(
                ShardID(segment: bench.segment(0), index: 4), bench.peers))
        let entries = [3, 14, 15, 16].map { bench.entry(3, at: $0) }
        bench.load(0, also: Array(entries.dropFirst()))
        bench.wait(24 * hour - 1)
        #expect(bench.due == [])
        bench.wait(1)
        let last = entries.max { $0.peer < $1.peer }
        #expect(bench.due == [.release(bench.segment(0), [last].compactMap { $0 })])
    }

    @Test func entriesThatLeadNowhereGoOnceAnotherHasTheShard() {
        var bench = RepairBench(peers: 60)
        let spare = bench.entry(3, at: 21)
        var wiped = bench.entry(4, at: 22)
        wiped.store = StoreID(RepairBench.digest(99))
        // Another receipt for what is counted already.
        var again = bench.entry(5, at: 5)
        again.receiptHash = [UInt8](repeating: 99, count: HolderEntry.hashBytes)
        // Its peer is gone, and may come back.
        let absent = bench.entry(6, at: 70)
        bench.load(0, also: [spare, wiped, again, absent])
        bench.machine.markBad(
            bench.segment(0), index: 3, peer: bench.peer(21), bench.peers, now: bench.now)
        bench.wait(24 * hour - 1)
        #expect(bench.due == [])
        bench.wait(1)
        #expect(bench.due == [.release(bench.segment(0), [spare, wiped, again])])
        bench.load(0)
        #expect(bench.due == [])
    }

    @Test func whoHadABadShardIsNotTrustedUntilItHasAnotherDisk() throws {
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.markBad(0, index: 3)
        bench.load(0, also: [bench.entry(3, at: 20)], without: [3])
        let segment = try #require(bench.machine.segments[bench.segment(0)])
        #expect(bench.machine.distrusted(segment, bench.peers) == [bench.peer(3)])
        var renewed = RepairBench.state(3)
        renewed.store = StoreID(RepairBench.digest(99))
        bench.peers.set(bench.peer(3), renewed, now: bench.now)
        #expect(bench.machine.distrusted(segment, bench.peers) == [])
    }

    @Test func whoGoesAndCannotWriteSoIsRelievedAtOnce() {
        var bench = RepairBench(peers: 60)
        bench.load(0)
        bench.wait(hour)
        bench.machine.markLeaving(
            ShardID(segment: bench.segment(0), index: 3), at: bench.peer(3), bench.peers,
            now: bench.now)
        #expect(bench.due == [.move(bench.segment(0), bench.entry(3, at: 3))])
        bench.load(0, also: [bench.entry(3, at: 20)], without: [3])
        #expect(bench.due == [])
    }

    @Test func aSpareStandsInForItsIndex() {
        var bench = RepairBench(peers: 60)
        bench.load(0, also: [bench.entry(3, at: 20)])
        bench.wait(hour)
        bench.lose([3])
        bench.wait(100 * hour)
        #expect(bench.due == [])
        bench.lose([20])
        bench.wait(24 * hour)
        #expect(bench.due == bench.rebuilds(0))
    }

    @Test func aZoneAboveItsShareGivesAShardAwayWhereThereIsRoom() {
        // Five zones may hold four each; here zone 0 holds five, as indices 9 to 13 lie with its
        // peers 15, 20, 25, 30 and 35 instead.
        var bench = RepairBench(peers: 60)
        let moved = (0..<5).map { bench.entry(9 + $0, at: 15 + 5 * $0) }
        bench.load(0, also: moved, without: [9, 10, 11, 12, 13])
        bench.wait(hour + 60)
        // Peers 0 and 5 are in zone 0, too: seven of fourteen, of which the highest index moves.
        #expect(bench.due == [.move(bench.segment(0), bench.entry(13, at: 35))])
        bench.lose([1])
        #expect(bench.due == [])
    }

    @Test func twoShardsAtOnePeerAreParted() {
        var bench = RepairBench(peers: 60)
        bench.load(0, also: [bench.entry(13, at: 2)], without: [13])
        bench.wait(hour + 60)
        #expect(bench.due == [.move(bench.segment(0), bench.entry(13, at: 2))])
    }

    @Test func nothingIsMovedWhereNoZoneHasRoom() {
        // One zone of thirty peers beside one of two: nobody else can take what is too much.
        var bench = RepairBench(peers: 0)
        for number in 0..<32 {
            let state = RepairPeer(
                store: StoreID(RepairBench.digest(number)), zone: number < 30 ? "a" : "b")
            bench.peers.set(bench.peer(number), state, now: bench.now)
        }
        bench.machine.peersChanged([bench.peer(0)], bench.peers, now: bench.now)
        let inB = [12, 13].map { bench.entry($0, at: 18 + $0) }
        bench.load(0, also: inB, without: [12, 13])
        bench.wait(100 * hour)
        #expect(bench.due == [])
    }
}
