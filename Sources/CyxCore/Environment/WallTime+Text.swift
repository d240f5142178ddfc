extension WallTime {
    /// RFC 3339 in UTC with milliseconds, such as `2026-03-01T12:30:45.250Z`.
    ///
    /// Days to dates as in Howard Hinnant's "chrono-compatible low-level date algorithms".
    package var rfc3339: String {
        let days = floorDivide(milliseconds, 86_400_000)
        let inDay = milliseconds - days * 86_400_000
        let (year, month, day) = WallTime.civilDate(daysSinceEpoch: days)
        let date = "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))"
        let minutes = "\(pad(inDay / 3_600_000, 2)):\(pad(inDay / 60_000 % 60, 2))"
        return "\(date)T\(minutes):\(pad(inDay / 1000 % 60, 2)).\(pad(inDay % 1000, 3))Z"
    }

    /// The Gregorian date of a day, 0 being 1970-01-01.
    package static func civilDate(
        daysSinceEpoch days: Int64
    ) -> (year: Int64, month: Int64, day: Int64) {
        // Years that begin in March put the leap day last; 146,097 days are 400 years.
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

private func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
}

private func pad(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
