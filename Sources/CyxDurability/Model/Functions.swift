/// Elementary functions, since the C library is not for code that a simulation has to repeat bit by
/// bit on every machine.
enum Functions {
    private static let logOf2 = 0.693_147_180_559_945_3

    /// The natural logarithm of a positive number, by the series of the area tangent; 1e-15.
    static func log(_ value: Double) -> Double {
        precondition(value > 0 && value.isFinite, "a logarithm is that of a positive number")
        // In [√½, √2), where the series converges within 20 terms.
        var significand = value.significand
        var exponent = Double(value.exponent)
        if significand > 1.414_213_562_373_095 {
            significand /= 2
            exponent += 1
        }
        let ratio = (significand - 1) / (significand + 1)
        let square = ratio * ratio
        var term = ratio
        var sum = 0.0
        for number in 0..<20 {
            sum += term / Double(2 * number + 1)
            term *= square
        }
        return 2 * sum + exponent * logOf2
    }

    /// e to the power of `value`, by the series after halving it into [−1/64, 1/64].
    static func exp(_ value: Double) -> Double {
        guard value > -700 else { return 0 }
        precondition(value < 700, "an exponential that is no number")
        var halvings = 0
        var rest = value
        while abs(rest) > 1 / 64.0 {
            rest /= 2
            halvings += 1
        }
        var sum = 1.0
        var term = 1.0
        for number in 1...8 {
            term *= rest / Double(number)
            sum += term
        }
        for _ in 0..<halvings { sum *= sum }
        return sum
    }

    /// The chance that something that happens `rate` times in a unit of time does within `time`.
    static func chance(_ rate: Double, _ time: Double) -> Double { 1 - exp(-rate * time) }
}
