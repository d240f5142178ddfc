import CyxCore
import SimulationHarness
import Synchronization
import Testing

/// A shell actor as the layers above write them.
private actor Counting {
    private let environment: Environment
    private var value = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    init(_ environment: Environment) {
        self.environment = environment
    }

    func add(_ amount: Int) async throws -> Int {
        try await environment.sleep(for: .milliseconds(amount))
        value += amount
        return value
    }

    nonisolated func arm() {
        _ = environment.executor.schedule(at: environment.now() + .milliseconds(5)) {
            self.assumeIsolated { $0.value += 1000 }
        }
    }
}

private func work(_ peer: SimulatedPeer) async throws -> Int {
    let environment = peer.environment
    let counting = Counting(environment)
    counting.arm()
    return try await withThrowingTaskGroup(of: Int.self) { group in
        for amount in 1...20 {
            group.addTask {
                let extra = Int(environment.random.next() % 7)
                return try await counting.add(amount + extra)
            }
        }
        var sum = 0
        for try await value in group { sum = sum &* 31 &+ value }
        return await environment.blocking.run { [sum] in sum }
    }
}

@Suite struct WorldTests {
    @Test func oneSeedTwiceGivesOneTraceAndAnotherSeedAnother() throws {
        func run(seed: UInt64) throws -> (TraceHash, [Int]) {
            let world = SimulatedWorld(seed: seed)
            let tasks = world.addPeers(5).map { peer in world.spawn(peer) { try await work(peer) } }
            let results = try tasks.map { try world.wait($0) }
            return (world.trace, results)
        }
        let first = try run(seed: 7)
        let second = try run(seed: 7)
        let other = try run(seed: 8)
        #expect(first == second)
        #expect(first.0 != other.0)
    }

    @Test func virtualTimePassesWithoutRealTime() throws {
        let world = SimulatedWorld(seed: 1)
        let peer = world.addPeer()
        let slept = try world.perform(on: peer, limit: .seconds(90_000)) {
            let start = peer.environment.now()
            try await peer.environment.sleep(for: .seconds(86_400))
            return peer.environment.now() - start
        }
        #expect(slept == .seconds(86_400))
    }

    @Test func cancellingASleepEndsItAtOnce() throws {
        let world = SimulatedWorld(seed: 1)
        let peer = world.addPeer()
        let task = world.spawn(peer) {
            try await peer.environment.sleep(for: .seconds(3600))
        }
        world.run(for: .seconds(1))
        task.cancel()
        #expect(throws: CancellationError.self) { try world.wait(task, limit: .seconds(1)) }
    }

    @Test func aCrashedPeerNeverRunsAgain() throws {
        let world = SimulatedWorld(seed: 1)
        let peer = world.addPeer()
        let ticks = Mutex(0)
        let count: @Sendable () -> Int = { ticks.withLock { $0 } }
        peer.start { peer in
            while true {
                try await peer.environment.sleep(for: .seconds(1))
                ticks.withLock { $0 += 1 }
            }
        }
        world.run(for: .milliseconds(3500))
        #expect(count() == 3)
        peer.crash()
        #expect(!peer.isRunning)
        world.run(for: .seconds(10))
        #expect(count() == 3)
        peer.restart()
        world.run(for: .milliseconds(2500))
        #expect(count() == 5)
        #expect(peer.lives == 2)
    }

    @Test func stoppingCancelsTheProcessAndLetsItFinish() throws {
        let world = SimulatedWorld(seed: 1)
        let peer = world.addPeer()
        peer.start { peer in
            do {
                try await peer.environment.sleep(for: .seconds(100))
            } catch {
                let store = try peer.disk.open("rows", kind: .rows)
                try store.write([.put(key: [1], value: [2])], durable: true)
            }
        }
        world.run(for: .seconds(1))
        peer.stop()
        #expect(world.run(limit: .seconds(1)) { peer.processResult != nil })
        peer.restart()
        #expect(try peer.disk.open("rows", kind: .rows).get([1]) == [2])
    }

    @Test func wallClocksDriftApart() {
        let world = SimulatedWorld(seed: 1)
        let (first, second) = (world.addPeer(), world.addPeer())
        first.clock.setDrift(partsPerMillion: 100)
        second.clock.step(byMilliseconds: -250)
        world.run(for: .seconds(1000))
        let start = SimulatedWallClock.startMilliseconds
        #expect(first.environment.wallTime().milliseconds == start + 1_000_100)
        #expect(second.environment.wallTime().milliseconds == start + 999_750)
    }
}
