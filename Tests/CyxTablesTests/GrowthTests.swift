import CyxCore
import CyxTables
import Synchronization
import SimulationHarness
import Testing

/// Keeps writing to and reading from registers, each of which only this writer changes, and notes
/// what was acknowledged.
final class Writers: Sendable {
    struct Register: Sendable {
        var acknowledged: UInt64 = 0
        var attempted: UInt64 = 0
    }

    /// The registers that tests of growth keep changing.
    static let numbers: Range<UInt64> = 0..<20

    private let registers = Mutex<[UInt64: Register]>([:])
    private let stopped = Mutex(false)
    private let wrong = Mutex<[String]>([])
    private let failed = Mutex(0)

    var violations: [String] { wrong.withLock { $0 } }
    var failures: Int { failed.withLock { $0 } }
    var acknowledged: UInt64 {
        registers.withLock { $0.values.reduce(0) { $0 + $1.acknowledged } }
    }

    func stop() { stopped.withLock { $0 = true } }

    /// Changes register after register of `numbers` until stopped.
    func run(_ numbers: [UInt64], _ tables: TableService, _ environment: Environment) async throws {
        while !stopped.withLock({ $0 }) {
            for number in numbers { await step(number, tables) }
            try await environment.sleep(for: .milliseconds(20))
        }
    }

    private func step(_ number: UInt64, _ tables: TableService) async {
        let key = TestNetwork.key(TestNetwork.registers, number)
        let next = registers.withLock { registers -> UInt64 in
            registers[number, default: Register()].attempted += 1
            return registers[number]?.attempted ?? 0
        }
        do {
            _ = try await tables.update(key) { state in
                let value = Writers.decode(state.value)
                return value < next ? .set(Writers.encode(next)) : .abandon
            }
            registers.withLock { $0[number]?.acknowledged = next }
            try await check(number, tables)
        } catch {
            failed.withLock { $0 += 1 }
        }
    }

    /// Reads one register: it must hold what was last acknowledged, or a later attempt.
    func check(_ number: UInt64, _ tables: TableService) async throws(TableError) {
        let key = TestNetwork.key(TestNetwork.registers, number)
        let before = registers.withLock { $0[number] ?? Register() }
        let value = Writers.decode(try await tables.read(key).value)
        let after = registers.withLock { $0[number] ?? Register() }
        if value < before.acknowledged || value > after.attempted {
            wrong.withLock {
                $0.append(
                    "register \(number) holds \(value), acknowledged \(before.acknowledged), "
                        + "attempted \(after.attempted)")
            }
        }
    }

    func checkAll(_ tables: TableService) async throws(TableError) {
        for number in Writers.numbers { try await check(number, tables) }
    }

    private static func encode(_ value: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(value)
        return writer.bytes
    }

    private static func decode(_ bytes: [UInt8]?) -> UInt64 {
        (bytes ?? []).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension TestNetwork {
    /// The views that running peers serve, by partition: one line each where something is not as
    /// A1 wants it for `count` storing peers.
    func shortcomings(forPeers count: Int) throws -> [String] {
        var lines: [String] = []
        for (index, peer) in peers.enumerated() where peer.isReady {
            let health = try perform(on: index) { await $0.health() }
            if health.fullPartitions != health.partitions {
                lines.append("peer \(index): \(health)")
            }
        }
        let size = ViewSize.target(forPeers: count)
        for index in 0..<UInt64(1) << UInt64(configuration.genesisDepth) {
            guard
                let partition = Partition(depth: configuration.genesisDepth, index: index)
            else { continue }
            let custodians = try perform(on: 0) {
                try await $0.custodians(of: partition.lowerBound)
            }
            if custodians.count != size.members {
                lines.append("partition \(partition): \(custodians.count) custodians")
            }
        }
        return lines
    }

    /// Runs until every view has the size that A1 wants; returns what is missing at the end.
    func converge(forPeers count: Int, limit: Duration = .seconds(30)) throws -> [String] {
        let deadline = world.now + limit
        var lines = try shortcomings(forPeers: count)
        while !lines.isEmpty, world.now < deadline {
            world.run(for: .milliseconds(500))
            lines = try shortcomings(forPeers: count)
        }
        return lines
    }
}

@Suite struct GrowthTests {
    /// Keeps registers changing through the first peer.
    private func write(_ network: TestNetwork) -> (Writers, SimulatedTask<Void>) {
        let writers = Writers()
        let machine = network.peers[0].machine
        let task = network.world.spawn(machine) {
            try await writers.run(
                Array(Writers.numbers), network.peers[0].tables, machine.environment)
        }
        return (writers, task)
    }

    @Test(arguments: [1, 2] as [UInt64])
    func growingFromOneToFourteenLosesNothingAcknowledged(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 14, depth: 3)
        network.start(0)
        let (writers, task) = write(network)
        for count in 2...14 {
            network.start(count - 1)
            #expect(try network.converge(forPeers: count) == [], "\(count) peers")
        }
        writers.stop()
        try network.world.wait(task)
        for index in 0..<14 {
            try network.perform(on: index) { try await writers.checkAll($0) }
        }
        #expect(writers.violations == [])
        #expect(writers.failures == 0)
        #expect(writers.acknowledged > 400)
    }

    @Test(arguments: [3, 4] as [UInt64])
    func shrinkingFromFourteenToOneLosesNothingAcknowledged(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 14, depth: 2)
        for index in 0..<14 { network.start(index) }
        #expect(try network.converge(forPeers: 14) == [])
        let (writers, task) = write(network)
        // Several at once while there are many, which together are more than a view may lose.
        for group in [[13, 12, 11, 10, 9, 8], [7], [6], [5, 4], [3], [2], [1]] {
            #expect(try network.drain(group) == [])
        }
        writers.stop()
        try network.world.wait(task)
        try network.perform(on: 0) { try await writers.checkAll($0) }
        #expect(writers.violations == [])
        #expect(writers.failures == 0)
        #expect(writers.acknowledged > 400)
    }

