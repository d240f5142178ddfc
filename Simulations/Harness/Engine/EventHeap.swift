/// Where an event stands in virtual time; ties go to the event that was scheduled first.
struct EventKey: Comparable {
    var time: Int64
    var sequence: UInt64
    var slot: Int

    static func < (left: EventKey, right: EventKey) -> Bool {
        left.time != right.time ? left.time < right.time : left.sequence < right.sequence
    }
}

/// A binary min-heap of keys. Bodies lie elsewhere, so that sifting moves 24 bytes.
struct EventHeap {
    private var keys: [EventKey] = []

    var count: Int { keys.count }
    var first: EventKey? { keys.first }

    mutating func insert(_ key: EventKey) {
        keys.append(key)
        siftUp(keys.count - 1)
    }

    mutating func removeFirst() -> EventKey? {
        guard let first = keys.first else { return nil }
        let last = keys.removeLast()
        if !keys.isEmpty {
            keys[0] = last
            siftDown(0)
        }
        return first
    }

    /// Drops what `isLive` rejects: the entries of cancelled timers. O(n).
    mutating func compact(_ isLive: (EventKey) -> Bool) {
        keys.removeAll { !isLive($0) }
        for index in stride(from: keys.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    private mutating func siftUp(_ start: Int) {
        let key = keys[start]
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard key < keys[parent] else { break }
            keys[index] = keys[parent]
            index = parent
        }
        keys[index] = key
    }

    private mutating func siftDown(_ start: Int) {
        let key = keys[start]
        var index = start
        while true {
            var child = 2 * index + 1
            guard child < keys.count else { break }
            if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
            guard keys[child] < key else { break }
            keys[index] = keys[child]
            index = child
        }
        keys[index] = key
    }
}
