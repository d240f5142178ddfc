import CyxS3
import Testing

/// One condition with what the request has, and whether the condition holds.
struct ConditionCase: CustomTestStringConvertible, Sendable {
    var text: String
    var keys: [String: [String]]
    var holds: Bool

    init(_ text: String, _ keys: [String: [String]], _ holds: Bool) {
        (self.text, self.keys, self.holds) = (text, keys, holds)
    }

    var testDescription: String { "\(text) \(keys.sorted { $0.key < $1.key }) \(holds)" }
}

@Suite struct PolicyConditionTests {
    private static func holds(_ condition: ConditionCase) throws -> Bool {
        let text =
            "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
            + "\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::photos*\",\"Condition\":"
            + "\(condition.text)}}"
        let policy = try BucketPolicy(parsing: Array(text.utf8), bucket: "photos")
        var context = PolicyContext(
            requester: .account(id: String(repeating: "1", count: 64), name: "bob"),
            action: "s3:ListBucket", resource: "arn:aws:s3:::photos")
        for (name, values) in condition.keys { context[name] = values }
        return policy.answer(to: context) == .allowed
    }

    private static let prefix = "s3:prefix"
    private static let tags = "s3:RequestObjectTagKeys"

    @Test(arguments: [
        ConditionCase("{\"StringEquals\":{\"s3:prefix\":\"a\"}}", [prefix: ["a"]], true),
        ConditionCase("{\"StringEquals\":{\"S3:Prefix\":[\"b\",\"a\"]}}", [prefix: ["a"]], true),
        ConditionCase("{\"StringEquals\":{\"s3:prefix\":\"a\"}}", [prefix: ["A"]], false),
        ConditionCase("{\"StringEquals\":{\"s3:prefix\":\"a*\"}}", [prefix: ["ab"]], false),
        ConditionCase("{\"StringEquals\":{\"s3:prefix\":\"a\"}}", [:], false),
        ConditionCase(
            "{\"StringEquals\":{\"s3:prefix\":\"${aws:username}\"}}", [prefix: ["bob"]], true),
        ConditionCase("{\"StringNotEquals\":{\"s3:prefix\":\"a\"}}", [prefix: ["b"]], true),
        ConditionCase(
            "{\"StringNotEquals\":{\"s3:prefix\":[\"a\",\"b\"]}}", [prefix: ["b"]], false),
        ConditionCase("{\"StringNotEquals\":{\"s3:prefix\":\"a\"}}", [:], true),
        ConditionCase(
            "{\"StringEqualsIgnoreCase\":{\"s3:prefix\":\"aB\"}}", [prefix: ["Ab"]], true),
        ConditionCase(
            "{\"StringNotEqualsIgnoreCase\":{\"s3:prefix\":\"a\"}}", [prefix: ["A"]], false),
        ConditionCase("{\"StringLike\":{\"s3:prefix\":\"a*c\"}}", [prefix: ["abbc"]], true),
        ConditionCase("{\"StringNotLike\":{\"s3:prefix\":\"a*\"}}", [prefix: ["abbc"]], false),
        ConditionCase("{\"StringEqualsIfExists\":{\"s3:prefix\":\"a\"}}", [:], true),
        ConditionCase("{\"StringEqualsIfExists\":{\"s3:prefix\":\"a\"}}", [prefix: ["b"]], false),
        ConditionCase(
            "{\"StringEquals\":{\"s3:prefix\":\"a\",\"s3:delimiter\":\"/\"}}", [prefix: ["a"]],
            false),
        ConditionCase(
            "{\"StringEquals\":{\"s3:ExistingObjectTag/Who\":\"me\"}}",
            ["s3:ExistingObjectTag/Who": ["me"]], true),
        ConditionCase(
            "{\"StringEquals\":{\"s3:existingobjecttag/Who\":\"me\"}}",
            ["s3:ExistingObjectTag/who": ["me"]], false),
    ])
    func textsAreCompared(condition: ConditionCase) throws {
        #expect(try Self.holds(condition) == condition.holds)
    }

