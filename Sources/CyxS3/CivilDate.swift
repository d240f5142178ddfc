package import CyxCore

/// UTC dates in the two notations that requests to S3 have, on the proleptic Gregorian calendar.
package struct CivilDate: Equatable, Sendable {
    package var year: Int
    package var month: Int
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int

    package init(_ time: WallTime) {
        let seconds = time.milliseconds.flooredDivision(by: 1000)
        let days = seconds.flooredDivision(by: 86_400)
        let rest = Int(seconds - days * 86_400)
        let date = WallTime.civilDate(daysSinceEpoch: days)
        (year, month, day) = (Int(date.year), Int(date.month), Int(date.day))
        hour = rest / 3600
        minute = rest / 60 % 60
        second = rest % 60
    }

    private init?(_ fields: [Int]) {
        guard fields.count == 6, (1970...9999).contains(fields[0]), (1...12).contains(fields[1]),
            (1...31).contains(fields[2]), (0...23).contains(fields[3]),
            (0...59).contains(fields[4]), (0...60).contains(fields[5])
        else { return nil }
        (year, month, day) = (fields[0], fields[1], fields[2])
        (hour, minute, second) = (fields[3], fields[4], fields[5])
        // Neither a 31st of June nor a leap second after which there are five digits of years.
        let first = CivilDate(WallTime(milliseconds: Int64(days) * 86_400_000))
        guard first.month == month, CivilDate(wallTime).year <= 9999 else { return nil }
    }

    private var days: Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    package var wallTime: WallTime {
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second
        return WallTime(milliseconds: Int64(seconds) * 1000)
    }

    // MARK: Notations

    /// `20130524T000000Z`, as in `x-amz-date`.
    package init?(basic text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z")
        else { return nil }
        let ranges = [0..<4, 4..<6, 6..<8, 9..<11, 11..<13, 13..<15]
        self.init(ranges.compactMap { CivilDate.number(bytes[$0]) })
    }

    /// `Fri, 24 May 2013 00:00:00 GMT` (RFC 9110 §5.6.7, the fixed format only).
    package init?(http text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 29, text.hasSuffix(" GMT"), bytes[3] == UInt8(ascii: ",") else {
            return nil
        }
        let name = String(decoding: bytes[8..<11], as: UTF8.self)
        guard let month = CivilDate.months.firstIndex(of: name) else { return nil }
        let ranges = [12..<16, 5..<7, 17..<19, 20..<22, 23..<25]
        var fields = ranges.compactMap { CivilDate.number(bytes[$0]) }
        guard fields.count == 5 else { return nil }
        fields.insert(month + 1, at: 1)
        self.init(fields)
    }

    package var basic: String {
        "\(padded(year, 4))\(padded(month))\(padded(day))"
            + "T\(padded(hour))\(padded(minute))\(padded(second))Z"
    }

    package var http: String {
        // Day 0 was a Thursday.
        let weekday = CivilDate.weekdays[Int(Int64(days + 4).flooredRemainder(by: 7))]
        return "\(weekday), \(padded(day)) \(CivilDate.months[month - 1]) \(padded(year, 4)) "
            + "\(padded(hour)):\(padded(minute)):\(padded(second)) GMT"
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return Int(String(decoding: digits, as: UTF8.self))
    }
}

private func padded(_ value: Int, _ width: Int = 2) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.count)) + text
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }

    fileprivate func flooredRemainder(by divisor: Int64) -> Int64 {
        self - flooredDivision(by: divisor) * divisor
    }
}
