/// A binary min-heap of deadlines with what they are for; equal deadlines leave in order of entry.
struct DeadlineHeap<Value: Sendable>: Sendable {
    struct Entry: Sendable {
        var deadline: Int64
        var order: UInt64
        var value: Value
    }

    private var entries: [Entry] = []
    private var nextOrder: UInt64 = 0

    var first: Entry? { entries.first }
    var count: Int { entries.count }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        let (a, b) = (entries[left], entries[right])
        return a.deadline == b.deadline ? a.order < b.order : a.deadline < b.deadline
    }

    mutating func insert(_ value: Value, deadline: Int64) {
        entries.append(Entry(deadline: deadline, order: nextOrder, value: value))
        nextOrder += 1
        var index = entries.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            guard precedes(index, parent) else { return }
            entries.swapAt(index, parent)
            index = parent
        }
    }

    mutating func popFirst() -> Entry? {
        guard let first = entries.first else { return nil }
        let last = entries.removeLast()
        guard !entries.isEmpty else { return first }
        entries[0] = last
        siftDown(0)
        return first
    }

    /// Forgets what `isDead` says will not be waited for.
    mutating func removeAll(where isDead: (Value) -> Bool) {
        entries.removeAll { isDead($0.value) }
        for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var smallest = index
            let left = 2 * index + 1
            if left < entries.count, precedes(left, smallest) { smallest = left }
            if left + 1 < entries.count, precedes(left + 1, smallest) { smallest = left + 1 }
            guard smallest != index else { return }
            entries.swapAt(index, smallest)
            index = smallest
        }
    }
}
