/// The timers of one reactor: a binary heap over slots, so that cancelling only empties a slot.
///
/// Cancelled entries stay in the heap until they surface or outnumber the live ones, when the heap
/// is rebuilt: cancelling is O(1) amortised and garbage is at most `live + slack`.
struct ReactorTimers: ~Copyable {
    typealias Body = @Sendable () -> Void

    /// How many cancelled entries are always tolerated.
    static let slack = 64

    private struct Slot {
        var generation: UInt32 = 0
        var body: Body?
    }

    private struct Entry {
        var deadline: Instant
        /// Breaks ties in the order of scheduling.
        var sequence: UInt64
        var slot: UInt32

        func precedes(_ other: Entry) -> Bool {
            deadline == other.deadline ? sequence < other.sequence : deadline < other.deadline
        }
    }

    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private var heap: [Entry] = []
    private var sequence: UInt64 = 0
    private(set) var liveCount = 0

    /// When the next live timer is due.
    var nextDeadline: Instant? {
        mutating get {
            dropCancelled()
            return heap.first?.deadline
        }
    }

    mutating func schedule(at deadline: Instant, _ body: @escaping Body) -> TimerID {
        let slot: UInt32
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot())
        }
        slots[Int(slot)].body = body
        sequence += 1
        heap.append(Entry(deadline: deadline, sequence: sequence, slot: slot))
        siftUp(heap.count - 1)
        liveCount += 1
        return TimerID(UInt64(slots[Int(slot)].generation) << 32 | UInt64(slot))
    }

    /// Returns the body, so that the caller can release it outside its lock.
    mutating func cancel(_ timer: TimerID) -> Body? {
        let slot = Int(timer.value & 0xFFFF_FFFF)
        let generation = UInt32(truncatingIfNeeded: timer.value >> 32)
        guard slot < slots.count, slots[slot].generation == generation else { return nil }
        guard let body = slots[slot].body else { return nil }
        slots[slot].body = nil
        slots[slot].generation &+= 1
        liveCount -= 1
        if heap.count > 2 * liveCount + ReactorTimers.slack { rebuild() }
        return body
    }

    /// Removes and returns one timer that is due at `now`.
    mutating func popDue(_ now: Instant) -> Body? {
        dropCancelled()
        guard let first = heap.first, first.deadline <= now else { return nil }
        let body = slots[Int(first.slot)].body
        slots[Int(first.slot)].body = nil
        slots[Int(first.slot)].generation &+= 1
        liveCount -= 1
        removeFirst()
        return body
    }

    private mutating func dropCancelled() {
        while let first = heap.first, slots[Int(first.slot)].body == nil { removeFirst() }
    }

    /// A slot is reused only after its entry left the heap, so an entry never meets a new body.
    private mutating func removeFirst() {
        freeSlots.append(heap[0].slot)
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        siftDown(0)
    }

    private mutating func rebuild() {
        var kept: [Entry] = []
        kept.reserveCapacity(liveCount)
        for entry in heap {
            if slots[Int(entry.slot)].body == nil {
                freeSlots.append(entry.slot)
            } else {
                kept.append(entry)
            }
        }
        heap = kept
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index].precedes(heap[parent]) else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && heap[child].precedes(heap[least]) {
                least = child
            }
            guard least != index else { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
