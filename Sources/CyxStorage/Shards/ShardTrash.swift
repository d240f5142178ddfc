package import CyxCore

/// Why shards went to the trash.
package enum TrashReason: UInt8, Sendable {
    /// Their owner ordered it.
    case ordered = 1
    /// No table knows their segment.
    case unregistered = 2
    /// The rows do not name this holder any more.
    case released = 3
    /// Their account's lease has ended.
    case lapsed = 4
}

/// Since when something lies in the trash, and why.
package struct TrashMark: Equatable, Sendable {
    package var since: WallTime
    package var reason: TrashReason

    package init(since: WallTime, reason: TrashReason) {
        self.since = since
        self.reason = reason
    }
}

/// A shard in the trash.
package struct TrashEntry: Equatable, Sendable {
    package var key: ShardKey
    package var mark: TrashMark
    /// What it counts against the quota.
    package var bytes: Int64
}

/// The row of a shard in the trash: what it had before, and the mark.
struct TrashRow: Equatable {
    var row: ShardRow
    var mark: TrashMark

    private static let byteCount = ShardRow.byteCount + 9

    init(row: ShardRow, mark: TrashMark) {
        self.row = row
        self.mark = mark
    }

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: TrashRow.byteCount)
        writer.write(UInt64(bitPattern: mark.since.milliseconds))
        writer.write(mark.reason.rawValue)
        return row.encoded + writer.bytes
    }

    /// Nil unless it is one.
    init?(encoded: [UInt8]) {
        guard encoded.count == TrashRow.byteCount, let last = encoded.last,
            let row = ShardRow(encoded: Array(encoded[..<ShardRow.byteCount])),
            let reason = TrashReason(rawValue: last)
        else { return nil }
        let time = encoded[ShardRow.byteCount..<encoded.count - 1].reduce(0) {
            $0 << 8 | UInt64($1)
        }
        let since = WallTime(milliseconds: Int64(bitPattern: time))
        self.init(row: row, mark: TrashMark(since: since, reason: reason))
    }
}

extension ShardDatabase {
    func trashRow(_ key: ShardKey) throws(StoreError) -> TrashRow? {
        guard let value = try store.get(ShardLayout.trashed(key)) else { return nil }
        guard let row = TrashRow(encoded: value) else {
            throw .corrupt(detail: "\(key): its row in the trash")
        }
        return row
    }

    /// The shards of a segment that lie in the trash, in order.
    func trash(of segment: SegmentID) throws(StoreError) -> [ShardKey] {
        var keys: [ShardKey] = []
        var (from, to) = ShardLayout.rows(of: segment, prefix: ShardLayout.trashPrefix)
        while true {
            let page = try store.scan(from: from, to: to, limit: ShardDatabase.scanPage)
            keys += page.compactMap {
                ShardLayout.decode($0.key, prefix: ShardLayout.trashPrefix)
            }
            guard page.count == ShardDatabase.scanPage, let last = page.last else { return keys }
            from = last.key + [0]
        }
    }

    /// What has lain in the trash longest, the oldest first.
    func trash(limit: Int) throws(StoreError) -> [TrashEntry] {
        let page = try store.scan(
            from: [ShardLayout.agePrefix], to: [ShardLayout.agePrefix + 1], limit: limit)
        return try page.map { entry throws(StoreError) in
            guard let (_, key) = ShardLayout.decodeAge(entry.key), let row = try trashRow(key)
            else { throw .corrupt(detail: "the order of the trash") }
            return TrashEntry(key: key, mark: row.mark, bytes: row.row.accountedBytes)
        }
    }
}

extension ShardStore {
    /// Moves every shard of a segment to the trash, durably: it is not served any more, counts as
    /// trash, and can be brought back until it is purged.
    package func trash(_ segment: SegmentID, _ reason: TrashReason) async throws(StoreError) {
        let mark = TrashMark(since: environment.wallTime(), reason: reason)
        try await submit([.trashSegment(segment, mark)], reserved: 0, isDurable: true)
    }

    /// Brings a segment's shards back from the trash, durably.
    package func restore(_ segment: SegmentID) async throws(StoreError) {
        try await submit([.restoreSegment(segment)], reserved: 0, isDurable: true)
    }

    /// What has lain in the trash longest, the oldest first.
    package nonisolated func trash(limit: Int) async throws(StoreError) -> [TrashEntry] {
        let database = database
        return try await environment.blocking.run { () throws(StoreError) in
            try database.trash(limit: limit)
        }
    }

    /// Removes shards from the trash for good; those that are not in it stay.
    package func purge(_ keys: [ShardKey]) async throws(StoreError) {
        guard !keys.isEmpty else { return }
        try await submit(keys.map { .purge($0) }, reserved: 0, isDurable: true)
    }
}

/// What the store says of itself in metrics.
struct StoreMeters: Sendable {
    let reads: Histogram
    let writes: Histogram
    /// Shards that a read found damaged; scrubbing counts its own.
    let corrupt: Counter
    private let allocated: Gauge
    private let used: Gauge
    private let trash: Gauge
    private let free: Gauge
    private let shards: Gauge
    private let volume: Gauge

    init(_ metrics: MetricsRegistry) {
        reads = metrics.histogram("cyxcloud_store_read_duration_seconds")
        writes = metrics.histogram("cyxcloud_store_write_duration_seconds")
        corrupt = metrics.counter(
            "cyxcloud_store_corrupt_shards_total", [("found_by", "read")])
        _ = metrics.counter("cyxcloud_store_corrupt_shards_total", [("found_by", "scrub")])
        _ = metrics.gauge("cyxcloud_store_scrub_progress_ratio")
        allocated = metrics.gauge("cyxcloud_store_allocated_bytes")
        used = metrics.gauge("cyxcloud_store_used_bytes", [("kind", "shards")])
        trash = metrics.gauge("cyxcloud_store_used_bytes", [("kind", "trash")])
        free = metrics.gauge("cyxcloud_store_free_bytes")
        shards = metrics.gauge("cyxcloud_store_shards")
        volume = metrics.gauge("cyxcloud_disk_free_bytes", [("volume", "data")])
    }

    func set(allocated quota: Int64, _ totals: ShardTotals, volumeFree: Int64) {
        allocated.set(Double(quota))
        used.set(Double(totals.bytes))
        trash.set(Double(totals.trashBytes))
        free.set(Double(quota - totals.bytes - totals.trashBytes))
        shards.set(Double(totals.shards))
        volume.set(Double(volumeFree))
    }
}
