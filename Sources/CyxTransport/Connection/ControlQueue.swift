/// Control frames that wait for a packet, each at most once; their values are read when they are
/// written, so a repeated one is never stale.
struct ControlQueue: Sendable {
    enum Item: Hashable, Sendable {
        case maxData
        case maxStreams
        case handshakeDone
        case newConnectionID(UInt64)
        case retireConnectionID(UInt64)
        case maxStreamData(StreamID)
        case resetStream(StreamID)
        case stopSending(StreamID)
    }

    private var items: [Item] = []
    private var head = 0

    var isEmpty: Bool { head == items.count }

    mutating func add(_ item: Item) {
        // Short in practice: two entries per open stream at the very most.
        guard !items[head...].contains(item) else { return }
        items.append(item)
    }

    mutating func next() -> Item? {
        guard head < items.count else { return nil }
        defer {
            head += 1
            if head == items.count {
                items.removeAll(keepingCapacity: true)
                head = 0
            }
        }
        return items[head]
    }
}
