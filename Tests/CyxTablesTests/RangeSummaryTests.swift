import CyxCore
import Testing

@testable import CyxTables

@Suite struct RangeSummaryTests {
    private func rows(_ count: Int) -> [RowSummary] {
        (0..<count).map { number in
            var writer = ByteWriter()
            writer.write(UInt32(number))
            return RowSummary(key: writer.bytes, version: [UInt8(truncatingIfNeeded: number)])
        }
    }

    private func summary(_ rows: some Sequence<RowSummary>) -> RangeSummary {
        var summary = RangeSummary()
        for row in rows { summary.add(row) }
        return summary
    }

    @Test(arguments: [0, 1, 127, 128])
    func fewRowsAreListed(count: Int) {
        #expect(summary(rows(count)).listing == rows(count))
    }

    /// Each part is the fingerprint of just the rows from its key to the next part's.
    @Test(arguments: [129, 1000, 4096, 50_000])
    func partsDivideTheRowsEvenly(count: Int) {
        let rows = rows(count)
        let made = summary(rows)
        #expect(made.listing == nil)
        let parts = made.parts(from: [])
        #expect((RangeSummary.parts / 2...RangeSummary.parts).contains(parts.count))
        for (index, part) in parts.enumerated() {
            let end = index + 1 < parts.count ? parts[index + 1].from : nil
            let inside = rows.filter { row in
                !row.key.lexicographicallyPrecedes(part.from)
                    && end.map { row.key.lexicographicallyPrecedes($0) } ?? true
            }
            #expect(part.fingerprint == summary(inside).total)
            #expect(inside.count <= count / 8)
        }
    }

    @Test func aFingerprintDoesNotDependOnTheOrder() {
        let rows = rows(100)
        #expect(summary(rows).total == summary(rows.reversed()).total)
    }

    @Test func whatGoesInAndOutLeavesNothing() {
        var fingerprint = RowFingerprint()
        for row in rows(10) { fingerprint.insert(row.hash) }
        for row in rows(10) { fingerprint.remove(row.hash) }
        #expect(fingerprint == RowFingerprint())
    }

    @Test func anotherVersionIsAnotherFingerprint() {
        let row = rows(1)[0]
        let newer = RowSummary(key: row.key, version: row.version + [1])
        #expect(summary([row]).total.digest != summary([newer]).total.digest)
    }
}
