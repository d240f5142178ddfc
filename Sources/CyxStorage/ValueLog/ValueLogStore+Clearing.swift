internal import CyxCore
internal import CyxCrypto

extension ValueLogStore {
    /// Removes files without values, and moves about `budget` bytes of values out of a file that is
    /// mostly dead. Should that fail, the next write says so; the one before it stands.
    func clearSome(_ writer: inout Writer, budget: Int) {
        do throws(StoreError) {
            if !writer.removable.isEmpty, isIndexDurable {
                try removeFiles(writer.removable, &writer)
                writer.removable = []
            }
            if let start = writer.clearing { try move(from: start, budget: budget, &writer) }
        } catch {
            writer.clearing = nil
        }
    }

    /// Whether every checkpoint that was begun is done.
    private var isIndexDurable: Bool {
        index.database.property("rocksdb.num-immutable-mem-table") == "0"
    }

    private func move(
        from start: LogPosition, budget: Int, _ writer: inout Writer
    ) throws(StoreError) {
        let size = writer.state.uses[start.file]?.size ?? 0
        var next = start
        var moved = LogBatch()
        guard let file = try file(start.file) else { return }
        while moved.valuesBytes < budget, next.offset < size {
            guard let (header, entries) = try LogBatch.read(file, at: next.offset) else {
                writer.unreadable.insert(start.file)
                break
            }
            var place = LogPosition(
                file: start.file, offset: header.valuesStart(next.offset))
            for case .value(let key, let length, let checksum) in entries {
                let found = ValuePlace(position: place, length: length, checksum: checksum)
                if try index.row(key) == .place(found) { try take(key, found, file, &moved) }
                place.offset += UInt64(length)
            }
            next.offset += UInt64(header.byteCount)
        }
        if !moved.entries.isEmpty { try append(moved, &writer) }
        let isDone = next.offset >= size || writer.unreadable.contains(start.file)
        writer.clearing = isDone ? nil : next
        // Nothing that a second pass would find either.
        if isDone, writer.state.uses[start.file]?.live ?? 0 > 0 {
            writer.unreadable.insert(start.file)
        }
    }

    private func take(
        _ key: [UInt8], _ place: ValuePlace, _ file: LogFile, _ moved: inout LogBatch
    ) throws(StoreError) {
        let value = try file.read(Int(place.length), at: place.position.offset)
        if value.count == Int(place.length), CRC.crc32c(value) == place.checksum {
            moved.append(key, value, checksum: place.checksum)
        } else {
            moved.append(.damaged(key: key))
        }
    }
}
