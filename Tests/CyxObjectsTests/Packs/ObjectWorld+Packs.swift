import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// Bodies that are put at once.
enum Packing {
    static let count = 12
    /// Packs that are begun at once, each with the first body that came.
    static let atOnce = PackMachine.Limits().packs

    static func body(_ number: Int) -> [UInt8] {
        noise(5000 + 3001 * number, seed: UInt64(number + 1))
    }
}

extension ObjectWorld {
    static func packing(storers: Int = 4) throws -> ObjectWorld {
        let world = try ObjectWorld(storers: storers, upkeep: true, timings: .hastyCollection)
        try world.createBucket()
        return world
    }

    /// Puts all bodies at once; which puts failed. `cancelled`: after how long each of these is.
    func putTogether(
        cancelled: [Int: Duration] = [:],
        bucket: @escaping @Sendable (Int) -> String = { _ in "bucket" }
    ) throws -> Set<Int> {
        let environment = gatewayNode.peer.environment
        return try perform { gateway in
            await withTaskGroup(of: Int?.self) { group in
                for number in 0..<Packing.count {
                    group.addTask {
                        do {
                            try await withThrowingTaskGroup(of: Void.self) { put in
                                put.addTask {
                                    _ = try await gateway.put(
                                        "\(number)", in: bucket(number), options: PutOptions(),
                                        body: Pieces(Packing.body(number), of: 7000))
                                }
                                if let time = cancelled[number] {
                                    try await environment.sleep(for: time)
                                    put.cancelAll()
                                }
                                try await put.waitForAll()
                            }
                            return nil
                        } catch { return number }
                    }
                }
                var failed: Set<Int> = []
                for await number in group { if let number { failed.insert(number) } }
                return failed
            }
        }
    }

    /// How many stand behind each segment.
    func referenceCounts() -> [Int] {
        shared.state.withLock { state in
            state.merges.filter { $0.key.table == .references }
                .map { $0.value.count { $0.value != nil } }.filter { $0 > 0 }.sorted()
        }
    }

    func expectAll(but missing: Set<Int> = []) throws {
        for number in 0..<Packing.count where !missing.contains(number) {
            #expect(try get("\(number)") == Packing.body(number))
        }
        for number in missing {
            #expect(throws: ObjectError.noSuchKey) { try get("\(number)") }
        }
    }

    func restartGateway() throws {
        gatewayNode.peer.crash()
        try startGateway()
    }
}
