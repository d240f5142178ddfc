package import CyxCore
internal import CyxCrypto
internal import Synchronization

/// How a value log uses its volume.
package struct ValueLogTuning: Sendable {
    /// Values from this size on lie in the log, smaller ones in the index.
    package var minimumValueBytes = 1024
    /// A file that is longer is followed by the next one; the unit in which space is freed.
    package var fileBytes: UInt64 = 128 << 20
    /// The index is made durable after so much was appended or became dead: what a restart after a
    /// crash reads again.
    package var checkpointBytes: UInt64 = 32 << 20
    /// As above, of what the index itself holds in memory.
    package var checkpointIndexBytes = 1 << 20
    /// What one write moves at least, while a file with little left in it is cleared.
    package var minimumMovedBytes = 1 << 20

    package init() {}
}

/// Large values in a log of files with an index in RocksDB (WiscKey: Lu et al., FAST '16).
///
/// A write appends its batch to the log, where `flush` makes it durable with one fdatasync, and then
/// enters it into the index. The index has no log of its own; it becomes durable now and then, after
/// the log that it describes, and says in the same batch up to where that is. Opening a store reads
/// the rest of the log into the index again.
///
/// Values that were deleted or replaced leave dead bytes in their files. A file that is half dead is
/// cleared: its other values are appended anew, a little with every write. A file without values is
/// removed once the index says so durably.
///
/// When the volume is full, writes fail and leave nothing. After a failure of another kind, such as
/// of fdatasync, every write fails until one finds `spaceToResume` bytes free: it drops what was not
/// durable and starts again from there. The next `flush` says so by failing. Reads go on throughout.
///
/// All calls block and may come from any thread.
package final class ValueLogStore: KeyValueStore {
    /// Files that are kept open for reading.
    static let maximumOpenFiles = 64

    /// What belongs to whoever appends.
    struct Writer {
        var head: LogFile
        var state: LogState
        /// Appended or become dead since the index was last made durable.
        var bytesSinceCheckpoint: UInt64 = 0
        var indexBytesSinceCheckpoint = 0
        /// Files without values as of the last checkpoint.
        var removable: [UInt32] = []
        /// The file that is being cleared, and where its next batch begins.
        var clearing: LogPosition?
        /// Files whose batches cannot be read: never cleared.
        var unreadable: Set<UInt32> = []
        var isClosed = false

        init(head: LogFile, state: LogState) {
            self.head = head
            self.state = state
        }
    }

    /// What writers, flushes and restarts tell each other.
    private struct Progress {
        /// What a flush has to sync: everything in earlier files is durable already.
        var head: LogFile
        var end: LogPosition
        var durable: LogPosition
        /// Why nothing can be written.
        var failure: StoreError?
        /// Counts restarts.
        var life = 0
        /// Writes so far, and how many of them a flush has answered for, well or ill.
        var writeCount: UInt64 = 0
        var answeredCount: UInt64 = 0
        /// Writes that no flush had answered for were lost.
        var hasLost = false
    }

    let tuning: ValueLogTuning
    let index: ValueIndex
    let directory: LogDirectory
    private let path: String
    private let writer: Mutex<Writer>
    private let progress: Mutex<Progress>
    private let openFiles = Mutex<[UInt32: LogFile]>([:])

    init(path: String, tuning: ValueLogTuning, cache: RocksDBCache) throws(StoreError) {
        self.path = path
        self.tuning = tuning
        let database = try RocksDBDatabase(path: path, kind: .shards, tuning: .index, cache: cache)
        index = ValueIndex(database: database)
        try index.start()
        directory = try LogDirectory(path: "\(path)/values")
        let started = try ValueLogStore.recover(index, directory, upTo: nil)
        let end = started.state.end.position
        writer = Mutex(started)
        progress = Mutex(Progress(head: started.head, end: end, durable: end))
    }

    deinit { close() }

    // MARK: Reading

    package func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try get(key, isChecked: true)
    }

    package func getUnchecked(_ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try get(key, isChecked: false)
    }

    private func get(_ key: [UInt8], isChecked: Bool) throws(StoreError) -> [UInt8]? {
        var before: ValuePlace?
        while true {
            switch try index.row(key) {
            case nil: return nil
            case .inline(let value): return value
            case .damaged: throw .corrupt(detail: "a value was damaged when it was moved")
            case .place(let place):
                if let file = try file(place.position.file) {
                    let value = try file.read(Int(place.length), at: place.position.offset)
                    if value.count == Int(place.length),
                        !isChecked || CRC.crc32c(value) == place.checksum
                    {
                        return value
                    }
                }
                // Its file may have been cleared since the index was asked.
                guard place != before else { throw .corrupt(detail: "a value in the log") }
                before = place
            }
        }
    }

    package func scan(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
        var entries: [(key: [UInt8], value: [UInt8])] = []
        for (key, row) in try index.rows(from: from, to: to, limit: limit) {
            if case .inline(let value) = row {
                entries.append((key, value))
            } else if let value = try get(key) {
                entries.append((key, value))
            }
        }
        return entries
    }

    func file(_ number: UInt32) throws(StoreError) -> LogFile? {
        if let file = openFiles.withLock({ $0[number] }) { return file }
        guard let file = try directory.open(number) else { return nil }
        openFiles.withLock { files in
            if files.count >= ValueLogStore.maximumOpenFiles, let any = files.keys.first {
                files[any] = nil
            }
            files[number] = file
        }
        return file
    }

    /// Removes files without values; what of that the index forgets is found out when it is opened.
    func removeFiles(_ numbers: [UInt32], _ writer: inout Writer) throws(StoreError) {
        guard !numbers.isEmpty else { return }
        let batch = WriteBatch()
        for number in numbers {
            try directory.remove(number)
            openFiles.withLock { $0[number] = nil }
            writer.state.uses[number] = nil
            ValueIndex.record(nil, of: number, in: batch)
        }
        try index.database.write(batch, durable: false)
    }

    // MARK: Writing

    package func write(_ writes: [KeyValueWrite], durable: Bool) throws(StoreError) {
        let batch = LogBatch(writes, minimumValueBytes: tuning.minimumValueBytes)
        try writer.withLock { writer throws(StoreError) in
            try resumeIfPossible(&writer)
            guard !writes.isEmpty else { return }
            try append(batch, &writer)
            progress.withLock { $0.writeCount += 1 }
            clearSome(&writer, budget: max(batch.valuesBytes, tuning.minimumMovedBytes))
        }
    }

    package func flush() throws(StoreError) {
        let (target, hasLost) = progress.withLock { progress in
            defer { progress.hasLost = false }
            return (progress, progress.hasLost)
        }
        defer {
            progress.withLock { $0.answeredCount = max($0.answeredCount, target.writeCount) }
        }
        guard !hasLost else {
            throw .failed(operation: "flush", detail: "writes were lost after a failure")
        }
        if let failure = target.failure { throw failure }
        guard target.durable < target.end else { return }
        do {
            try target.head.sync()
        } catch {
            fail(error, life: target.life)
            throw error
        }
        try progress.withLock { progress throws(StoreError) in
            // Whatever another sync failed to write is not known to be there either.
            if let failure = progress.failure { throw failure }
            guard progress.life == target.life else {
                throw .failed(operation: "flush", detail: "writes were lost after a failure")
            }
            progress.durable = max(progress.durable, target.end)
        }
    }

    /// Makes the index durable as well, so that opening it has nothing to read again.
    package func close() {
        writer.withLock { writer in
            guard !writer.isClosed else { return }
            writer.isClosed = true
            do throws(StoreError) {
                if let failure = progress.withLock({ $0.failure }) { throw failure }
                try writer.head.sync()
                try index.database.flush(wait: true)
                for number in writer.state.emptyFiles { try directory.remove(number) }
            } catch {
                // The next opening recovers what is durable, as after a crash.
            }
            index.database.close()
            openFiles.withLock { $0 = [:] }
        }
    }

    // MARK: Appending

    /// Appends a batch to the log and enters it into the index, all of it or nothing.
    func append(_ batch: LogBatch, _ writer: inout Writer) throws(StoreError) {
        guard !writer.isClosed else { throw .closed }
        let size = UInt64(batch.byteCount)
        let offset = writer.state.end.position.offset
        if offset > 0, offset + size > tuning.fileBytes { try rotate(&writer) }
        try writeOut(batch, writer)
        let isDue =
            writer.bytesSinceCheckpoint + size >= tuning.checkpointBytes
            || writer.indexBytesSinceCheckpoint + batch.entriesBytes
                >= tuning.checkpointIndexBytes
        do throws(StoreError) {
            // The index must never be durable before the log that it describes, and a flush of its
            // memory takes the coming write along: hence the sync before it.
            if isDue { try writer.head.sync() }
            let died = try writer.state.enter(
                batch.entries, entriesBytes: batch.entriesBytes, valuesBytes: batch.valuesBytes,
                index)
            writer.bytesSinceCheckpoint += size + died
            writer.indexBytesSinceCheckpoint += batch.entriesBytes
            if isDue { try checkpoint(&writer) }
        } catch {
            fail(error)
            throw error
        }
        progress.withLock { progress in
            progress.end = writer.state.end.position
            if isDue { progress.durable = progress.end }
        }
    }

    /// Begins to make the index durable, with everything that the log has.
    private func checkpoint(_ writer: inout Writer) throws(StoreError) {
        try index.database.flush(wait: false)
        writer.bytesSinceCheckpoint = 0
        writer.indexBytesSinceCheckpoint = 0
        writer.removable = writer.state.emptyFiles
        if writer.clearing == nil {
            writer.clearing = writer.state.fileToClear(except: writer.unreadable)
        }
    }

    private func writeOut(_ batch: LogBatch, _ writer: Writer) throws(StoreError) {
        let start = writer.state.end.position.offset
        do throws(StoreError) {
            let head = batch.head(sequence: writer.state.end.sequence)
            try writer.head.write([head] + batch.values, at: start)
        } catch {
            do throws(StoreError) {
                try writer.head.truncate(to: start)
            } catch {
                fail(error)
            }
            throw error
        }
    }

    private func rotate(_ writer: inout Writer) throws(StoreError) {
        do throws(StoreError) {
            try writer.head.sync()
        } catch {
            fail(error)
            throw error
        }
        let file = try directory.create(writer.head.number + 1)
        writer.head = file
        writer.state.end.position = LogPosition(file: file.number, offset: 0)
        progress.withLock { progress in
            progress.head = file
            progress.end = writer.state.end.position
            progress.durable = progress.end
        }
    }

    // MARK: Failing and starting again

    /// Stops all writing; of a `life` that has ended (nil: the present one), nothing.
    private func fail(_ error: StoreError, life: Int? = nil) {
        progress.withLock { progress in
            guard progress.failure == nil, life ?? progress.life == progress.life else { return }
            progress.failure = error
        }
    }

    private func resumeIfPossible(_ writer: inout Writer) throws(StoreError) {
        let (failure, durable) = progress.withLock { ($0.failure, $0.durable) }
        guard failure != nil, !writer.isClosed else { return }
        guard Volume.freeBytes(path) >= RocksDBStore.spaceToResume else { throw .noSpace }
        openFiles.withLock { $0 = [:] }
        // Should one of them fail, reads go on, and the next write tries again.
        try index.database.reopen()
        writer = try ValueLogStore.recover(index, directory, upTo: durable)
        progress.withLock { progress in
            progress.head = writer.head
            progress.end = writer.state.end.position
            progress.durable = progress.end
            progress.failure = nil
            progress.life += 1
            if progress.writeCount > progress.answeredCount { progress.hasLost = true }
            progress.answeredCount = progress.writeCount
        }
    }
}
