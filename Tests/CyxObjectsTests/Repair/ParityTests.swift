import CyxCore
import CyxObjects
import SimulationHarness
import Testing

@Suite struct ParityTests {
    private let wide = Redundancy(dataShards: 10, parityShards: 4)

    /// The least m for which more than m of 10 + m are down for at most 1e-4 of the time, by the
    /// binomial as another program sums it.
    @Test(arguments: [(0.995, 4), (0.97, 4), (0.95, 5), (0.9, 8), (0.8, 10), (0.5, 10)])
    func peersThatAreUpLessGetMoreParityUpToADoubling(uptime: Double, parity: Int) {
        let code = wide.withParity(forUptime: uptime, storers: 100)
        #expect(code == Redundancy(dataShards: 10, parityShards: parity))
    }

    @Test func aCodeNeverWantsMorePeersThanThereAre() {
        #expect(wide.withParity(forUptime: 0.9, storers: 15).shards == 15)
        #expect(wide.withParity(forUptime: 0.9, storers: 14) == wide)
        let narrow = Redundancy(dataShards: 4, parityShards: 2)
        #expect(narrow.withParity(forUptime: 0.98, storers: 13).parityShards == 3)
        #expect(Redundancy.oneCopy.withParity(forUptime: 0.9, storers: 1) == .oneCopy)
    }

    @Test func unreadableSharesAreThoseOfTheBinomial() {
        #expect(abs(wide.unreadableShare(uptime: 0.9) / 0.009230212455849995 - 1) < 1e-9)
        #expect(abs(wide.unreadableShare(uptime: 0.995) / 6.025621715842365e-09 - 1) < 1e-9)
    }

    private func code(_ parity: Int) -> Redundancy {
        Redundancy(dataShards: 10, parityShards: parity)
    }

    @Test func oldObjectsFollowGrowthAtOnceAndUptimesAfterAWhile() {
        var target = RecodeTarget(patience: .seconds(100))
        func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }
        let narrow = Redundancy(dataShards: 4, parityShards: 2)
        #expect(target.code(base: narrow, best: narrow, now: at(0)) == narrow)
        #expect(target.code(base: wide, best: wide, now: at(1)) == wide)
        #expect(target.code(base: wide, best: code(7), now: at(10)) == wide)
        #expect(target.code(base: wide, best: code(6), now: at(60)) == wide)
        #expect(target.code(base: wide, best: code(8), now: at(109)) == wide)
        // The least that was wanted all the time, and from then on what is wanted beyond it.
        #expect(target.code(base: wide, best: code(8), now: at(110)) == code(6))
        #expect(target.code(base: wide, best: code(8), now: at(111)) == code(6))
        #expect(target.code(base: wide, best: code(8), now: at(211)) == code(8))
        #expect(target.code(base: wide, best: wide, now: at(212)) == wide)
    }

    @Test func onlyWhoStaysAwayMakesObjectsNarrower() {
        var lasting = LastingStorers(patience: .seconds(100))
        func note(_ count: Int, _ second: Int64) -> Int? {
            lasting.note(count, now: Instant(nanoseconds: second * 1_000_000_000))
            return lasting.count
        }
        // Who has just started sees the others come.
        #expect(note(1, 0) == nil)
        #expect(note(14, 5) == nil)
        #expect(note(13, 100) == 14)
        #expect(note(6, 150) == 14)
        #expect(note(14, 199) == 14)
        #expect(note(6, 200) == 14)
        #expect(note(7, 250) == 14)
        #expect(note(6, 300) == 7)
        #expect(note(20, 301) == 20)
    }

    @Test func aBadDayIsNoReasonToReCode() {
        var target = RecodeTarget(patience: .seconds(100))
        for second in stride(from: Int64(0), to: 1000, by: 10) {
            let isBad = second % 90 != 0
            let now = Instant(nanoseconds: second * 1_000_000_000)
            #expect(target.code(base: wide, best: isBad ? code(7) : wide, now: now) == wide)
        }
    }

    @Test func whatPeersAreMeasuredToBeUpDecidesTheParityOfNewAndOldObjects() throws {
        let world = try ObjectWorld(storers: 20)
        try world.createBucket()
        let bytes = noise(1_000_000)
        #expect(try world.put("old", bytes).redundancy == "rs(10,4)")
        world.book(world.gatewayNode).setUptime(0.9)
        #expect(try world.put("new", bytes).redundancy == "rs(10,8)")
        world.world.run(for: .seconds(10))
        func redundancy(_ key: String) throws -> String {
            try world.perform { try await $0.head(key, in: "bucket") }.redundancy
        }
        #expect(try redundancy("old") == "rs(10,4)")
        world.world.run(for: .seconds(40))
        #expect(try redundancy("old") == "rs(10,8)")
        #expect(try world.get("old") == bytes)
        // Eight of eighteen holders may be down.
        #expect(try world.runUntilFull(segments: 2))
        for holder in world.holders().prefix(8) {
            if let node = world.node(holder.entry.peer), node.peer.isRunning { world.kill(node) }
        }
        #expect(try world.get("old") == bytes)
        #expect(try world.get("new") == bytes)
    }
}