    @Test(arguments: [
        ConditionCase(
            "{\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}}", ["s3:max-keys": ["10"]], true),
        ConditionCase("{\"NumericLessThan\":{\"s3:max-keys\":10}}", ["s3:max-keys": ["9"]], true),
        ConditionCase("{\"NumericLessThan\":{\"s3:max-keys\":10}}", ["s3:max-keys": ["x"]], false),
        ConditionCase(
            "{\"NumericGreaterThan\":{\"s3:max-keys\":10}}", ["s3:max-keys": ["10"]], false),
        ConditionCase(
            "{\"NumericNotEquals\":{\"s3:max-keys\":10}}", ["s3:max-keys": ["10.0"]], false),
        ConditionCase(
            "{\"DateGreaterThan\":{\"aws:CurrentTime\":\"2026-01-01T00:00:00Z\"}}",
            ["aws:CurrentTime": ["2026-01-01T00:00:01Z"]], true),
        ConditionCase(
            "{\"DateLessThan\":{\"aws:CurrentTime\":\"2026-01-01T01:00:00+01:00\"}}",
            ["aws:CurrentTime": ["2026-01-01T00:00:00Z"]], false),
        ConditionCase(
            "{\"DateEquals\":{\"aws:EpochTime\":1767225600}}",
            ["aws:EpochTime": ["2026-01-01T00:00:00Z"]], true),
        ConditionCase(
            "{\"Bool\":{\"aws:SecureTransport\":\"False\"}}", ["aws:SecureTransport": ["false"]],
            true),
        ConditionCase(
            "{\"Bool\":{\"aws:SecureTransport\":true}}", ["aws:SecureTransport": ["false"]], false),
        ConditionCase("{\"Null\":{\"s3:prefix\":\"true\"}}", [:], true),
        ConditionCase("{\"Null\":{\"s3:prefix\":\"true\"}}", [prefix: ["a"]], false),
        ConditionCase("{\"Null\":{\"s3:prefix\":false}}", [prefix: ["a"]], true),
        ConditionCase(
            "{\"ArnLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/bob\"}}", [:], true),
        ConditionCase(
            "{\"ArnNotEquals\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/bob\"}}", [:], false),
    ])
    func numbersDatesAndOthersAreCompared(condition: ConditionCase) throws {
        #expect(try Self.holds(condition) == condition.holds)
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false),
        ("0.0.0.0/0", "203.0.113.1", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
        ("::/0", "2001:db8::1", true),
    ])
    func addressesLieInRanges(range: String, address: String, isInside: Bool) throws {
        let keys = ["aws:SourceIp": [address]]
        let inside = ConditionCase("{\"IpAddress\":{\"aws:SourceIp\":\"\(range)\"}}", keys, true)
        #expect(try Self.holds(inside) == isInside)
        let out = ConditionCase("{\"NotIpAddress\":{\"aws:SourceIp\":\"\(range)\"}}", keys, true)
        #expect(try Self.holds(out) == !isInside)
    }

    @Test(arguments: [
        ConditionCase(
            "{\"ForAllValues:StringEquals\":{\"\(tags)\":[\"a\",\"b\"]}}", [tags: ["a", "b"]], true),
        ConditionCase(
            "{\"ForAllValues:StringEquals\":{\"\(tags)\":[\"a\",\"b\"]}}", [tags: ["a", "c"]], false
        ),
        ConditionCase("{\"ForAllValues:StringEquals\":{\"\(tags)\":\"a\"}}", [:], true),
        ConditionCase(
            "{\"ForAnyValue:StringEquals\":{\"\(tags)\":\"a\"}}", [tags: ["a", "c"]], true),
        ConditionCase("{\"ForAnyValue:StringEquals\":{\"\(tags)\":\"a\"}}", [:], false),
        ConditionCase(
            "{\"ForAnyValue:StringNotEquals\":{\"\(tags)\":\"a\"}}", [tags: ["a", "c"]], true),
        ConditionCase(
            "{\"ForAllValues:StringNotEquals\":{\"\(tags)\":\"a\"}}", [tags: ["a", "c"]], false),
    ])
    func keysOfSeveralValuesAreQuantified(condition: ConditionCase) throws {
        #expect(try Self.holds(condition) == condition.holds)
    }

    @Test(arguments: [
        "-9223372036854775808", "9223372036854775807", "1125899906842625", "-1125899906842625",
        "9223372036854775808",
    ])
    func secondsThatAreNoDateAreRefused(_ seconds: String) {
        let policy =
            #"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","#
            + #""Resource":"arn:aws:s3:::b/*","Condition":{"DateLessThan":"#
            + #"{"aws:CurrentTime":"\#(seconds)"}}}]}"#
        let fault = #expect(throws: DocumentFault.self) {
            try BucketPolicy(parsing: Array(policy.utf8), bucket: "b")
        }
        #expect(fault?.code == "MalformedPolicy")
    }
}
