package import CyxCore

/// A row as it lies in the store: its content and the epoch in which this store last wrote it.
///
/// The epoch tells whether the row still is what it was when the view before was sealed: if so, a
/// change first sets that frozen state aside for new members to pull. `sequence` is the row's place in
/// the log of changes, where it is in one (`ChangeLog`).
package struct StoredRow: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        case register(RegisterRecord)
        case merge(MergeRow)
    }

    package var generation: UInt32
    package var epoch: UInt32
    package var sequence: UInt64 = 0
    package var content: Content

    package init(generation: UInt32, epoch: UInt32, content: Content) {
        self.generation = generation
        self.epoch = epoch
        self.content = content
    }

    package func wasWritten(after view: ViewID) -> Bool {
        (generation, epoch) > (view.generation, view.epoch)
    }

    package var contentBytes: [UInt8] {
        switch content {
        case .register(let record): record.bytes
        case .merge(let row): row.bytes
        }
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.write(generation)
        writer.write(epoch)
        writer.write(sequence)
        writer.write(contentBytes)
        return writer.bytes
    }

    package init(table: TableID, bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        generation = try reader.readUInt32()
        epoch = try reader.readUInt32()
        sequence = try reader.readUInt64()
        content = try Content(table: table, bytes: try reader.readBytes(reader.remaining))
    }
}

extension StoredRow.Content {
    package init(table: TableID, bytes: [UInt8]) throws(DecodingError) {
        self =
            table.isRegister
            ? .register(try RegisterRecord(bytes: bytes)) : .merge(try MergeRow(bytes: bytes))
    }

    /// About how many bytes it has.
    package var byteCount: Int {
        switch self {
        case .register(let record):
            3 * RegisterVersion.byteCount + 8 * record.lineage.count + (record.value?.count ?? 0)
        case .merge(let row): row.byteCount
        }
    }

    /// An absent row of that table.
    package static func empty(_ table: TableID) -> StoredRow.Content {
        table.isRegister ? .register(RegisterRecord()) : .merge(MergeRow())
    }
}
