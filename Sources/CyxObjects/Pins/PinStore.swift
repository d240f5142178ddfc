internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// What an account's pin says, opened.
struct Pin: Sendable {
    /// 16 random bytes; also the `write` that the pin's copies of rows go by.
    var id: [UInt8]
    var row: PinRow
    var head: HeadRow
    var bucket: Digest

    static let idBytes = VersionID.writeBytes

    /// Whether the version stays, for all that is known: who is still pinning it does not know.
    func isKept(at now: WallTime) -> Bool { row.state == .pinned && !isOver(at: now) }

    func isOver(at now: WallTime) -> Bool {
        row.untilMs != 0 && row.untilMs <= now.milliseconds
    }

    var info: PinInfo {
        PinInfo(
            id: Hex.encode(id), bucket: row.bucketName, key: head.key, size: head.size,
            etag: head.etag, created: WallTime(milliseconds: row.createdMs),
            until: row.untilMs == 0 ? nil : WallTime(milliseconds: row.untilMs))
    }
}

/// The pins of one account: registers at one position of its own, each named by its ID.
///
/// A pin is begun as *pinning*, before anything refers to a segment in its name, and becomes
/// *pinned* by a compare-and-set when all references stand. A row that is gone never comes back, so
/// that a reference without its row is left behind, however slow whoever wrote it is (B5).
struct PinStore: Sendable {
    let context: ObjectContext
    let keys: AccountKeys

    private var position: Digest {
        OwnedPosition.bound(
            BLAKE3.hash(Array("cyx account pins v1\0".utf8) + keys.account.digest.bytes),
            to: keys.account)
    }

    private func key(_ id: [UInt8]) -> RowKey {
        RowKey(table: .pins, position: position, suffix: id)
    }

    private func seal(_ row: PinRow, at key: RowKey) -> [UInt8] {
        Rows.seal(
            row, at: key, keys: (keys.rowKey, keys.signer), random: context.environment.random)
    }

    /// Nil for what is no pin of the account's.
    private func open(_ value: [UInt8]?, at key: RowKey) -> Pin? {
        guard let value else { return nil }
        do {
            let row = try Rows.open(PinRow.self, value, at: key, key: keys.rowKey)
            guard let head = row.head, let bucket = Digest(bytes: row.bucket) else { return nil }
            return Pin(id: key.suffix, row: row, head: head, bucket: bucket)
        } catch { return nil }
    }

    func read(_ id: [UInt8]) async throws(TableError) -> Pin? {
        let key = key(id)
        return open(try await context.tables.read(key).value, at: key)
    }

    /// Whether there is a row, whatever it says.
    func exists(_ id: [UInt8]) async throws(TableError) -> Bool {
        try await context.tables.read(key(id)).value != nil
    }

    /// One page of the account's pins, by ID, those that are still pinning among them; and where the
    /// next one begins, nil after the last.
    func page(
        after id: [UInt8]?
    ) async throws(TableError) -> (pins: [Pin], next: [UInt8]?) {
        let position = position
        let rows = try await context.tables.scan(
            .pins, position: position, prefixBits: PinStore.scannedBits, after: id.map(key),
            limit: RowLimits.scanPageRows)
        let own = rows.filter { $0.key.position == position }
        return (
            own.compactMap { open($0.state.value, at: $0.key) },
            rows.count == RowLimits.scanPageRows ? own.last?.key.suffix : nil
        )
    }

    /// As many as a scan takes.
    private static let scannedBits = 64

    /// Begins a pin, of which there is no row yet.
    func begin(_ pin: Pin) async throws(TableError) {
        let key = key(pin.id)
        let sealed = seal(pin.row, at: key)
        _ = try await context.tables.update(key) { state in
            state.value == nil ? .set(sealed) : .abandon
        }
    }

    /// Makes a pin that was begun stand; false if it was given up meanwhile.
    func complete(_ pin: Pin) async throws(TableError) -> Bool {
        let key = key(pin.id)
        let sealed = seal(pin.row, at: key)
        return try await context.tables.update(key) { state -> (RegisterChange, Bool) in
            guard let present = open(state.value, at: key) else { return (.abandon, false) }
            // An earlier try of this same change may have got through.
            return present.row.state == .pinned ? (.abandon, true) : (.set(sealed), true)
        }
    }

    /// Removes the pin if it still is as `isDue` wants; what it was, or nil.
    func remove(
        _ id: [UInt8], if isDue: @escaping @Sendable (Pin) -> Bool
    ) async throws(TableError) -> Pin? {
        let key = key(id)
        return try await context.tables.update(key) { state -> (RegisterChange, Pin?) in
            guard let pin = open(state.value, at: key), isDue(pin) else { return (.abandon, nil) }
            return (.delete, pin)
        }
    }
}
