package import CyxCore

extension ShardStore {
    /// A shard's bytes, nil if it is not here; throws `corrupt` when they are not those that were
    /// put: the caller deletes and repairs it.
    package nonisolated func get(_ key: ShardKey) async throws(StoreError) -> [UInt8]? {
        try await get([key])[0]
    }

    /// The same of several, in one visit to the pool.
    package nonisolated func get(_ keys: [ShardKey]) async throws(StoreError) -> [[UInt8]?] {
        let database = database
        let start = environment.now()
        do throws(StoreError) {
            let found = try await environment.blocking.run { () throws(StoreError) in
                var found: [[UInt8]?] = []
                found.reserveCapacity(keys.count)
                for key in keys { found.append(try database.read(key)) }
                return found
            }
            meters.reads.observe((environment.now() - start).inSeconds)
            return found
        } catch {
            if case .corrupt = error { meters.corrupt.add() }
            throw error
        }
    }

    /// Bytes `range` of a shard, clamped to its length. The whole shard is read and checked.
    package nonisolated func get(
        _ key: ShardKey, range: Range<Int>
    ) async throws(StoreError) -> [UInt8]? {
        guard let bytes = try await get(key) else { return nil }
        return Array(bytes[range.clamped(to: 0..<bytes.count)])
    }

    /// The shards of a segment that lie here, in order, with their sizes in bytes.
    package nonisolated func list(
        _ segment: SegmentID
    ) async throws(StoreError) -> [(key: ShardKey, size: Int64)] {
        let database = database
        return try await environment.blocking.run { () throws(StoreError) in
            try database.list(segment)
        }
    }

    /// Shards after `after` in key order, with their sizes in bytes: a walk over all that lies here.
    package nonisolated func list(
        after: ShardKey?, limit: Int
    ) async throws(StoreError) -> [(key: ShardKey, size: Int64)] {
        let database = database
        return try await environment.blocking.run { () throws(StoreError) in
            try database.list(after: after, limit: limit)
        }
    }

    /// What was noted under `name`; nil: nothing.
    package nonisolated func note(_ name: [UInt8]) async throws(StoreError) -> [UInt8]? {
        let database = database
        return try await environment.blocking.run { () throws(StoreError) in
            try database.note(name)
        }
    }

    /// Notes whose names begin with `prefix`, after `after` exclusively, by name.
    package nonisolated func notes(
        _ prefix: [UInt8], after: [UInt8]?, limit: Int
    ) async throws(StoreError) -> [(name: [UInt8], value: [UInt8])] {
        let database = database
        return try await environment.blocking.run { () throws(StoreError) in
            try database.notes(prefix, after: after, limit: limit)
        }
    }
}
