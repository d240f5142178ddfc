internal import CyxCore

/// How small rates are written.
package enum RareRate {
    /// Two digits, with a power of ten where the value is small or large: `0.400`, `3.6e-11`.
    package static func text(_ value: Double) -> String {
        guard value > 0, value.isFinite else { return value > 0 ? "endless" : "0" }
        if (0.01..<1000).contains(value) {
            return Units.decimal(value, digits: value < 1 ? 3 : 1)
        }
        var (mantissa, exponent) = (value, 0)
        while mantissa >= 9.95 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
        while mantissa < 0.995 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        return "\(Units.decimal(mantissa, digits: 1))e\(exponent)"
    }
}
