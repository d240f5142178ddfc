package import CyxCore

extension WallTime {
    /// Reads the ISO 8601 of S3's documents and policies: `2026-01-05`, `2026-01-05T10:00:00Z`, with
    /// a fraction of a second or an offset such as `+01:00`. Without either it is UTC.
    package init?(iso8601 text: String) {
        var rest = Array(text.utf8)[...]
        func digits(_ count: Int) -> String? {
            guard rest.count >= count,
                rest.prefix(count).allSatisfy({
                    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                })
            else { return nil }
            defer { rest = rest.dropFirst(count) }
            return String(decoding: rest.prefix(count), as: UTF8.self)
        }
        func skip(_ character: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: character) else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard let year = digits(4), skip("-"), let month = digits(2), skip("-"),
            let day = digits(2)
        else { return nil }
        var (time, milliseconds, offset) = ("000000", Int64(0), Int64(0))
        if skip("T") || skip(" ") {
            guard let hour = digits(2), skip(":"), let minute = digits(2) else { return nil }
            var second = "00"
            if skip(":") {
                guard let found = digits(2) else { return nil }
                second = found
            }
            time = hour + minute + second
            if skip(".") {
                let fraction = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                guard !fraction.isEmpty, fraction.count <= 9 else { return nil }
                rest = rest.dropFirst(fraction.count)
                let thousandths = String(decoding: fraction.prefix(3), as: UTF8.self)
                milliseconds = Int64((thousandths + "00").prefix(3)) ?? 0
            }
            if !skip("Z"), !rest.isEmpty {
                let isEast = skip("+")
                guard isEast || skip("-"), let hours = digits(2).flatMap({ Int64($0) }) else {
                    return nil
                }
                _ = skip(":")
                guard let minutes = digits(2).flatMap({ Int64($0) }), hours < 24, minutes < 60
                else { return nil }
                offset = (hours * 60 + minutes) * (isEast ? 60_000 : -60_000)
            }
        }
        guard rest.isEmpty, let date = CivilDate(basic: "\(year)\(month)\(day)T\(time)Z") else {
            return nil
        }
        self.init(milliseconds: date.wallTime.milliseconds + milliseconds - offset)
    }
}
