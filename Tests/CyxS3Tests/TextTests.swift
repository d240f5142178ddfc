import CyxCore
import CyxS3
import Testing

@Suite struct TextTests {
    @Test func datesAgreeInBothNotations() throws {
        let time = WallTime(milliseconds: 1_369_353_600_000)
        #expect(CivilDate(time).basic == "20130524T000000Z")
        #expect(CivilDate(time).http == "Fri, 24 May 2013 00:00:00 GMT")
        // RFC 9110 §5.6.7.
        #expect(
            CivilDate(http: "Sun, 06 Nov 1994 08:49:37 GMT")?.wallTime.milliseconds
                == 784_111_777_000)
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2000 {
            let seconds = Int64.random(in: 0..<253_402_300_800, using: &random)
            let date = CivilDate(WallTime(milliseconds: seconds * 1000))
            #expect(date.wallTime.milliseconds == seconds * 1000)
            #expect(CivilDate(basic: date.basic) == date)
            #expect(CivilDate(http: date.http) == date)
        }
    }

    @Test func datesThatNoCalendarHasAreRefused() {
        for text in ["20130231T000000Z", "20130431T000000Z", "20150229T000000Z"] {
            #expect(CivilDate(basic: text) == nil)
        }
        // A leap second is one, but not where its successor has a year of five digits.
        #expect(CivilDate(basic: "20161231T235960Z") != nil)
        #expect(CivilDate(basic: "99991231T235960Z") == nil)
        #expect(CivilDate(basic: "20160229T000000Z") != nil)
    }

    @Test func allButUnreservedCharactersAreEncoded() {
        #expect(PercentEncoding.encode("a b/ü~*", keepingSlashes: true) == "a%20b/%C3%BC~%2A")
        #expect(PercentEncoding.encode("a/b") == "a%2Fb")
    }

    @Test func escapesAreDecodedOnce() {
        #expect(PercentEncoding.decodeText("a%20b+%C3%BC", plusIsSpace: true) == "a b ü")
        #expect(PercentEncoding.decodeText("a+%2525") == "a+%25")
        #expect(PercentEncoding.decode("%ff") == [0xFF])
        for text in ["%zz", "%f", "%", "%+1"] { #expect(PercentEncoding.decode(text) == nil) }
        #expect(PercentEncoding.decodeText("%ff") == nil)
    }

    @Test func whatIsSignedIsInCanonicalForm() {
        let request = CanonicalRequest(
            method: "GET", path: "/a%20b",
            query: CanonicalRequest.query([
                (name: "b", value: "/"), (name: "a", value: "2"), (name: "a", value: "1 "),
            ]),
            headers: [("host", ["h"]), ("x-amz-meta-m", [" a  b\t", "c"])], payloadHash: "p")
        #expect(
            request.text
                == "GET\n/a%20b\na=1%20&a=2&b=%2F\nhost:h\nx-amz-meta-m:a b,c\n\n"
                + "host;x-amz-meta-m\np")
    }
}
