/// Memory for the stream states of one connection, each at a fixed index.
///
/// Packets change streams where they lie: an array of optionals would be checked for uniqueness,
/// and its payload copied with all that it refers to, several times per packet.
///
/// It belongs to one `StreamTable`. A copy of that is a view of the same streams, good for reading
/// at once and nothing else.
final class StreamSlots {
    private static let capacityMin = 8

    private var states: UnsafeMutablePointer<StreamState>
    private var capacity: Int
    private(set) var count = 0

    init() {
        capacity = StreamSlots.capacityMin
        states = .allocate(capacity: capacity)
    }

    deinit {
        states.deinitialize(count: count)
        states.deallocate()
    }

    subscript(index: Int) -> StreamState {
        @inline(__always) unsafeAddress {
            precondition(index >= 0 && index < count, "a stream's index is below the count")
            return UnsafePointer(states + index)
        }
        @inline(__always) unsafeMutableAddress {
            precondition(index >= 0 && index < count, "a stream's index is below the count")
            return states + index
        }
    }

    /// Puts `state` in the place of the one that it gives back.
    func exchange(_ index: Int, _ state: StreamState) -> StreamState {
        precondition(index >= 0 && index < count, "a stream's index is below the count")
        let old = (states + index).move()
        (states + index).initialize(to: state)
        return old
    }

    /// Adds a state behind the last one; returns its index.
    func append(_ state: StreamState) -> Int {
        if count == capacity {
            let larger = UnsafeMutablePointer<StreamState>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: states, count: count)
            states.deallocate()
            states = larger
            capacity *= 2
        }
        (states + count).initialize(to: state)
        count += 1
        return count - 1
    }
}
