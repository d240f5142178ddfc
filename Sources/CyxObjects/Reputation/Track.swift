/// A score between 0 and 1 that forgets: the mean of a Beta distribution whose counts fade
/// (Jøsang and Ismail 2002, with Storj's parameters, B6).
package struct Track: Hashable, Sendable {
    package var alpha: Double
    package var beta: Double
    /// What one more audit leaves of the earlier ones.
    package let decay: Double

    /// Of audits answered at all, how many were answered rightly: some 40 wrong ones without a good
    /// one between lead to a ban, single ones to nothing.
    package static let wrong = Track(alpha: 1000, beta: 0, decay: 0.999)
    /// Of audits of a peer that could be reached, how many it answered: ten silent ones on end
    /// suspend it. Starts at what a peer without a failure has in the long run.
    package static let unknown = Track(alpha: 20, beta: 0, decay: 0.95)

    package init(alpha: Double, beta: Double, decay: Double) {
        self.alpha = alpha
        self.beta = beta
        self.decay = decay
    }

    package var score: Double { alpha / (alpha + beta) }

    package mutating func record(isGood: Bool) {
        alpha = alpha * decay + (isGood ? 1 : 0)
        beta = beta * decay + (isGood ? 0 : 1)
    }

    /// Records counts whose order is not known, the bad ones evenly among the good.
    package mutating func record(good: Int, bad: Int) {
        let total = good + bad
        guard total > 0 else { return }
        var passed = 0
        for number in 1...total {
            let isGood = (good * number + total / 2) / total > passed
            if isGood { passed += 1 }
            record(isGood: isGood)
        }
    }
}