    @Test func theLastPeerHasNobodyToGiveItsRowsTo() throws {
        let network = TestNetwork(seed: 5, peers: 2, depth: 1)
        for index in 0..<2 { network.start(index) }
        network.world.run(for: .seconds(5))
        #expect(try network.drain([1]) == [])
        #expect(try network.drain([0], limit: .seconds(20)) == [0])
    }

    @Test(arguments: [11, 12] as [UInt64])
    func fourOfFourteenDieAndAreReplaced(seed: UInt64) throws {
        let network = TestNetwork(seed: seed, peers: 14, depth: 3)
        for index in 0..<14 { network.start(index) }
        #expect(try network.converge(forPeers: 14) == [])
        let (writers, task) = write(network)
        network.world.run(for: .seconds(1))
        for index in 3..<7 { network.crash(index) }
        network.world.run(for: .seconds(1))
        let atOnce = writers.acknowledged
        network.world.run(for: .milliseconds(500))
        #expect(writers.acknowledged > atOnce, "still available before anyone is replaced")
        #expect(try network.converge(forPeers: 10) == [])
        // Everyone was replaced, so that four more may go.
        for index in 7..<8 { network.crash(index) }
        #expect(try network.converge(forPeers: 9) == [])
        writers.stop()
        try network.world.wait(task)
        try network.perform(on: 13) { try await writers.checkAll($0) }
        #expect(writers.violations == [])
        #expect(writers.failures == 0)
    }

    @Test func withoutAMajorityAPartitionIsUnavailableUntilItReturns() throws {
        let network = TestNetwork(seed: 21, peers: 9, depth: 2)
        for index in 0..<9 { network.start(index) }
        #expect(try network.converge(forPeers: 9) == [])
        let writers = Writers()
        try network.perform(on: 0) { tables in
            for number in 0..<8 as Range<UInt64> {
                let key = TestNetwork.key(TestNetwork.registers, number)
                _ = try await tables.update(key) { _ in .set([UInt8(number)]) }
            }
        }
        for index in 4..<9 { network.crash(index) }
        network.world.run(for: .seconds(10))
        #expect(throws: TableError.self) {
            _ = try network.perform(on: 0) {
                try await $0.read(TestNetwork.key(TestNetwork.registers, 1))
            }
        }
        let health = try network.perform(on: 0) { await $0.health() }
        #expect(health.unavailablePartitions == health.partitions)
        #expect(health.unavailableReason?.contains("4 of 9 custodians, 5 are needed") == true)
        network.restart(6)
        for number in 0..<8 as Range<UInt64> {
            let state = try network.perform(on: 1) {
                try await $0.read(TestNetwork.key(TestNetwork.registers, number))
            }
            #expect(state.value == [UInt8(number)])
        }
        #expect(writers.violations == [])
    }
}

@Suite struct FoundingTests {
    /// A founder that was replaced in every view has nothing left that tells of the network but a
    /// mark; started anew while it can reach nobody, it waits instead of founding a second one.
    @Test func aFounderThatLeftEveryViewDoesNotFoundASecondNetwork() throws {
        let network = TestNetwork(seed: 11, peers: 7, depth: 1)
        for index in 0..<7 { network.start(index) }
        #expect(try network.converge(forPeers: 7) == [])
        network.crash(0)
        network.world.run(for: .seconds(10))
        network.restart(0)
        network.world.run(for: .seconds(10))
        #expect(try network.perform(on: 0) { await $0.health() }.partitions == 0)
        for index in 0..<7 { network.crash(index) }
        network.restart(0)
        network.world.run(for: .seconds(5))
        #expect(try network.perform(on: 0) { await $0.health() }.partitions == 0)
    }
}
