/// Something that happens to one machine at one time: 24 bytes, so that a heap of millions stays
/// small and sifting stays cheap. What `subject` and `peer` number is the run's own business.
struct ProtocolEvent {
    /// Virtual nanoseconds.
    var time: Int64
    /// The order of scheduling, which decides ties, above eight bits of kind.
    private(set) var tag: UInt64
    var subject: UInt32
    var peer: UInt32

    var kind: UInt8 { UInt8(truncatingIfNeeded: tag) }

    init(time: Int64, sequence: UInt64, kind: UInt8, subject: UInt32, peer: UInt32) {
        self.time = time
        tag = sequence << 8 | UInt64(kind)
        self.subject = subject
        self.peer = peer
    }

    func precedes(_ other: ProtocolEvent) -> Bool {
        time != other.time ? time < other.time : tag < other.tag
    }
}

/// A min-heap of events with four children to a node: half the levels of a binary one, and the
/// children of a node lie side by side.
struct ProtocolHeap {
    private static let fanOut = 4
    private var events: [ProtocolEvent] = []
    private var sequence: UInt64 = 0
    /// Events taken out so far.
    private(set) var processed = 0

    mutating func schedule(at time: Int64, kind: UInt8, subject: Int, peer: Int = 0) {
        sequence += 1
        let event = ProtocolEvent(
            time: time, sequence: sequence, kind: kind, subject: UInt32(subject),
            peer: UInt32(peer))
        events.append(event)
        var index = events.count - 1
        while index > 0 {
            let parent = (index - 1) / Self.fanOut
            guard event.precedes(events[parent]) else { break }
            events[index] = events[parent]
            index = parent
        }
        events[index] = event
    }

    mutating func next() -> ProtocolEvent? {
        guard let first = events.first, let event = events.popLast() else { return nil }
        processed += 1
        let count = events.count
        guard count > 0 else { return first }
        var index = 0
        while true {
            let child = Self.fanOut * index + 1
            guard child < count else { break }
            var least = child
            for other in child + 1..<max(child + 1, min(child + Self.fanOut, count))
            where events[other].precedes(events[least]) {
                least = other
            }
            guard events[least].precedes(event) else { break }
            events[index] = events[least]
            index = least
        }
        events[index] = event
        return first
    }
}
