/// How far packets overtake each other on a path, learned from those that arrived after they had
/// counted as lost. RFC 9002 §6.1 gives where to start and leave to adapt; waiting for up to one
/// more round trip is RFC 8985's bound (§6.2).
struct Reordering: Sendable {
    static let packetThresholdMin: UInt64 = 3
    static let packetThresholdMax: UInt64 = 256
    /// Of round trips, in eighths.
    static let extraWait: ClosedRange<Int64> = 1...8
    /// Packets that count as lost and may still prove otherwise.
    static let rememberedMax = 32

    private struct Lost: Sendable {
        var number: UInt64
        var timeSent: Int64
    }

    /// Packets that may be acknowledged before one behind them counts as lost.
    private(set) var packetThreshold = Reordering.packetThresholdMin
    /// How much longer than a round trip a packet may take once a later one is acknowledged, in
    /// eighths of a round trip.
    private(set) var waitEighths = Reordering.extraWait.lowerBound
    private var lost: [Lost] = []
    private var position = 0

    mutating func lost(_ number: UInt64, timeSent: Int64) {
        if lost.count < Reordering.rememberedMax {
            lost.append(Lost(number: number, timeSent: timeSent))
        } else {
            lost[position] = Lost(number: number, timeSent: timeSent)
            position = (position + 1) % Reordering.rememberedMax
        }
    }

    /// A range of numbers is acknowledged, `largest` being the largest of all. Whatever of it
    /// counted as lost was late: such packets are waited for from now on. `roundTrip` is the one
    /// that losses are timed by, in nanoseconds.
    @inline(__always)
    mutating func acknowledged(
        _ lowest: UInt64, _ highest: UInt64, largest: UInt64, now: Int64, roundTrip: Int64
    ) {
        guard !lost.isEmpty else { return }
        learn(lowest...highest, largest: largest, now: now, roundTrip: roundTrip)
    }

    private mutating func learn(
        _ range: ClosedRange<UInt64>, largest: UInt64, now: Int64, roundTrip: Int64
    ) {
        var index = 0
        while index < lost.count {
            let packet = lost[index]
            guard range.contains(packet.number) else {
                index += 1
                continue
            }
            lost.swapAt(index, lost.count - 1)
            lost.removeLast()
            position = 0
            let distance = largest - packet.number + 1
            packetThreshold = min(
                max(packetThreshold, distance), Reordering.packetThresholdMax)
            let late = max(0, now - packet.timeSent - roundTrip)
            let eighths = late * 8 / max(1, roundTrip) + 1
            waitEighths = min(max(waitEighths, eighths), Reordering.extraWait.upperBound)
        }
    }
}
