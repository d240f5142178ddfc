package import CyxCore

/// What happens when, soonest first and, at one time, in the order in which it was put down: a
/// binary heap.
package struct Agenda<Event> {
    private var items: [(at: Instant, order: UInt64, event: Event)] = []
    private var order: UInt64 = 0
    package private(set) var processed = 0

    package init() {}

    package mutating func schedule(at: Instant, _ event: Event) {
        order += 1
        items.append((at, order, event))
        var index = items.count - 1
        while index > 0, precedes(index, (index - 1) / 2) {
            items.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    package mutating func next() -> (at: Instant, event: Event)? {
        guard let first = items.first else { return nil }
        items.swapAt(0, items.count - 1)
        items.removeLast()
        var index = 0
        while true {
            var least = index
            for child in 2 * index + 1..<2 * index + 3
            where child < items.count && precedes(child, least) {
                least = child
            }
            guard least != index else { break }
            items.swapAt(index, least)
            index = least
        }
        processed += 1
        return (first.at, first.event)
    }

    private func precedes(_ first: Int, _ second: Int) -> Bool {
        let (one, two) = (items[first], items[second])
        return one.at != two.at ? one.at < two.at : one.order < two.order
    }
}
