internal import CyxCore

/// Where in a stream of events somebody is: a number, and which run of the stream it counts in. Numbers
/// of another run, or of another gateway, mean nothing.
struct EventPosition: Equatable, Sendable {
    var run: UInt64
    var number: UInt64

    var text: String { String(run, radix: 16) + "-" + String(number) }

    init(run: UInt64, number: UInt64) {
        self.run = run
        self.number = number
    }

    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let run = UInt64(parts[0], radix: 16),
            let number = UInt64(parts[1])
        else { return nil }
        self.init(run: run, number: number)
    }
}

/// The last events of one stream, for clients that come back (a machine).
struct EventRing<Event: Sendable>: Sendable {
    /// Events that a client may have missed and still gets.
    static var capacity: Int { 1024 }

    let run: UInt64
    private var next: UInt64 = 1
    private var events: [(number: UInt64, event: Event)] = []

    init(run: UInt64) { self.run = run }

    /// Where it is now.
    var position: EventPosition { EventPosition(run: run, number: next - 1) }

    mutating func append(_ event: Event) -> EventPosition {
        events.append((next, event))
        // Dropped in pieces, so that one of them does not cost a move of all.
        if events.count > 2 * Self.capacity { events.removeFirst(events.count - Self.capacity) }
        next += 1
        return position
    }

    /// What came before now cannot be told to anybody who was there.
    mutating func forget() {
        events = []
        // A number that no event has: nobody's missed ones can be complete beyond it.
        next += 1
    }

    /// What came after a position; nil: that is not known any more.
    func since(_ position: EventPosition) -> [(position: EventPosition, event: Event)]? {
        guard position.run == run else { return nil }
        let missed = events.filter { $0.number > position.number }
        let isComplete =
            missed.first.map { $0.number == position.number + 1 }
            ?? (position.number == next - 1)
        guard isComplete else { return nil }
        return missed.map { (EventPosition(run: run, number: $0.number), $0.event) }
    }
}
