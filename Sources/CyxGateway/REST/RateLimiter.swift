internal import CyxCore

/// Allowances that fill up steadily and are taken from, one for each key (a token bucket). Pure: the
/// caller brings the time.
struct RateLimiter<Key: Hashable & Sendable>: Sendable {
    struct Rate: Sendable {
        /// How many may come at once.
        var burst: Double
        var perSecond: Double
    }

    private struct Allowance {
        var left: Double
        var updated: Instant
    }

    let rate: Rate
    /// How many keys are told apart. With more than that, the ones that were not seen for longest
    /// begin anew.
    let capacity: Int
    private var allowances: [Key: Allowance] = [:]

    init(_ rate: Rate, capacity: Int) {
        self.rate = rate
        self.capacity = capacity
    }

    var count: Int { allowances.count }

    private func left(of key: Key, _ now: Instant) -> Double {
        guard let allowance = allowances[key] else { return rate.burst }
        let elapsed = Double((now - allowance.updated).nanoseconds) / 1e9
        return min(rate.burst, allowance.left + max(0, elapsed) * rate.perSecond)
    }

    /// Takes one; returns how long to wait instead if there is none.
    mutating func take(_ key: Key, _ now: Instant) -> Duration? {
        let left = left(of: key, now)
        guard left >= 1 else { return .nanoseconds(Int64((1 - left) / rate.perSecond * 1e9)) }
        if allowances[key] == nil, allowances.count >= capacity { makeRoom(now) }
        allowances[key] = Allowance(left: left - 1, updated: now)
        return nil
    }

    /// Gives back what turned out not to count.
    mutating func giveBack(_ key: Key, _ now: Instant) {
        guard allowances[key] != nil else { return }
        allowances[key] = Allowance(left: min(rate.burst, left(of: key, now) + 1), updated: now)
    }

    /// Forgets the half that was not seen for longest, so that this is seldom done.
    private mutating func makeRoom(_ now: Instant) {
        let oldest = allowances.sorted { $0.value.updated < $1.value.updated }
        for entry in oldest.prefix(max(1, capacity / 2)) { allowances[entry.key] = nil }
    }
}
