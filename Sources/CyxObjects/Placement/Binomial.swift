/// Chances among independent trials.
package enum Binomial {
    /// That at least `least` of `trials` happen, each with `chance`. Sums the terms themselves, so
    /// that chances far below those that 1 minus the rest could tell from none are exact.
    package static func atLeast(_ least: Int, of trials: Int, chance: Double) -> Double {
        guard least > 0 else { return 1 }
        guard least <= trials else { return 0 }
        var sum = 0.0
        for count in least...trials {
            var term = 1.0
            // C(trials, count) · chance^count · (1 − chance)^(trials − count), in an order that
            // neither overflows nor vanishes early.
            for number in 0..<count {
                term *= Double(trials - number) / Double(count - number) * chance
            }
            for _ in 0..<trials - count { term *= 1 - chance }
            sum += term
        }
        return sum
    }
}
