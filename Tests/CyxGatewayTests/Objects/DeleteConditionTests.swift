import CyxCore
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct DeleteConditionTests {
    private let info = ObjectInfo(
        key: "k", size: 5, etag: "abc", modified: WallTime(milliseconds: 1_369_353_600_123),
        headers: [:], checksums: [:], cid: "", redundancy: "")

    private func check(_ headers: [(String, String)], _ info: ObjectInfo?) -> String? {
        do throws(S3Error) {
            try DeleteCondition(HTTPHeaders(headers)).check(info)
            return nil
        } catch { return error.code }
    }

    @Test func eachConditionIsComparedWithTheObject() {
        let (etag, size) = ("if-match", "x-amz-if-match-size")
        let modified = "x-amz-if-match-last-modified-time"
        let cases: [(String, String, String?, String?)] = [
            (etag, "\"abc\"", nil, "NoSuchKey"), (etag, "*", nil, "NoSuchKey"),
            (etag, "\"abd\"", "PreconditionFailed", "NoSuchKey"), (size, "5", nil, nil),
            (size, "6", "PreconditionFailed", nil),
            (size, "x", "InvalidArgument", "InvalidArgument"),
            (modified, "Fri, 24 May 2013 00:00:00 GMT", nil, nil),
            (modified, "2013-05-24T00:00:00Z", nil, nil),
            (modified, "Fri, 24 May 2013 00:00:01 GMT", "PreconditionFailed", nil),
            (modified, "yesterday", "InvalidArgument", "InvalidArgument"),
        ]
        for (name, value, ofObject, ofNone) in cases {
            #expect(check([(name, value)], info) == ofObject)
            #expect(check([(name, value)], nil) == ofNone)
        }
        #expect(check([], nil) == nil)
        #expect(check([(etag, "abc"), (size, "4")], info) == "PreconditionFailed")
    }
}
