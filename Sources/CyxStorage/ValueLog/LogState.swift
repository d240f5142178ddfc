internal import CyxCore

/// Where a log ends and how full its files are, as the index records it with every batch.
struct LogState {
    var end: LogEnd
    var uses: [UInt32: LogFileUse]

    /// Enters the batch that lies at `end` into the index, together with the new end and the files'
    /// uses, and steps behind it. Returns how many bytes of values in the log became dead.
    ///
    /// When it throws, the state is as it was; the index may have taken the batch.
    mutating func enter(
        _ entries: [LogEntry], entriesBytes: Int, valuesBytes: Int, _ index: ValueIndex
    ) throws(StoreError) -> UInt64 {
        var changed: [UInt32: LogFileUse] = [:]
        var died: UInt64 = 0
        // Rows as of this batch, in which a key may occur twice.
        var rows: [[UInt8]: ValueRow?] = [:]
        let start = end.position.offset
        var offset = start + UInt64(LogBatch.headerBytes + entriesBytes)
        let batch = WriteBatch()
        func change(_ file: UInt32, _ body: (inout LogFileUse) -> Void) {
            body(&changed[file, default: uses[file] ?? LogFileUse()])
        }
        for entry in entries {
            let key = entry.key
            let old = if let known = rows[key] { known } else { try index.row(key) }
            if case .place(let place) = old {
                died += UInt64(place.length)
                // A file that is gone has no use any more.
                if uses[place.position.file] != nil || changed[place.position.file] != nil {
                    change(place.position.file) { $0.live -= min($0.live, UInt64(place.length)) }
                }
            }
            var row: ValueRow?
            switch entry {
            case .delete: break
            case .damaged: row = .damaged
            case .inline(_, let value): row = .inline(value)
            case .value(_, let length, let checksum):
                let position = LogPosition(file: end.position.file, offset: offset)
                row = .place(ValuePlace(position: position, length: length, checksum: checksum))
                change(position.file) { $0.live += UInt64(length) }
                offset += UInt64(length)
            }
            if let row {
                ValueIndex.put(key, row, in: batch)
            } else {
                ValueIndex.delete(key, in: batch)
            }
            rows.updateValue(row, forKey: key)
        }
        var behind = end
        behind.position.offset =
            start
            + UInt64(LogBatch.byteCount(entriesBytes: entriesBytes, valuesBytes: valuesBytes))
        behind.sequence += 1
        change(end.position.file) { $0.size = behind.position.offset }
        for (file, use) in changed { ValueIndex.record(use, of: file, in: batch) }
        ValueIndex.record(behind, in: batch)
        try index.database.write(batch, durable: false)
        uses.merge(changed) { $1 }
        end = behind
        return died
    }

    /// Files behind which others follow and that hold no value any more.
    var emptyFiles: [UInt32] {
        uses.filter { $0.key < end.position.file && $0.value.live == 0 }.map(\.key).sorted()
    }

    /// The emptiest file that is at least half dead, from its start.
    func fileToClear(except skipped: Set<UInt32>) -> LogPosition? {
        let candidates = uses.filter { file, use in
            file < end.position.file && use.live > 0 && use.live * 2 <= use.size
                && !skipped.contains(file)
        }
        return candidates.min { ($0.value.live, $0.key) < ($1.value.live, $1.key) }
            .map { LogPosition(file: $0.key, offset: 0) }
    }
}
