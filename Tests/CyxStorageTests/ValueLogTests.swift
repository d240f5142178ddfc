import CyxCore
import CyxStorage
import Glibc
import Testing

/// The log behind shards: what crashes, deletions and damage leave of it.
struct ValueLogTests {
    /// Files and checkpoints so small that a test passes through many.
    private static var small: ValueLogTuning {
        var tuning = ValueLogTuning()
        tuning.fileBytes = 64 << 10
        tuning.checkpointBytes = 32 << 10
        tuning.minimumMovedBytes = 16 << 10
        return tuning
    }

    private func open(
        _ path: String, _ tuning: ValueLogTuning = ValueLogTests.small
    ) throws -> any KeyValueStore {
        try RocksDBDevice(path: path, log: tuning).open("data", kind: .shards)
    }

    private func key(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }

    private func value(_ number: Int, count: Int = 5000) -> [UInt8] {
        testBytes(count, seed: UInt64(number))
    }

    private func files(_ path: String) -> [String] {
        ScratchDirectory.names("\(path)/data/values").map { "\(path)/data/values/\($0)" }
    }

    @Test func aCrashAtAnyMomentKeepsEveryFlushedBatch() throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let store = try open(live)
        var expected: [Int: Int] = [:]
        for step in 0..<60 {
            // Each batch replaces one value, adds one and removes one.
            var writes: [KeyValueWrite] = [
                .put(key: key(step), value: value(step)),
                .put(key: key(0), value: value(1000 + step)),
            ]
            expected[step] = step
            expected[0] = 1000 + step
            if step > 4 {
                writes.append(.delete(key: key(step - 3)))
                expected[step - 3] = nil
            }
            try store.write(writes, durable: true)
            try store.flush()
            guard step % 7 == 0 else { continue }
            let image = "\(scratch.path)/image-\(step)"
            crashImage(of: live, in: image)
            let after = try open(image)
            let found = try after.scan(from: [], to: nil, limit: 1000)
            #expect(found.map(\.key) == expected.keys.sorted().map { key($0) })
            for (name, seed) in expected { #expect(try after.get(key(name)) == value(seed)) }
            // It goes on from there, and once more.
            try after.write([.put(key: [9, 9], value: value(9))], durable: true)
            try after.flush()
            crashImage(of: image, in: image + "-again")
            let again = try open(image + "-again")
            #expect(try again.get([9, 9]) == value(9))
            #expect(try again.scan(from: [], to: nil, limit: 1000).count == expected.count + 1)
            after.close()
            again.close()
        }
        store.close()
    }

