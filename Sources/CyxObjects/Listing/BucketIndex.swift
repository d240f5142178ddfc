internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// What listings of one bucket need, sorted by key, in the gateway's own store (A9). Calls block.
///
/// A page of what has changed (`Tables.changes`) goes in together with the cursor that it came with, in
/// one batch: whatever a crash leaves is how the bucket was at some time, and the next listing goes on
/// from there. Writes need not be durable for that: the log of the store keeps their order.
struct BucketIndex: Sendable {
    /// What an entry is, so that most need not be decoded to know.
    enum Kind: UInt8 {
        case object = 1
        case marker
        /// The newest version was removed: what the key has now is among the earlier ones.
        case headless
    }

    /// Entries that are written or removed together.
    static let batch = 1000

    let store: any KeyValueStore
    let keys: ListingKey

    init(_ store: any KeyValueStore, _ bucket: Digest) {
        self.store = store
        keys = ListingKey(bucket)
    }

    /// How far it has come; nil: there is none that can be used.
    func state() throws(StoreError) -> ListingState? {
        guard let bytes = try store.get(keys.section(.state)) else { return nil }
        do { return try ListingState(bytes: bytes) } catch { return nil }
    }

    /// The buckets of an account that have one.
    static func buckets(
        of account: Digest, in store: any KeyValueStore
    ) throws(StoreError) -> [Digest] {
        var found: [Digest] = []
        var from = [ListingKey.Section.state.rawValue]
        while true {
            let page = try store.scan(
                from: from, to: [ListingKey.Section.state.rawValue + 1], limit: batch)
            for entry in page {
                guard let bucket = Digest(bytes: Array(entry.key.dropFirst())),
                    let state = try BucketIndex(store, bucket).state(), state.account == account
                else { continue }
                found.append(bucket)
            }
            guard page.count == batch, let last = page.last else { return found }
            from = last.key + [0]
        }
    }

    /// Removes all of it. Until that is done, no state says that there is any.
    func drop() throws(StoreError) {
        try store.write([.put(key: keys.section(.state), value: [])], durable: false)
        for section in ListingKey.Section.allCases.reversed() {
            let range = keys.range(section)
            while true {
                let page = try store.scan(
                    from: range.from, to: range.to, limit: BucketIndex.batch)
                try store.write(page.map { .delete(key: $0.key) }, durable: false)
                if page.count < BucketIndex.batch { break }
            }
        }
    }

    // MARK: Following

    /// Takes in what became of rows of a table; `open` decrypts, and gives nil for what belongs to
    /// another bucket. Returns the state after it.
    func apply(
        _ page: ChangePage, _ table: TableID, to state: ListingState, now: WallTime,
        open: (RowKey, [UInt8]) -> HeadRow?
    ) throws(StoreError) -> ListingState {
        guard try self.state()?.bytes == (state.isFresh ? nil : state.bytes) else {
            throw .corrupt(detail: "the index of a bucket was dropped meanwhile")
        }
        var state = state
        var writes: [KeyValueWrite] = []
        var gone: [RowKey: [UInt8]] = [:]
        if let stretch = page.stretch { gone = try places(table, stretch) }
        for row in page.rows {
            let key = keys.place(row.key)
            var known = gone.removeValue(forKey: row.key)
            if known == nil { known = try store.get(key) }
            let stamp = BucketIndex.stamp(row.state.version)
            guard let value = row.state.value, let head = open(row.key, value) else {
                if let known { writes += removal(key, known) }
                continue
            }
            if let known, known.starts(with: stamp) { continue }
            if let known { writes += removal(key, known) }
            let entry = table == .heads ? self.entry(head, row.key, now: now) : earlier(head)
            if table == .heads, head.hasEarlier, !head.hasVersion { state.needsVersions = true }
            writes.append(.put(key: key, value: stamp + entry.key))
            writes.append(.put(key: entry.key, value: entry.value))
        }
        for (row, known) in gone { writes += removal(keys.place(row), known) }
        state.set(page.cursor, table)
        writes.append(.put(key: keys.section(.state), value: state.bytes))
        try store.write(writes, durable: false)
        return state
    }

