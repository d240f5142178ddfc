/// Unreliable datagrams that wait for a packet (RFC 9221). When the queue is full the oldest goes:
/// what waited longest is worth least to those who use datagrams.
struct DatagramQueue: Sendable {
    static let countMax = 512
    static let bytesMax = 512 << 10

    private var items: [[UInt8]] = []
    private var head = 0
    private(set) var byteCount = 0

    var isEmpty: Bool { head == items.count }
    var count: Int { items.count - head }
    var first: [UInt8]? { isEmpty ? nil : items[head] }

    /// Puts `bytes` at the end; how many older ones had to go for it.
    mutating func append(_ bytes: [UInt8]) -> Int {
        var dropped = 0
        while count >= DatagramQueue.countMax
            || (!isEmpty && byteCount + bytes.count > DatagramQueue.bytesMax)
        {
            removeFirst()
            dropped += 1
        }
        items.append(bytes)
        byteCount += bytes.count
        return dropped
    }

    mutating func removeFirst() {
        byteCount -= items[head].count
        items[head] = []
        head += 1
        // The dead part never exceeds the living one by more than a queue's length.
        if head == items.count {
            items.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= DatagramQueue.countMax {
            items.removeFirst(head)
            head = 0
        }
    }
}
