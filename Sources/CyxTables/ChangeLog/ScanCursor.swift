package import CyxCore

/// How far somebody has followed the rows of one table whose positions begin alike (`ChangeLog`).
/// Opaque to callers, who keep it beside what they made of the rows.
package struct ScanCursor: Hashable, Sendable {
    /// A walk through all rows that is not over.
    package struct Walk: Hashable, Sendable {
        /// The last row that it has come past; nil: it has not begun.
        package var after: RowKey?
        /// Rows that one answer may have: as many as the one that gives the values fits.
        package var rowsMax: Int

        package init(after: RowKey? = nil, rowsMax: Int = RowLimits.scanPageRows) {
            self.after = after
            self.rowsMax = rowsMax
        }
    }

    /// Up to which number the log of each member was read. During a walk: from where on it has to be.
    package var logs: [ViewMember: UInt64] = [:]
    package var walk: Walk? = Walk()

    /// Nothing was read yet.
    package init() {}

    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 16 + logs.count * 72)
        writer.write(UInt8(1))
        writer.write(UInt8(logs.count))
        for (member, sequence) in logs.sorted(by: { $0.key.peer < $1.key.peer }) {
            writer.write(member.peer.digest)
            writer.write(member.store.digest)
            writer.write(sequence)
        }
        writer.write(UInt8(walk == nil ? 0 : walk?.after == nil ? 1 : 2))
        if let key = walk?.after.map(StorageKey.row) {
            writer.write(UInt16(key.count))
            writer.write(key)
        }
        return writer.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.readUInt8()
        guard version == 1 else { throw .unknown(field: "version", value: UInt64(version)) }
        let count = try reader.readUInt8()
        guard count <= View.memberLimit else { throw .outOfRange(field: "logs") }
        for _ in 0..<count {
            let peer = PeerID(try reader.readDigest())
            let member = ViewMember(peer: peer, store: StoreID(try reader.readDigest()))
            let sequence = try reader.readUInt64()
            guard logs.updateValue(sequence, forKey: member) == nil else {
                throw .outOfRange(field: "logs")
            }
        }
        switch try reader.readUInt8() {
        case 0: walk = nil
        case 1: break
        case 2:
            let length = Int(try reader.readUInt16())
            let key = StorageKey.decodeRow(try reader.readBytes(length))
            guard let key else { throw .outOfRange(field: "walk") }
            walk?.after = key
        case let other: throw .unknown(field: "walk", value: UInt64(other))
        }
        try reader.finish()
    }
}

/// One answer to who follows rows.
package struct ChangePage: Sendable {
    /// Rows after one and up to another, in the order of their keys.
    package struct Stretch: Hashable, Sendable {
        /// Exclusive; nil: from the first on.
        package var after: RowKey?
        /// Inclusive; nil: to the last.
        package var through: RowKey?

        package init(after: RowKey?, through: RowKey?) {
            self.after = after
            self.through = through
        }
    }

    /// Rows that have changed, perhaps, and what they hold now; without a value: deleted.
    package var rows: [(key: RowKey, state: RegisterState)]
    /// Set during a walk: `rows` are all that hold a value within it.
    package var stretch: Stretch?
    /// From where on to ask next.
    package var cursor: ScanCursor
    /// Whether every write that was acknowledged before this was asked for has been told, by this
    /// answer or those before. Else there is more to ask for at once.
    package var isComplete: Bool

    package init(
        rows: [(key: RowKey, state: RegisterState)], stretch: Stretch?, cursor: ScanCursor,
        isComplete: Bool
    ) {
        self.rows = rows
        self.stretch = stretch
        self.cursor = cursor
        self.isComplete = isComplete
    }
}
