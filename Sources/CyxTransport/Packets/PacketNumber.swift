/// Truncated packet numbers (RFC 9000 §17.1, appendices A.2 and A.3).
enum PacketNumber {
    static let maximum: UInt64 = 1 << 62 - 1

    /// How many bytes carry `number` so that a receiver that knows `largestAcknowledged` (nil:
    /// nothing yet) finds it again: 1…4.
    @inline(__always)
    static func encodedSize(_ number: UInt64, largestAcknowledged: UInt64?) -> Int {
        let unacknowledged = largestAcknowledged.map { number - $0 } ?? number + 1
        if unacknowledged < 1 << 7 { return 1 }
        if unacknowledged < 1 << 15 { return 2 }
        if unacknowledged < 1 << 23 { return 3 }
        return 4
    }

    /// The number closest to `largestReceived` + 1 whose last `size` bytes are `truncated`.
    @inline(__always)
    static func decode(_ truncated: UInt64, size: Int, largestReceived: UInt64?) -> UInt64 {
        let expected = largestReceived.map { $0 + 1 } ?? 0
        let window: UInt64 = 1 << UInt64(size * 8)
        let half = window / 2
        let candidate = (expected & ~(window - 1)) | truncated
        if candidate + half <= expected, candidate < maximum + 1 - window {
            return candidate + window
        }
        if candidate > expected + half, candidate >= window { return candidate - window }
        return candidate
    }
}
