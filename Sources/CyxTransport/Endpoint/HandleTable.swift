/// Values by connection: an array, since the handles of one endpoint are places and their
/// generations. A dictionary would hash every access, and allocate for each change in place.
struct HandleTable<Value> {
    private struct Entry {
        var generation: UInt32
        var value: Value?
    }

    private var entries: [Entry] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// In order of place.
    var keys: [ConnectionHandle] {
        entries.indices.compactMap { slot in
            guard entries[slot].value != nil else { return nil }
            return ConnectionHandle(slot: slot, generation: entries[slot].generation)
        }
    }

    @inline(__always)
    private func holds(_ handle: ConnectionHandle) -> Bool {
        handle.slot < entries.count && entries[handle.slot].generation == handle.generation
    }

    /// A new value takes the place of what an older connection left there.
    subscript(handle: ConnectionHandle) -> Value? {
        @inline(__always) get { holds(handle) ? entries[handle.slot].value : nil }
        // Inlined, so that the accessor's frame is not allocated.
        @inline(__always) _modify {
            guard holds(handle) else {
                var value: Value?
                yield &value
                if let value { insert(value, for: handle) }
                return
            }
            let before = entries[handle.slot].value == nil ? 0 : 1
            yield &entries[handle.slot].value
            count += (entries[handle.slot].value == nil ? 0 : 1) - before
        }
    }

    private mutating func insert(_ value: Value, for handle: ConnectionHandle) {
        while entries.count <= handle.slot { entries.append(Entry(generation: 0, value: nil)) }
        if entries[handle.slot].value == nil { count += 1 }
        entries[handle.slot] = Entry(generation: handle.generation, value: value)
    }

    mutating func removeValue(forKey handle: ConnectionHandle) -> Value? {
        let value = self[handle]
        self[handle] = nil
        return value
    }
}
