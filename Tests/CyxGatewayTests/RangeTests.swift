import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct RangeTests {
    @Test(
        arguments: [
            ("bytes=0-0", 0..<1), ("bytes=1-", 1..<10), ("bytes=1-4", 1..<5), ("bytes=9-9", 9..<10),
            ("bytes=1-10", 1..<10), ("bytes=-3", 7..<10), ("bytes=-99", 0..<10),
            ("bytes=2-1", 0..<10),
            ("bytes=1-18446744073709551614", 1..<10), ("bytes=1-18446744073709551615", 1..<10),
            ("bytes=0-18446744073709551615", 0..<10), ("bytes=1-18446744073709551616", 0..<10),
            ("bytes=-18446744073709551615", 0..<10), ("bytes=", 0..<10), ("bytes=-", 0..<10),
            ("bytes=+1-2", 0..<10), ("bytes=0-1,3-4", 0..<10), ("chars=1-2", 0..<10),
        ] as [(String, Range<UInt64>)])
    func rangesAreClampedToTheObject(_ text: String, _ expected: Range<UInt64>) throws {
        #expect(try S3Headers.range(text).resolved(size: 10) == expected)
    }

    @Test func rangesOutsideTheObjectAreRefused() {
        for text in ["bytes=10-", "bytes=10-18446744073709551615", "bytes=-0"] {
            #expect(throws: ObjectError.invalidRange(size: 10)) {
                try S3Headers.range(text).resolved(size: 10)
            }
        }
        for text in ["bytes=0-", "bytes=0-18446744073709551615", "bytes=-1"] {
            #expect(throws: ObjectError.invalidRange(size: 0)) {
                try S3Headers.range(text).resolved(size: 0)
            }
        }
    }
}