    /// The names of those rows of heads that the index has as objects.
    func names(of rows: [RowKey]) throws(StoreError) -> [(key: RowKey, name: String)] {
        var found: [(key: RowKey, name: String)] = []
        let heads = keys.section(.heads)
        for row in rows {
            guard let entry = try entry(of: row), entry.starts(with: heads) else { continue }
            found.append((row, String(decoding: ListingKey.name(ofHead: entry), as: UTF8.self)))
        }
        return found
    }

    /// What a row of the tables was made into.
    func entry(of row: RowKey) throws(StoreError) -> [UInt8]? {
        try store.get(keys.place(row)).map { Array($0.dropFirst(BucketIndex.stampBytes)) }
    }

    /// What a place says: which version of the row it is of, then the key of the entry.
    private static let stampBytes = 16

    private static func stamp(_ version: RegisterVersion) -> [UInt8] {
        Array(BLAKE3.hash(version.bytes).bytes.prefix(stampBytes))
    }

    private func removal(_ place: [UInt8], _ known: [UInt8]) -> [KeyValueWrite] {
        [
            .delete(key: place),
            .delete(key: Array(known.dropFirst(BucketIndex.stampBytes))),
        ]
    }

    private func places(
        _ table: TableID, _ stretch: ChangePage.Stretch
    ) throws(StoreError) -> [RowKey: [UInt8]] {
        var found: [RowKey: [UInt8]] = [:]
        let range = keys.places(table, stretch)
        var from = range.from
        while true {
            let page = try store.scan(from: from, to: range.to, limit: BucketIndex.batch)
            for entry in page {
                guard let row = ListingKey.row(ofPlace: entry.key) else {
                    throw .corrupt(detail: "a place in the index of a bucket")
                }
                found[row] = entry.value
            }
            guard page.count == BucketIndex.batch, let last = page.last else { return found }
            from = last.key + [0]
        }
    }

    private func entry(
        _ head: HeadRow, _ row: RowKey, now: WallTime
    ) -> (key: [UInt8], value: [UInt8]) {
        guard head.hasVersion || head.hasEarlier else {
            let until = head.fenced.map(\.untilMs).max() ?? now.milliseconds
            return (keys.fence(until: until, row.position), [])
        }
        let kind: Kind = head.isObject ? .object : head.hasVersion ? .marker : .headless
        return (
            keys.head(Array(head.key.utf8)), [kind.rawValue] + head.listed.protobufBytes()
        )
    }

    private func earlier(_ head: HeadRow) -> (key: [UInt8], value: [UInt8]) {
        (keys.earlier(head), head.listed.protobufBytes())
    }

    // MARK: Fences

    /// Heads that hold nothing but fences which have ended, at most so many; they are told once.
    func spentFences(now: WallTime, limit: Int) throws(StoreError) -> [RowKey] {
        let end = keys.fence(until: now.milliseconds, .zero)
        let page = try store.scan(from: keys.section(.fences), to: end, limit: limit)
        guard !page.isEmpty else { return [] }
        try store.write(page.map { .delete(key: $0.key) }, durable: false)
        return page.compactMap { entry in
            Digest(bytes: Array(entry.key.suffix(Digest.byteCount))).map {
                RowKey(table: .heads, position: $0)
            }
        }
    }
}

extension HeadRow {
    /// What listings need of it.
    var listed: HeadRow {
        var head = self
        head.data = []
        head.manifest = []
        head.fenced = []
        // Listings do not tell of parts, and there may be ten thousand of them.
        head.parts = []
        // Nor of the values of checksums, but only of which there are, and whether of parts.
        head.checksums = head.checksums.mapValues { $0.contains("-") ? "-" : "" }
        head.crc64 = Array(head.crc64.prefix(1))
        return head
    }
}
