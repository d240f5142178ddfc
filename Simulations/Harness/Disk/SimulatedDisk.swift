package import CyxCore
internal import Synchronization

/// How a simulated disk misbehaves. Chances are per operation, 0 to 1.
package struct DiskFaults: Sendable {
    package var readError = 0.0
    package var writeError = 0.0
    /// A bit of what was read is flipped; what is stored stays whole.
    package var readBitFlip = 0.0
    /// After a crash a random prefix of the unflushed writes survives, as on a real disk; without
    /// it none does.
    package var keepsPrefixAtCrash = false
    /// Flushes of shards are acknowledged and not carried out: a crash loses what they covered.
    package var liesAboutShards = false
    package init() {}
}

/// The disk of one peer, in memory, with what is durable kept apart from what a crash drops.
package final class SimulatedDisk: StorageDevice {
    struct Volume {
        var map = ByteMap()
        var kind: StoreKind
        /// What undoes each write batch that is not durable yet, oldest first.
        var undo: [[(key: [UInt8], previous: [UInt8]?)]] = []

        /// Undoes all write batches that are not durable but for the first `kept`; returns by how
        /// many bytes that changes what is used.
        mutating func dropUnflushed(after kept: Int = 0) -> Int64 {
            var change: Int64 = 0
            for batch in undo[kept...].reversed() {
                for (key, previous) in batch.reversed() {
                    let removed = map.set(key, previous)
                    change += SimulatedDisk.size(key, previous) - SimulatedDisk.size(key, removed)
                }
            }
            undo = []
            return change
        }
    }

    /// What was durable on a disk at one time.
    package struct Copy: Sendable {
        let volumes: [String: Volume]
        let used: Int64
    }

    struct State {
        var volumes: [String: Volume] = [:]
        var used: Int64 = 0
        var capacity: Int64
        var life = 0
        var faults = DiskFaults()
        var generator: SeededGenerator
    }

    let state: Mutex<State>

    package init(capacity: Int64 = 1 << 40, seed: UInt64 = 0) {
        state = Mutex(State(capacity: capacity, generator: SeededGenerator(seed: seed)))
    }

    package func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
        let life = state.withLock { state in
            if state.volumes[name] == nil { state.volumes[name] = Volume(kind: kind) }
            return state.life
        }
        return SimulatedStore(disk: self, name: name, life: life)
    }

    package func remove(_ name: String) throws(StoreError) {
        state.withLock { state in
            guard let volume = state.volumes.removeValue(forKey: name) else { return }
            let map = volume.map
            for (key, value) in zip(map.keys, map.values) {
                state.used -= SimulatedDisk.size(key, value)
            }
        }
    }

    package func freeBytes() -> Int64 { state.withLock { max(0, $0.capacity - $0.used) } }

    package func isPresent(_ name: String) -> Bool {
        state.withLock { $0.volumes[name] != nil }
    }

    // MARK: Looking, past all faults

    /// What a store holds between two keys, unflushed writes included.
    package func entries(
        in name: String, _ range: (from: [UInt8], to: [UInt8])
    ) -> [(key: [UInt8], value: [UInt8])] {
        state.withLock { state in
            guard let map = state.volumes[name]?.map else { return [] }
            let span = map.lowerBound(range.from)..<map.lowerBound(range.to)
            return span.map { (map.keys[$0], map.values[$0]) }
        }
    }

    package func value(of key: [UInt8], in name: String) -> [UInt8]? {
        state.withLock { $0.volumes[name]?.map[key] }
    }

    package var usedBytes: Int64 { state.withLock { $0.used } }

    package func setCapacity(_ bytes: Int64) { state.withLock { $0.capacity = bytes } }
    package func setFaults(_ faults: DiskFaults) { state.withLock { $0.faults = faults } }

    /// Ends this life of the disk: open stores fail with `.closed`, unflushed writes are undone.
    package func crash() {
        state.withLock { state in
            state.life += 1
            for name in state.volumes.keys.sorted() {
                guard var volume = state.volumes[name] else { continue }
                var kept = 0
                if state.faults.keepsPrefixAtCrash, !volume.undo.isEmpty {
                    kept = Int.random(in: 0...volume.undo.count, using: &state.generator)
                }
                state.used += volume.dropUnflushed(after: kept)
                state.volumes[name] = volume
            }
        }
    }

    /// Everything on the disk is gone, as after its replacement.
    package func wipe() {
        state.withLock { state in
            state.life += 1
            state.volumes = [:]
            state.used = 0
        }
    }

    /// A copy as backups and snapshots of volumes make them.
    package func copy() -> Copy {
        state.withLock { state in
            var used = state.used
            let volumes = state.volumes.mapValues { volume in
                var volume = volume
                used += volume.dropUnflushed()
                return volume
            }
            return Copy(volumes: volumes, used: used)
        }
    }

    /// Puts an older copy in the place of everything on the disk.
    package func putBack(_ copy: Copy) {
        state.withLock { state in
            state.life += 1
            state.volumes = copy.volumes
            state.used = copy.used
        }
    }

    /// Flips one bit of the stored values of up to `count` entries of a store, of none that is
    /// shorter than `valueBytesMin`; returns how many.
    @discardableResult
    package func flipBits(in name: String, count: Int, valueBytesMin: Int = 1) -> Int {
        state.withLock { state in
            guard var volume = state.volumes[name], volume.map.count > 0 else { return 0 }
            var flipped = 0
            for _ in 0..<count {
                let index = Int.random(in: 0..<volume.map.count, using: &state.generator)
                var value = volume.map.values[index]
                guard value.count >= max(1, valueBytesMin) else { continue }
                let position = Int.random(in: 0..<value.count, using: &state.generator)
                value[position] ^= 1 << UInt8.random(in: 0..<8, using: &state.generator)
                _ = volume.map.set(volume.map.keys[index], value)
                flipped += 1
            }
            state.volumes[name] = volume
            return flipped
        }
    }

    static func size(_ key: [UInt8], _ value: [UInt8]?) -> Int64 {
        value.map { Int64(key.count + $0.count) } ?? 0
    }
}
