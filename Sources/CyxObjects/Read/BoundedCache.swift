/// Remembers the values that were used last, up to a number of them.
struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let capacity: Int
    private var entries: [Key: (value: Value, used: UInt64, cost: Int)] = [:]
    private var clock: UInt64 = 0
    private var cost = 0

    /// `capacity`: the sum of costs, which are 1 each unless said otherwise.
    init(capacity: Int) {
        self.capacity = capacity
    }

    subscript(key: Key) -> Value? {
        mutating get {
            guard let entry = entries[key] else { return nil }
            clock += 1
            entries[key]?.used = clock
            return entry.value
        }
        set {
            if let newValue { insert(newValue, for: key, cost: 1) } else { remove(key) }
        }
    }

    mutating func insert(_ value: Value, for key: Key, cost new: Int) {
        remove(key)
        guard new <= capacity else { return }
        clock += 1
        entries[key] = (value, clock, new)
        cost += new
        guard cost > capacity else { return }
        // Makes room in one sweep for the next many, so that a full cache is not sorted each time.
        for (key, entry) in entries.sorted(by: { $0.value.used < $1.value.used }) {
            guard cost > capacity / 8 * 7 || cost > capacity else { break }
            entries[key] = nil
            cost -= entry.cost
        }
    }

    mutating func remove(_ key: Key) {
        if let old = entries.removeValue(forKey: key) { cost -= old.cost }
    }
}
