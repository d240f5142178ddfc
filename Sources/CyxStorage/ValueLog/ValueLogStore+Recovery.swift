internal import CyxCore
internal import CyxCrypto

extension ValueLogStore {
    /// Enters into the index what the log has beyond it, drops what a crash tore, and makes both
    /// durable. `limit`: up to where the log is known to be whole; nil: as far as its checksums say.
    static func recover(
        _ index: ValueIndex, _ directory: LogDirectory, upTo limit: LogPosition?
    ) throws(StoreError) -> Writer {
        let recorded = try index.recordedEnd()
        var state = LogState(end: recorded ?? .start, uses: try index.uses())
        let numbers = try directory.numbers()
        if recorded == nil, let first = numbers.first, first != LogEnd.start.position.file {
            throw .corrupt(detail: "the index of the value log is gone")
        }
        // What the index has is kept, though it may not be durable in the log.
        let limit = limit.map { max($0, state.end.position) }
        let writer: Writer
        if let head = try firstFile(directory, state, numbers) {
            let (last, wasChanged) = try replay(head, directory, index, &state, numbers, limit)
            writer = Writer(head: last, state: state)
            if wasChanged {
                try last.sync()
                try index.database.flush(wait: true)
            }
        } else {
            let isNew = recorded == nil && numbers.isEmpty
            let number = isNew ? 1 : max(numbers.last ?? 0, state.end.position.file) + 1
            state.end.position = LogPosition(file: number, offset: 0)
            writer = Writer(head: try directory.create(number), state: state)
        }
        return try removingUnused(writer, index, directory, numbers)
    }

    /// The file in which the index's end lies, if it is there and reaches so far.
    private static func firstFile(
        _ directory: LogDirectory, _ state: LogState, _ numbers: [UInt32]
    ) throws(StoreError) -> LogFile? {
        let end = state.end.position
        if let file = try directory.open(end.file), try file.size() >= end.offset { return file }
        for number in numbers where number > end.file {
            guard try directory.open(number)?.size() ?? 0 == 0 else {
                throw .corrupt(detail: "file \(end.file) of the value log is incomplete")
            }
        }
        return nil
    }

    /// Returns the log's last file, and whether anything was read again or dropped.
    private static func replay(
        _ first: LogFile, _ directory: LogDirectory, _ index: ValueIndex,
        _ state: inout LogState, _ numbers: [UInt32], _ limit: LogPosition?
    ) throws(StoreError) -> (last: LogFile, wasChanged: Bool) {
        var file = first
        var wasChanged = false
        while true {
            while let (header, entries) = try nextBatch(file, state.end, limit) {
                _ = try state.enter(
                    entries, entriesBytes: header.entriesBytes, valuesBytes: header.valuesBytes,
                    index)
                wasChanged = true
            }
            let end = state.end.position
            let size = try file.size()
            let isAtLimit = limit.map { end >= $0 } ?? false
            let following = numbers.first { $0 > file.number }
            if !isAtLimit, let following, let next = try directory.open(following) {
                if size == end.offset {
                    file = next
                    state.end.position = LogPosition(file: following, offset: 0)
                    continue
                }
                // A file is whole before the next one is begun.
                guard try next.size() == 0 else {
                    throw .corrupt(
                        detail: "file \(end.file) of the value log is damaged at \(end.offset)")
                }
            }
            for number in numbers where number > file.number { try directory.remove(number) }
            if size > end.offset {
                try file.truncate(to: end.offset)
                wasChanged = true
            }
            return (file, wasChanged)
        }
    }

    /// The batch at `end`, if there is a whole one that belongs there.
    private static func nextBatch(
        _ file: LogFile, _ end: LogEnd, _ limit: LogPosition?
    ) throws(StoreError) -> (header: LogBatch.Header, entries: [LogEntry])? {
        if let limit, end.position >= limit { return nil }
        guard let batch = try LogBatch.read(file, at: end.position.offset),
            batch.header.sequence == end.sequence
        else { return nil }
        var offset = batch.header.valuesStart(end.position.offset)
        for case .value(_, let length, let checksum) in batch.entries {
            let value = try file.read(Int(length), at: offset)
            guard value.count == Int(length), CRC.crc32c(value) == checksum else { return nil }
            offset += UInt64(length)
        }
        guard offset == batch.header.valuesEnd(end.position.offset) else { return nil }
        return batch
    }

    /// Removes the files that the index, which is durable, needs no more.
    private static func removingUnused(
        _ writer: Writer, _ index: ValueIndex, _ directory: LogDirectory, _ numbers: [UInt32]
    ) throws(StoreError) -> Writer {
        var writer = writer
        let nameless = numbers.filter { number in
            number < writer.head.number && writer.state.uses[number] == nil
        }
        let empty = writer.state.emptyFiles
        for number in nameless + empty { try directory.remove(number) }
        guard !empty.isEmpty else { return writer }
        let batch = WriteBatch()
        for number in empty {
            writer.state.uses[number] = nil
            ValueIndex.record(nil, of: number, in: batch)
        }
        try index.database.write(batch, durable: false)
        return writer
    }
}
