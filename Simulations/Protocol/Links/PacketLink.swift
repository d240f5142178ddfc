internal import CyxCore

/// One direction of a link, packet by packet: a queue in bytes that drains at the bandwidth, then
/// the propagation delay, then what chance does to packets.
package struct PacketLink {
    /// IPv4 and UDP headers of each datagram.
    static let headerBytes = 28

    /// Bytes per second.
    package var bandwidth: Double
    /// In nanoseconds.
    package var delay: Int64
    /// Bytes that may wait; more are dropped.
    package var queueBytes: Int
    /// Shares of the packets.
    package var loss = 0.0
    package var duplication = 0.0
    package var reordering = 0.0
    /// By how much a reordered packet comes later, in nanoseconds.
    package var reorderingDelay: Int64 = 5_000_000
    /// Packets that find more than this waiting are marked, if they may be.
    package var marksAbove = Int.max

    /// When the queue will be empty.
    private var free: Int64 = 0
    /// Packets that were dropped for want of room, and lost by chance.
    package private(set) var overflowed = 0
    package private(set) var lost = 0
    package private(set) var marked = 0
    package private(set) var bytesCarried = 0
    package private(set) var packetsCarried = 0

    package init(bandwidth: Double, delay: Int64, queueBytes: Int, loss: Double = 0) {
        self.bandwidth = bandwidth
        self.delay = delay
        self.queueBytes = queueBytes
        self.loss = loss
    }

    /// What becomes of a datagram: when it arrives, perhaps twice, perhaps never, and whether it
    /// is marked.
    struct Fate {
        var arrival: Int64?
        var copy: Int64?
        var isMarked = false
    }

    mutating func send(
        bytes: Int, now: Int64, isMarkable: Bool, random: inout SeededGenerator
    ) -> Fate {
        let size = bytes + PacketLink.headerBytes
        let start = max(now, free)
        let waiting = Int(Double(start - now) / 1e9 * bandwidth)
        guard waiting + size <= queueBytes else {
            overflowed += 1
            return Fate()
        }
        free = start + Int64((Double(size) / bandwidth * 1e9).rounded())
        guard !happens(loss, &random) else {
            lost += 1
            return Fate()
        }
        bytesCarried += bytes
        packetsCarried += 1
        var fate = Fate(arrival: free + delay)
        if isMarkable, waiting > marksAbove {
            fate.isMarked = true
            marked += 1
        }
        if happens(reordering, &random) { fate.arrival = free + delay + reorderingDelay }
        if happens(duplication, &random) { fate.copy = free + delay + reorderingDelay / 2 }
        return fate
    }

    private func happens(_ share: Double, _ random: inout SeededGenerator) -> Bool {
        share > 0 && Double(random.next() >> 11) < share * 0x1p53
    }
}
