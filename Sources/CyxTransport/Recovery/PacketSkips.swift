internal import CyxCore

/// Packet numbers that are never used, so that a peer that acknowledges what it did not receive
/// gives itself away (RFC 9000 §21.4): it would otherwise drive our rate beyond what the path
/// carries, as it hides every loss.
struct PacketSkips: Sendable {
    /// The first skip comes within this many packets: about two initial windows.
    static let firstWithin: UInt64 = 64
    /// Packets between two skips. Each costs an acknowledgment that is not put off.
    static let interval: ClosedRange<UInt64> = 64...1024
    /// Skips that acknowledgments are checked for: more than a window has.
    static let rememberedMax = 32

    private var generator: SeededGenerator
    /// The next number that is to be skipped.
    private(set) var next: UInt64
    /// The latest skips, in a ring.
    private var recent: [UInt64] = []
    private var position = 0

    /// Nil skips nothing.
    init(seed: UInt64?) {
        generator = SeededGenerator(seed: seed ?? 0)
        next = seed == nil ? .max : generator.next(in: 1...PacketSkips.firstWithin)
        recent.reserveCapacity(PacketSkips.rememberedMax)
    }

    /// `next` was skipped: chooses another.
    mutating func skipped() {
        if recent.count < PacketSkips.rememberedMax {
            recent.append(next)
        } else {
            recent[position] = next
            position = (position + 1) % PacketSkips.rememberedMax
        }
        next += generator.next(in: PacketSkips.interval)
    }

    /// Whether a range of acknowledged numbers has a skipped one in it.
    func areTouched(by lowest: UInt64, _ highest: UInt64) -> Bool {
        for skip in recent where skip >= lowest && skip <= highest { return true }
        return false
    }
}

extension SeededGenerator {
    fileprivate mutating func next(in range: ClosedRange<UInt64>) -> UInt64 {
        range.lowerBound + next() % (range.upperBound - range.lowerBound + 1)
    }
}
