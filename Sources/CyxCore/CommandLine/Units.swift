/// Sizes and durations as people write and read them (`experience.md` §1).
package enum Units {
    /// Reads `500GB`, `1.5 GiB`, `4096`: both families are binary. Nil if it is no size.
    package static func parseBytes(_ text: String) -> UInt64? {
        let trimmed = text.filter { $0 != " " && $0 != "_" }
        let number = trimmed.prefix { $0.isNumber || $0 == "." }
        guard let value = Double(number), value >= 0 else { return nil }
        let factors: [String: Double] = [
            "": 1, "b": 1, "k": 0x1p10, "m": 0x1p20, "g": 0x1p30, "t": 0x1p40, "p": 0x1p50,
        ]
        var unit = trimmed.dropFirst(number.count).lowercased()
        if unit.count > 1, unit.hasSuffix("b") { unit.removeLast() }
        if unit.count > 1, unit.hasSuffix("i") { unit.removeLast() }
        guard let factor = factors[unit], value * factor < 0x1p63 else { return nil }
        return UInt64(value * factor)
    }

    /// Writes three significant digits and a binary unit: `1.50 GiB`.
    package static func format(bytes: UInt64) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        guard bytes >= 1024 else { return "\(bytes) B" }
        var value = Double(bytes) / 1024
        var unit = 0
        while value >= 1024, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        return "\(decimal(value, digits: value < 10 ? 2 : value < 100 ? 1 : 0)) \(units[unit])"
    }

    /// Reads `300ms`, `30s`, `5m`, `6h`, `7d`. Nil if it is no duration.
    package static func parseDuration(_ text: String) -> Duration? {
        let number = text.prefix { $0.isNumber || $0 == "." }
        guard let value = Double(number) else { return nil }
        let seconds: [String: Double] = ["ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400]
        guard let factor = seconds[String(text.dropFirst(number.count))], value * factor < 1e9
        else { return nil }
        return .nanoseconds(Int64(value * factor * 1e9))
    }

    /// A number with exactly `digits` decimals, rounded half up.
    package static func decimal(_ value: Double, digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((value * scale).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let fraction = String(abs(scaled) % Int64(scale))
        let padding = String(repeating: "0", count: digits - fraction.count)
        let sign = scaled < 0 && scaled > -Int64(scale) ? "-" : ""
        return "\(sign)\(scaled / Int64(scale)).\(padding)\(fraction)"
    }
}
