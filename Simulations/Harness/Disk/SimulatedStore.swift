package import CyxCore
internal import Synchronization

/// One store of one life of a simulated disk.
package final class SimulatedStore: KeyValueStore {
    private let disk: SimulatedDisk
    private let name: String
    private let life: Int

    init(disk: SimulatedDisk, name: String, life: Int) {
        self.disk = disk
        self.name = name
        self.life = life
    }

    package func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try access { state, volume throws(StoreError) in
            try self.failRead(&state)
            guard var value = volume.map[key] else { return nil }
            self.flip(&value, &state)
            return value
        }
    }

    package func write(_ writes: [KeyValueWrite], durable: Bool) throws(StoreError) {
        try access { state, volume throws(StoreError) in
            if self.strikes(state.faults.writeError, &state) {
                throw .failed(operation: "write", detail: "injected write error")
            }
            var growth: Int64 = 0
            for case .put(let key, let value) in writes {
                growth += SimulatedDisk.size(key, value)
                growth -= SimulatedDisk.size(key, volume.map[key])
            }
            guard growth <= 0 || state.used + growth <= state.capacity else { throw .noSpace }
            var undo: [(key: [UInt8], previous: [UInt8]?)] = []
            for write in writes {
                let (key, value): ([UInt8], [UInt8]?) =
                    switch write {
                    case .put(let key, let value): (key, value)
                    case .delete(let key): (key, nil)
                    }
                let previous = volume.map.set(key, value)
                state.used += SimulatedDisk.size(key, value) - SimulatedDisk.size(key, previous)
                undo.append((key, previous))
            }
            // A synced log makes all that was written before it durable too.
            if durable, case .rows = volume.kind {
                volume.undo = []
            } else {
                volume.undo.append(undo)
            }
        }
    }

    package func flush() throws(StoreError) {
        try access { state, volume throws(StoreError) in
            if self.strikes(state.faults.writeError, &state) {
                throw .failed(operation: "flush", detail: "injected write error")
            }
            if state.faults.liesAboutShards, case .shards = volume.kind { return }
            volume.undo = []
        }
    }

    package func scan(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
        try access { state, volume throws(StoreError) in
            try self.failRead(&state)
            var entries: [(key: [UInt8], value: [UInt8])] = []
            var index = volume.map.lowerBound(from)
            while index < volume.map.count, entries.count < limit {
                let key = volume.map.keys[index]
                if let to, !key.lexicographicallyPrecedes(to) { break }
                var value = volume.map.values[index]
                self.flip(&value, &state)
                entries.append((key, value))
                index += 1
            }
            return entries
        }
    }

    package func close() {}

    private func access<Value: Sendable>(
        _ body: (inout SimulatedDisk.State, inout SimulatedDisk.Volume) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try disk.state.withLock { state throws(StoreError) in
            guard state.life == self.life, var volume = state.volumes[self.name] else {
                throw .closed
            }
            // Taken out while it changes, so that the map is changed in place.
            state.volumes[self.name] = SimulatedDisk.Volume(kind: volume.kind)
            defer { state.volumes[self.name] = volume }
            return try body(&state, &volume)
        }
    }

    private func failRead(_ state: inout SimulatedDisk.State) throws(StoreError) {
        if strikes(state.faults.readError, &state) {
            throw .failed(operation: "read", detail: "injected read error")
        }
    }

    private func flip(_ value: inout [UInt8], _ state: inout SimulatedDisk.State) {
        guard !value.isEmpty, strikes(state.faults.readBitFlip, &state) else { return }
        let position = Int.random(in: 0..<value.count, using: &state.generator)
        value[position] ^= 1 << UInt8.random(in: 0..<8, using: &state.generator)
    }

    private func strikes(_ chance: Double, _ state: inout SimulatedDisk.State) -> Bool {
        chance > 0 && Double.random(in: 0..<1, using: &state.generator) < chance
    }
}