    @Test func aTornBatchIsDroppedWhole() throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let store = try open(live, ValueLogTuning())
        try store.write([.put(key: key(1), value: value(1))], durable: true)
        try store.flush()
        let file = try #require(files(live).last)
        let whole = readFile(file).count
        try store.write(
            [
                .put(key: key(2), value: value(2)), .put(key: key(3), value: [3]),
                .delete(key: key(1)),
            ], durable: true)
        let torn = readFile(file)
        for length in [whole + 1, whole + 31, whole + 40, whole + 1000, whole + 5000] {
            let image = "\(scratch.path)/image-\(length)"
            crashImage(of: live, in: image)
            let name = try #require(files(image).last)
            // The rest of the file's last block may hold anything.
            writeFile(name, Array(torn[..<length]) + [UInt8](repeating: 0, count: 600))
            let after = try open(image, ValueLogTuning())
            #expect(try after.get(key(1)) == value(1))
            #expect(try after.get(key(2)) == nil)
            #expect(try after.get(key(3)) == nil)
            try after.write([.put(key: key(4), value: value(4))], durable: true)
            after.close()
            let again = try open(image, ValueLogTuning())
            #expect(try again.scan(from: [], to: nil, limit: 9).map(\.key) == [key(1), key(4)])
            again.close()
        }
        store.close()
    }

    /// Direct access asks for that, and what lies behind a batch's end in its block counts for nothing.
    @Test func batchesEndOnBlocksAndWhatFollowsInThemCountsForNothing() throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let store = try open(live, ValueLogTuning())
        // One byte, about a block, and more than is staged for one write.
        let sizes = [1, 1024, 4000, 4096, 300_000, 600_000, 1 << 20]
        for (number, size) in sizes.enumerated() {
            try store.write(
                [.put(key: key(number), value: value(number, count: size))], durable: true)
            try store.flush()
            #expect(readFile(try #require(files(live).last)).count % 4096 == 0)
        }
        let image = "\(scratch.path)/image"
        crashImage(of: live, in: image)
        let name = try #require(files(image).last)
        var bytes = readFile(name)
        bytes[bytes.count - 1] ^= 0x10
        writeFile(name, bytes)
        for path in [live, image] {
            if path == live { store.close() }
            let after = try open(path, ValueLogTuning())
            for (number, size) in sizes.enumerated() {
                #expect(try after.get(key(number)) == value(number, count: size))
            }
            after.close()
        }
    }

    @Test func aFlippedBitEndsTheLogAndNothingBehindItIsTaken() throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let store = try open(live, ValueLogTuning())
        var ends: [Int] = []
        for number in 0..<4 {
            try store.write([.put(key: key(number), value: value(number))], durable: true)
            try store.flush()
            ends.append(readFile(try #require(files(live).last)).count)
        }
        for (position, survivors) in [(ends[1] + 4, 2), (ends[1] + 34, 2), (ends[1] + 5000, 2)] {
            let image = "\(scratch.path)/image-\(position)"
            crashImage(of: live, in: image)
            let name = try #require(files(image).last)
            var bytes = readFile(name)
            bytes[position] ^= 0x10
            writeFile(name, bytes)
            let after = try open(image, ValueLogTuning())
            #expect(try after.scan(from: [], to: nil, limit: 9).count == survivors)
            after.close()
        }
        store.close()
    }

    @Test func deletedValuesGiveTheirSpaceBack() throws {
        let scratch = try ScratchDirectory()
        let live = "\(scratch.path)/live"
        crashImage(of: "\(scratch.path)/nothing", in: live)
        let store = try open(live)
        let count = 400
        for number in 0..<count {
            try store.write([.put(key: key(number), value: value(number))], durable: true)
        }
        try store.flush()
        let full = files(live).map { readFile($0).count }.reduce(0, +)
        #expect(full > count * 5000)
        // Three of four, evenly: no file dies as a whole.
        for number in 0..<count where number % 4 != 0 {
            try store.write([.delete(key: key(number))], durable: true)
            try store.flush()
        }
        func check(_ store: any KeyValueStore) throws {
            for number in 0..<count {
                let expected = number % 4 == 0 ? value(number) : nil
                #expect(try store.get(key(number)) == expected)
            }
        }
        try check(store)
        let image = "\(scratch.path)/image"
        crashImage(of: live, in: image)
        let after = try open(image)
        try check(after)
        after.close()
        store.close()
        let left = files(live).map { readFile($0).count }.reduce(0, +)
        #expect(left < full * 6 / 10)
        let again = try open(live)
        try check(again)
        for number in 0..<count { try again.write([.delete(key: key(number))], durable: true) }
        again.close()
        try open(live).close()
        #expect(files(live).map { readFile($0).count }.reduce(0, +) < 64 << 10)
    }

    @Test func aDamagedValueStaysCorruptWhenItsFileIsCleared() throws {
        let scratch = try ScratchDirectory()
        let store = try open(scratch.path)
        for number in 0..<12 {
            try store.write([.put(key: key(number), value: value(number))], durable: true)
        }
        store.close()
        let name = try #require(files(scratch.path).first)
        var bytes = readFile(name)
        let needle = value(5)
        let place = try #require(
            bytes.indices.first { bytes[$0...].starts(with: needle[..<32]) })
        bytes[place + 77] ^= 1
        writeFile(name, bytes)
        let again = try open(scratch.path)
        for number in 0..<12 where number != 5 && number != 6 {
            try again.write([.delete(key: key(number))], durable: true)
        }
        // Files are cleared in the background, after flushes.
        for number in 100..<400 where access(name, F_OK) == 0 {
            try again.write([.put(key: key(number), value: value(number))], durable: true)
            try again.flush()
        }
        #expect(access(name, F_OK) != 0)
        again.close()
        let later = try open(scratch.path)
        #expect(try later.get(key(6)) == value(6))
        let error = #expect(throws: StoreError.self) { try later.get(key(5)) }
        guard case .corrupt = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        try later.write([.put(key: key(5), value: value(5))], durable: true)
        #expect(try later.get(key(5)) == value(5))
        later.close()
    }

    @Test func aLogWithoutItsIndexIsRefused() throws {
        let scratch = try ScratchDirectory()
        let store = try open(scratch.path)
        for number in 0..<40 {
            try store.write([.put(key: key(number), value: value(number))], durable: true)
            try store.write([.delete(key: key(number))], durable: true)
        }
        try store.write([.put(key: key(1), value: value(1))], durable: true)
        store.close()
        try open(scratch.path).close()
        #expect(!files(scratch.path).contains { $0.hasSuffix("0000000001") })
        let directory = "\(scratch.path)/data"
        for name in ScratchDirectory.names(directory) where name != "values" {
            unlink("\(directory)/\(name)")
        }
        let error = #expect(throws: StoreError.self) { try open(scratch.path) }
        guard case .corrupt = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func aDatabaseThatIsNoIndexIsRefused() throws {
        let scratch = try ScratchDirectory()
        let rows = try RocksDBDevice(path: scratch.path).open("data", kind: .rows)
        try rows.write([.put(key: [1], value: [1])], durable: true)
        rows.close()
        let error = #expect(throws: StoreError.self) { try open(scratch.path) }
        #expect(error == .failed(operation: "open", detail: "a store of an earlier format"))
    }

    @Test(.enabled(if: SmallVolume.isAvailable))
    func anIndexThatFindsNoSpaceStopsWritesUntilThereIs() throws {
        let volume = try #require(SmallVolume(megabytes: 40))
        let ballast = "\(volume.path)/ballast"
        var tuning = ValueLogTuning()
        tuning.checkpointIndexBytes = 64
        let store = try open(volume.path, tuning)
        try store.write([.put(key: [250], value: value(1))], durable: true)
        try store.flush()
        writeFile(ballast, [UInt8](repeating: 1, count: 64 << 20))
        // What still fits into the log's last page does not fit into a file of the index.
        var flushed: [Int] = []
        var failure: StoreError?
        for number in 0..<2000 where failure == nil {
            do throws(StoreError) {
                try store.write([.put(key: key(number), value: [1, 2, 3])], durable: true)
                try store.flush()
                flushed.append(number)
            } catch {
                failure = error
            }
        }
        #expect(failure == .noSpace)
        // The log's last page had room for more: it was the index that failed.
        #expect(logTail("\(volume.path)/data").size % 4096 < 4000)
        for number in flushed { #expect(try store.get(key(number)) == [1, 2, 3]) }
        #expect(throws: StoreError.noSpace) {
            try store.write([.put(key: [200], value: [2])], durable: true)
            try store.flush()
        }
        unlink(ballast)
        // Nothing was lost that a flush had not answered for.
        try store.write([.put(key: [201], value: value(1))], durable: true)
        try store.flush()
        for number in flushed { #expect(try store.get(key(number)) == [1, 2, 3]) }
        #expect(try store.get([201]) == value(1))
        store.close()
        let again = try open(volume.path, tuning)
        for number in flushed { #expect(try again.get(key(number)) == [1, 2, 3]) }
        again.close()
    }
}
