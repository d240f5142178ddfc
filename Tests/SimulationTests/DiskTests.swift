import CyxCore
import SimulationHarness
import Testing

@Suite struct DiskTests {
    @Test func aCrashDropsWhatWasNotDurable() throws {
        let disk = SimulatedDisk()
        let rows = try disk.open("rows", kind: .rows)
        try rows.write([.put(key: [1], value: [10])], durable: false)
        try rows.write([.put(key: [2], value: [20])], durable: true)
        try rows.write([.put(key: [2], value: [21]), .delete(key: [1])], durable: false)
        let shards = try disk.open("shards", kind: .shards)
        try shards.write([.put(key: [1], value: [30])], durable: true)
        try shards.flush()
        try shards.write([.put(key: [2], value: [40])], durable: true)
        disk.crash()
        #expect(throws: StoreError.closed) { try rows.get([1]) }
        let rowsAfter = try disk.open("rows", kind: .rows)
        #expect(try rowsAfter.get([1]) == [10])
        #expect(try rowsAfter.get([2]) == [20])
        let shardsAfter = try disk.open("shards", kind: .shards)
        #expect(try shardsAfter.get([1]) == [30])
        #expect(try shardsAfter.get([2]) == nil)
        #expect(disk.usedBytes == 6)
    }

    @Test func scansAreOrderedAndBounded() throws {
        let store = try SimulatedDisk().open("rows", kind: .rows)
        for key in [5, 1, 3, 2, 4] as [UInt8] {
            try store.write([.put(key: [key], value: [key])], durable: true)
        }
        try store.write([.delete(key: [3])], durable: true)
        let all = try store.scan(from: [2], to: [5], limit: 10)
        #expect(all.map(\.key) == [[2], [4]])
        #expect(try store.scan(from: [], to: nil, limit: 2).map(\.key) == [[1], [2]])
    }

    @Test func aFullDiskRefusesTheWholeBatch() throws {
        let disk = SimulatedDisk(capacity: 100)
        let store = try disk.open("rows", kind: .rows)
        try store.write([.put(key: [1], value: [UInt8](repeating: 1, count: 60))], durable: true)
        let batch: [KeyValueWrite] = [
            .put(key: [2], value: [2]),
            .put(key: [3], value: [UInt8](repeating: 1, count: 60)),
        ]
        #expect(throws: StoreError.noSpace) { try store.write(batch, durable: true) }
        #expect(try store.get([2]) == nil)
        #expect(disk.freeBytes() == 39)
        try store.write([.delete(key: [1])], durable: true)
        try store.write(batch, durable: true)
    }

    @Test func injectedFaultsShow() throws {
        let disk = SimulatedDisk(seed: 3)
        let store = try disk.open("shards", kind: .shards)
        let value = [UInt8](repeating: 0, count: 64)
        try store.write([.put(key: [1], value: value)], durable: true)
        #expect(disk.flipBits(in: "shards", count: 1) == 1)
        let read = try #require(try store.get([1]))
        #expect(zip(read, value).map { ($0 ^ $1).nonzeroBitCount }.reduce(0, +) == 1)
        var faults = DiskFaults()
        faults.readError = 1
        disk.setFaults(faults)
        #expect(throws: StoreError.self) { try store.get([1]) }
        disk.wipe()
        #expect(disk.usedBytes == 0)
    }
}
