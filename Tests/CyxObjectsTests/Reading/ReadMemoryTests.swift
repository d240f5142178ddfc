import CyxCore
import CyxObjects
import SimulationHarness
import Synchronization
import Testing

/// How reads share the memory that they have together.
@Suite struct ReadMemoryTests {
    private static let mebibyte = 1 << 20

    // MARK: The ledger

    /// Takes what somebody waits for, or what nobody asked for yet; returns whether there was room.
    private func take(_ bytes: Int, from ledger: inout ReadLedger, isAhead: Bool = false) -> Bool {
        isAhead ? ledger.takeAhead(bytes) : ledger.take(bytes)
    }

    private func due(_ ledger: inout ReadLedger) -> [UInt64] { ledger.due() }

    @Test func whoeverWaitsIsServedInTurn() {
        var ledger = ReadLedger(capacity: 100)
        #expect(take(60, from: &ledger))
        #expect(!take(50, from: &ledger))
        let first = ledger.wait(for: 50)
        // It would fit, and would overtake.
        #expect(!take(10, from: &ledger))
        let second = ledger.wait(for: 10)
        #expect(due(&ledger).isEmpty)
        ledger.giveBack(60)
        #expect(due(&ledger) == [first, second])
        #expect(ledger.used == 60)
        #expect(take(40, from: &ledger))
    }

    @Test func whoGoesAwayLetsTheNextOnesIn() {
        var ledger = ReadLedger(capacity: 100)
        #expect(take(60, from: &ledger))
        let large = ledger.wait(for: 50)
        let small = ledger.wait(for: 40)
        #expect(due(&ledger).isEmpty)
        ledger.leave(large)
        #expect(due(&ledger) == [small])
    }

    @Test func nothingIsFetchedAheadWhereLittleIsLeft() {
        var ledger = ReadLedger(capacity: 100)
        #expect(take(75, from: &ledger, isAhead: true))
        #expect(!ledger.isScarce)
        #expect(!take(1, from: &ledger, isAhead: true))
        #expect(take(25, from: &ledger))
        #expect(ledger.isScarce)
        ledger.giveBack(90)
        #expect(ledger.lacking == 0)
        _ = ledger.wait(for: 95)
        #expect(ledger.isScarce && !take(1, from: &ledger, isAhead: true))
        // Of 10 that are taken, and 95 that are waited for.
        #expect(ledger.lacking == 55)
    }

    @Test func aWindowLargerThanAllIsFetchedAlone() {
        var ledger = ReadLedger(capacity: 100)
        #expect(take(1, from: &ledger))
        let ticket = ledger.wait(for: 101)
        ledger.giveBack(1)
        #expect(due(&ledger) == [ticket])
    }

    // MARK: Reads

    /// A read whose client takes pieces when it is told to.
    private actor Client {
        private var source: any ByteSource
        private(set) var bytes: [UInt8] = []

        init(_ source: any ByteSource) {
            self.source = source
        }

        /// Takes so many pieces; returns what it took last.
        @discardableResult
        func take(_ pieces: Int) async throws -> Int {
            var last = 0
            for _ in 0..<pieces {
                var source = source
                guard let piece = try await source.next() else { return 0 }
                last = piece.count
                bytes += piece
            }
            return last
        }
    }

    private func world(_ bytes: [UInt8]) throws -> ObjectWorld {
        let world = try ObjectWorld(storers: 6, readBytes: ReadMemory.leastBytes)
        try world.createBucket()
        _ = try world.put("key", bytes)
        return world
    }

    private func client(_ world: ObjectWorld) throws -> Client {
        try world.perform {
            Client(try await $0.get("key", in: "bucket", range: .whole).source)
        }
    }

    private func take(_ pieces: Int, _ client: Client, _ world: ObjectWorld) throws -> Int {
        try world.perform { _ in try await client.take(pieces) }
    }

    @Test func aClientThatTakesNothingHasNothingFetchedAhead() throws {
        let world = try world(noise(12 << 20))
        let client = try client(world)
        _ = try take(1, client, world)
        world.world.run(for: .seconds(5))
        // The rest of its window, and no other.
        #expect(world.readMemoryBytes <= 4 * Self.mebibyte)
        // One that goes on has more fetched the more it takes.
        _ = try take(3, client, world)
        world.world.run(for: .seconds(5))
        #expect(world.readMemoryBytes > 4 * Self.mebibyte)
    }

    @Test func allIsGivenBackAtTheEnd() throws {
        let bytes = noise(12 << 20)
        let world = try world(bytes)
        #expect(try world.get("key") == bytes)
        #expect(world.readMemoryBytes == 0)
        var client: Client? = try client(world)
        _ = try client.map { try take(3, $0, world) }
        world.world.run(for: .seconds(5))
        #expect(world.readMemoryBytes > 0)
        client = nil
        #expect(world.readMemoryBytes == 0)
    }

    @Test func clientsThatStopReadingKeepNobodyFromReading() throws {
        let bytes = noise(6 << 20)
        let world = try world(bytes)
        var clients: [Client] = []
        for _ in 0..<40 {
            let client = try client(world)
            #expect(try take(3, client, world) > 0)
            #expect(world.readMemoryBytes <= ReadMemory.leastBytes)
            clients.append(client)
        }
        let start = world.world.now
        #expect(try world.get("key") == bytes)
        #expect(world.world.now - start < .seconds(5))
        let metrics = world.gatewayNode.peer.environment.metrics
        #expect(metrics.counter("cyxcloud_reads_put_down_total").value > 0)
        // What was put down is fetched again for who goes on.
        for client in [clients[0], clients[20], clients[39]] {
            while try take(1, client, world) > 0 {}
            let taken = try world.perform { _ in await client.bytes }
            #expect(taken == bytes)
        }
    }

    @Test func whoIsGivenBytesWhereLittleIsLeftIsGivenFew() throws {
        let world = try world(noise(2 << 20))
        var held = 0
        var clients: [Client] = []
        for _ in 0..<100 {
            let client = try client(world)
            let taken = try take(1, client, world)
            #expect(taken > 0)
            held += taken
            clients.append(client)
        }
        #expect(held < ReadMemory.leastBytes)
        #expect(world.readMemoryBytes <= ReadMemory.leastBytes)
    }
}
