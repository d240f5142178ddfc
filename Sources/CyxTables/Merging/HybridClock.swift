package import CyxCore

/// When an element of a merge row was written: milliseconds of civil time above 16 bits of a
/// counter (Kulkarni et al. 2014, hybrid logical clocks).
package struct HybridStamp: Hashable, Comparable, Sendable {
    package var value: UInt64
    package init(value: UInt64) { self.value = value }

    package var milliseconds: Int64 { Int64(value >> 16) }

    package static func < (left: HybridStamp, right: HybridStamp) -> Bool {
        left.value < right.value
    }
}

/// A peer's hybrid clock: never goes back, follows what it has seen, and follows nothing that is
/// too far ahead of civil time (A7).
package struct HybridClock: Sendable {
    /// How far ahead a stamp may be, in milliseconds.
    package static let aheadLimit: Int64 = 10_000

    private var last = HybridStamp(value: 0)

    package init() {}

    /// A stamp above every earlier one.
    package mutating func next(now: WallTime) -> HybridStamp {
        let civil = UInt64(max(0, now.milliseconds)) << 16
        last = HybridStamp(value: max(last.value + 1, civil))
        return last
    }

    /// Takes note of another peer's stamp; false, and no note, if it is too far ahead. `isBounded`:
    /// false only where a simulation shows why (`TableRule.boundsClocks`).
    package mutating func observe(
        _ stamp: HybridStamp, now: WallTime, isBounded: Bool = true
    ) -> Bool {
        guard !isBounded || HybridClock.isPlausible(stamp, now: now) else { return false }
        last = max(last, stamp)
        return true
    }

    package static func isPlausible(_ stamp: HybridStamp, now: WallTime) -> Bool {
        stamp.milliseconds <= now.milliseconds + aheadLimit
    }
}
