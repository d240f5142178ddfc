/// Credit that a receiver gives (RFC 9000 §4), growing while the sender uses a whole window within
/// two round trips, so that a long fat path is filled and an idle one costs little.
struct FlowWindow: Sendable {
    private(set) var size: UInt64
    let sizeMax: UInt64
    /// The advertised limit.
    private(set) var limit: UInt64
    private var lastUpdate: Int64 = .min

    init(size: UInt64, sizeMax: UInt64) {
        self.size = size
        self.sizeMax = sizeMax
        limit = size
    }

    /// `consumed` bytes were taken in all: whether the peer should hear of a new limit, which is
    /// when half the window is used.
    mutating func update(consumed: UInt64, now: Int64, roundTrip: Int64) -> Bool {
        guard limit - min(limit, consumed) <= size / 2 else { return false }
        if lastUpdate != .min, now - lastUpdate < 2 * roundTrip { size = min(sizeMax, size * 2) }
        lastUpdate = now
        guard consumed + size > limit else { return false }
        limit = consumed + size
        return true
    }

    /// Takes the size over that another of the same path has grown to; true if that raises the
    /// limit.
    mutating func adopt(_ other: UInt64, consumed: UInt64) -> Bool {
        size = max(size, min(other, sizeMax))
        guard consumed + size > limit else { return false }
        limit = consumed + size
        return true
    }
}
