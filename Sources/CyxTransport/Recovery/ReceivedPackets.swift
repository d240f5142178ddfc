internal import CyxCore

/// Which packets arrived, and when to acknowledge them (RFC 9000 §13.2).
struct ReceivedPackets: Sendable {
    /// Ranges kept; older ones count as received, so that a packet is never taken twice.
    static let rangesMax = 64
    /// Ack-eliciting packets after which an acknowledgment goes out at once.
    static let packetsPerAcknowledgment = 2

    private(set) var ranges = RangeSet()
    /// Everything below was received or is given up.
    private var floor: UInt64 = 0
    private(set) var largest: UInt64?
    private var largestTime: Int64 = 0
    /// The marks that packets came with.
    private(set) var ecnCounts = ECNCounts()
    private var unacknowledged = 0
    private(set) var isAcknowledgmentDue = false
    /// When an acknowledgment is due at the latest.
    private(set) var deadline: Int64?

    @inline(__always)
    func isDuplicate(_ number: UInt64) -> Bool {
        if number < floor { return true }
        if let largest, number > largest { return false }
        return ranges.contains(number)
    }

    mutating func insert(
        _ number: UInt64, isAckEliciting: Bool, now: Int64, maximumDelay: Int64,
        ecn: ECNCodepoint = .notECT
    ) {
        ecnCounts.add(ecn)
        let isNext = largest.map { number == $0 + 1 } ?? (number == 0)
        ranges.insert(number..<number + 1)
        while ranges.count > ReceivedPackets.rangesMax, let first = ranges.first {
            floor = first.upperBound
            ranges.removeFirst()
        }
        if largest.map({ number > $0 }) ?? true {
            largest = number
            largestTime = now
        }
        guard isAckEliciting else { return }
        unacknowledged += 1
        // The sender should hear of congestion at once (RFC 9000 §13.2.1).
        if !isNext || ecn.isCongested || unacknowledged >= ReceivedPackets.packetsPerAcknowledgment
        {
            isAcknowledgmentDue = true
        } else if deadline == nil {
            deadline = now + maximumDelay
        }
    }

    /// Whether an ACK frame would say something new.
    var hasNews: Bool { unacknowledged > 0 }

    func delay(now: Int64) -> Int64 { now - largestTime }

    mutating func acknowledgmentTimedOut() { isAcknowledgmentDue = true }

    /// An ACK frame went out.
    mutating func acknowledged() {
        unacknowledged = 0
        isAcknowledgmentDue = false
        deadline = nil
    }

    /// The peer has seen our acknowledgment of everything below `bound`: no need to repeat it.
    mutating func forget(below bound: UInt64) {
        guard let largest else { return }
        // The range with the largest number stays: duplicates are judged by it.
        let bound = min(bound, largest)
        guard bound > floor else { return }
        floor = bound
        ranges.removeBelow(bound)
    }
}
