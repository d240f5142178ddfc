import CyxCore
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct TokenLimitsTests {
    private func limits(
        _ bucket: String? = nil, _ prefix: String = "", _ rights: AccessKey.Rights = .all,
        until end: Int64? = nil
    ) -> AccessKeyLimits {
        var limits = AccessKeyLimits()
        (limits.bucket, limits.prefix, limits.rights) = (bucket, prefix, rights)
        limits.expires = end.map { WallTime(milliseconds: $0) }
        return limits
    }

    private func asked(_ json: String, within own: AccessKeyLimits?) throws -> AccessKeyLimits? {
        let body = try JSONBody(Array(json.utf8), allowing: ["bucket", "prefix", "rights"])
        return try RESTGateway.limits(body, within: own)
    }

    @Test func aTokenMayWhatItsKeyMayUnlessItIsAskedForLess() throws {
        #expect(try asked("", within: nil) == nil)
        #expect(try asked("{}", within: limits("b", "p")) == limits("b", "p"))
        #expect(
            try asked(#"{"bucket":"photos","prefix":"in/","rights":"read"}"#, within: nil)
                == limits("photos", "in/", .read))
        #expect(
            try asked(#"{"prefix":"in/deep","rights":"write"}"#, within: limits("b12", "in/"))
                == limits("b12", "in/deep", .write))
        #expect(
            try asked(#"{"prefix":"x"}"#, within: limits(until: 5)) == limits(nil, "x", until: 5))
    }

    @Test(arguments: [
        #"{"bucket":"other"}"#, #"{"prefix":""}"#, #"{"prefix":"i"}"#, #"{"rights":"all"}"#,
        #"{"rights":"write"}"#,
    ])
    func noTokenMayMoreThanItsKey(json: String) {
        let error = #expect(throws: RESTError.self) {
            try asked(json, within: limits("photos", "in/", .read))
        }
        #expect(error?.code == "AccessDenied")
    }

    @Test(arguments: [
        #"{"bucket":"No"}"#, #"{"rights":"own"}"#, #"{"buckets":"photos"}"#, #"{"bucket":1}"#,
    ])
    func wordsThatMeanNothingAreRefused(json: String) {
        let error = #expect(throws: RESTError.self) { try asked(json, within: nil) }
        #expect(error?.code == "InvalidArgument")
    }

    @Test func limitsContainNoLongerOnes() {
        #expect(limits(until: 5).contains(limits(until: 5)))
        #expect(!limits(until: 5).contains(limits(until: 6)))
        #expect(!limits(until: 5).contains(limits()))
        #expect(limits().contains(limits("b", "p", .read, until: 6)))
    }
}
