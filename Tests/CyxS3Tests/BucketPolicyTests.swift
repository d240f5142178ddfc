import CyxS3
import Testing

@Suite struct BucketPolicyTests {
    private static let alice = String(repeating: "a1", count: 32)
    private static let bob = String(repeating: "b2", count: 32)
    private static let bobAsks = PolicyRequester.account(id: bob, name: "bob")

    /// A policy of one statement, of whose usual fields some are replaced or, by "", left out.
    private static func policy(
        effect: String = "\"Allow\"", principal: String = "\"Principal\":\"*\"",
        action: String = "\"Action\":\"s3:GetObject\"",
        resource: String = "\"Resource\":\"arn:aws:s3:::photos/*\"", condition: String = "",
        version: String = "2012-10-17"
    ) -> String {
        let fields = [
            effect.isEmpty ? "" : "\"Effect\":" + effect, principal, action, resource,
            condition.isEmpty ? "" : "\"Condition\":" + condition,
        ].filter { !$0.isEmpty }
        return "{\"Version\":\"\(version)\",\"Statement\":[{\(fields.joined(separator: ","))}]}"
    }

    private static func parse(_ text: String) throws -> BucketPolicy {
        try BucketPolicy(parsing: Array(text.utf8), bucket: "photos")
    }

    private static func answer(
        _ text: String, _ requester: PolicyRequester = .anonymous,
        action: String = "s3:GetObject", resource: String = "arn:aws:s3:::photos/a/b",
        keys: [String: [String]] = [:]
    ) throws -> PolicyAnswer {
        var context = PolicyContext(requester: requester, action: action, resource: resource)
        for (name, values) in keys { context[name] = values }
        return try parse(text).answer(to: context)
    }

    // MARK: Documents

    @Test(arguments: [
        ("", "Policies must be valid JSON and the first byte must be '{'"),
        (" {}", "Policies must be valid JSON and the first byte must be '{'"),
        ("{", "Policies must be valid JSON and the first byte must be '{'"),
        ("{}", "Missing required field Statement"),
        ("{\"Statement\":[]}", "Could not parse the policy: Statement is empty!"),
        ("{\"Statement\":[1]}", "Policy has invalid statement"),
        ("{\"Statement\":[],\"X\":1}", "Unknown field X"),
        (
            "{\"Version\":\"2020\",\"Statement\":[]}",
            "The policy must contain a valid version string"
        ),
        (policy(effect: ""), "Missing required field Effect"),
        (policy(effect: "\"allow\""), "Invalid effect : allow"),
        (policy(principal: ""), "Missing required field Principal"),
        (policy(principal: "\"Principal\":\"bob\""), "Invalid principal in policy"),
        (policy(principal: "\"Principal\":{\"AWS\":\"bob\"}"), "Invalid principal in policy"),
        (policy(principal: "\"Principal\":{\"AWS\":[]}"), "Invalid principal in policy"),
        (
            policy(principal: "\"Principal\":\"*\",\"NotPrincipal\":\"*\""),
            "Statement has both Principal and NotPrincipal"
        ),
        (policy(action: ""), "Missing required field Action"),
        (policy(action: "\"Action\":\"s3:Get\""), "Policy has invalid action"),
        (policy(action: "\"Action\":\"iam:*\""), "Policy has invalid action"),
        (policy(resource: ""), "Missing required field Resource"),
        (policy(resource: "\"Resource\":\"photos/*\""), "Policy has invalid resource"),
        (policy(resource: "\"Resource\":\"*\""), "Policy has invalid resource"),
        (policy(resource: "\"Resource\":\"arn:aws:s3:::other/*\""), "Policy has invalid resource"),
        (
            policy(resource: "\"Resource\":\"arn:aws:s3:::photos\""),
            "Action does not apply to any resource(s) in statement"
        ),
        (
            policy(action: "\"Action\":\"s3:ListBucket\""),
            "Action does not apply to any resource(s) in statement"
        ),
        (
            policy(action: "\"Action\":\"s3:GetObject\",\"Effect\":\"Deny\""),
            "Duplicate field Effect"
        ),
        (
            policy(condition: "{\"StringIs\":{\"s3:prefix\":\"a\"}}"),
            "Invalid Condition type : StringIs"
        ),
        (
            policy(condition: "{\"StringLike\":{\"s3:prefx\":\"a\"}}"),
            "Policy has an invalid condition key"
        ),
        (policy(condition: "{\"StringLike\":{\"s3:prefix\":{}}}"), "Policy has invalid condition"),
        (
            policy(condition: "{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}"),
            "Invalid value in condition: 10.0.0.0/33"
        ),
    ])
    func whatS3RefusesIsRefusedWithItsReason(text: String, reason: String) {
        #expect(throws: DocumentFault("MalformedPolicy", 400, reason)) { try Self.parse(text) }
    }

    @Test func aPolicyHasAtMost20KiB() throws {
        let text = Self.policy()
        let padding = String(repeating: " ", count: BucketPolicy.maximumBytes - text.utf8.count)
        _ = try Self.parse(text + padding)
        let fault = #expect(throws: DocumentFault.self) { try Self.parse(text + padding + " ") }
        #expect(fault?.code == "PolicyTooLarge")
    }

    @Test func statementsOfOneNameAreRefused() {
        let statement = Self.policy().split(separator: "[")[1].dropLast(2)
        let named = "{\"Sid\":\"a\"," + statement.dropFirst()
        #expect(throws: DocumentFault.self) {
            try Self.parse("{\"Statement\":[\(named),\(named)]}")
        }
        #expect(throws: Never.self) { try Self.parse("{\"Statement\":[\(statement),\(named)]}") }
    }

    // MARK: Whom, what and where

    @Test func denialsCountBeforeAllElse() throws {
        let allow = Self.policy().split(separator: "[")[1].dropLast(2)
        let deny = Self.policy(effect: "\"Deny\"").split(separator: "[")[1].dropLast(2)
        #expect(try Self.answer("{\"Statement\":[\(allow),\(deny)]}") == .denied)
        #expect(try Self.answer("{\"Statement\":\(allow)}") == .allowed)
        #expect(
            try Self.answer("{\"Statement\":\(allow)}", action: "s3:PutObject") == .silent)
    }

    @Test(arguments: [
        ("\"*\"", true), ("{\"AWS\":\"*\"}", true), ("{\"AWS\":\"\(bob)\"}", true),
        ("{\"AWS\":[\"\(alice)\",\"arn:aws:iam::\(bob):root\"]}", true),
        ("{\"AWS\":\"arn:aws:iam::\(bob):user/bob\"}", true),
        ("{\"AWS\":\"arn:aws:iam:::user/bob\"}", true),
        ("{\"AWS\":\"arn:aws:iam:::user/\(bob)\"}", true), ("{\"CanonicalUser\":\"\(bob)\"}", true),
        ("{\"AWS\":\"\(alice)\"}", false), ("{\"AWS\":\"arn:aws:iam::\(alice):user/bob\"}", false),
        ("{\"AWS\":\"arn:aws:iam::\(bob):user/eve\"}", false),
        ("{\"AWS\":\"123456789012\"}", false),
        ("{\"AWS\":\"arn:aws:iam::\(bob):role/bob\"}", false),
        ("{\"Service\":\"s3.amazonaws.com\"}", false),
    ])
    func principalsAreAccountsAndTheirUsers(principal: String, covers: Bool) throws {
        let text = Self.policy(principal: "\"Principal\":" + principal)
        #expect(try Self.answer(text, Self.bobAsks) == (covers ? .allowed : .silent))
        let not = Self.policy(effect: "\"Deny\"", principal: "\"NotPrincipal\":" + principal)
        #expect(try Self.answer(not, Self.bobAsks) == (covers ? .silent : .denied))
        let isEverybody = principal.contains("*")
        #expect(try Self.answer(text) == (isEverybody ? .allowed : .silent))
    }

    @Test(arguments: [
        ("\"Action\":\"s3:*\"", "s3:GetObject", true), ("\"Action\":\"*\"", "s3:GetObject", true),
        ("\"Action\":\"s3:getobject\"", "s3:GetObject", true),
        ("\"Action\":\"s3:Get?bject\"", "s3:GetObject", true),
        ("\"Action\":\"s3:GetObject\"", "s3:GetObjectAcl", false),
        ("\"Action\":[\"s3:PutObject\",\"s3:Get*\"]", "s3:GetObjectAcl", true),
        ("\"NotAction\":\"s3:Put*\"", "s3:GetObject", true),
        ("\"NotAction\":\"s3:Get*\"", "s3:GetObject", false),
    ])
    func actionsMayHaveWildcards(action: String, asked: String, covers: Bool) throws {
        let answer = try Self.answer(Self.policy(action: action), action: asked)
        #expect(answer == (covers ? .allowed : .silent))
    }

    @Test(arguments: [
        ("\"Resource\":\"arn:aws:s3:::photos/*\"", "photos/a/b", true),
        ("\"Resource\":\"arn:aws:s3:::photos/a?b\"", "photos/a/b", true),
        ("\"Resource\":\"arn:aws:s3:::photos/a?b\"", "photos/aüb", true),
        ("\"Resource\":\"arn:aws:s3:::photos/*/c*d\"", "photos/a/b/cxxd", true),
        ("\"Resource\":\"arn:aws:s3:::photos/*/c*d\"", "photos/a/b/cxxe", false),
        ("\"Resource\":\"arn:aws:s3:::photos/A/*\"", "photos/a/b", false),
        ("\"Resource\":\"arn:aws:s3:::photos/${aws:username}/*\"", "photos/bob/x", true),
        ("\"Resource\":\"arn:aws:s3:::photos/${aws:username}/*\"", "photos/eve/x", false),
        ("\"Resource\":\"arn:aws:s3:::photos/${aws:nothing}/*\"", "photos//x", false),
        ("\"Resource\":\"arn:aws:s3:::photos/${aws:nothing, 'eve'}/*\"", "photos/eve/x", true),
        ("\"Resource\":\"arn:aws:s3:::photos/${*}\"", "photos/*", true),
        ("\"Resource\":\"arn:aws:s3:::photos/${*}\"", "photos/x", false),
        ("\"NotResource\":\"arn:aws:s3:::photos/a/*\"", "photos/a/b", false),
        ("\"NotResource\":\"arn:aws:s3:::photos/a/*\"", "photos/b", true),
    ])
    func resourcesMayHaveWildcardsAndVariables(
        resource: String, asked: String, covers: Bool
    ) throws {
        let answer = try Self.answer(
            Self.policy(resource: resource), Self.bobAsks, resource: "arn:aws:s3:::" + asked)
        #expect(answer == (covers ? .allowed : .silent))
    }

    @Test func policiesOf2008HaveNoVariables() throws {
        let text = Self.policy(
            resource: "\"Resource\":\"arn:aws:s3:::photos/${aws:username}\"", version: "2008-10-17")
        let resource = "arn:aws:s3:::photos/"
        #expect(try Self.answer(text, Self.bobAsks, resource: resource + "bob") == .silent)
        #expect(
            try Self.answer(text, Self.bobAsks, resource: resource + "${aws:username}") == .allowed)
    }

    @Test func manyStarsTakeNoLongerThanOne() throws {
        let stars = String(repeating: "*a", count: 500)
        let text = Self.policy(resource: "\"Resource\":\"arn:aws:s3:::photos/\(stars)b\"")
        let key = String(repeating: "a", count: 1000)
        #expect(try Self.answer(text, resource: "arn:aws:s3:::photos/" + key) == .silent)
    }

    // MARK: Public policies

    @Test(arguments: [
        ("\"Principal\":\"*\"", "", true),
        ("\"NotPrincipal\":{\"AWS\":\"\(alice)\"}", "", true),
        ("\"Principal\":{\"AWS\":\"\(alice)\"}", "", false),
        ("\"Principal\":\"*\"", "{\"StringEquals\":{\"s3:prefix\":\"a\"}}", true),
        ("\"Principal\":\"*\"", "{\"IpAddress\":{\"aws:SourceIp\":\"10.1.0.0/16\"}}", false),
        ("\"Principal\":\"*\"", "{\"IpAddress\":{\"aws:SourceIp\":\"0.0.0.0/1\"}}", true),
        ("\"Principal\":\"*\"", "{\"NotIpAddress\":{\"aws:SourceIp\":\"10.1.0.0/16\"}}", true),
        (
            "\"Principal\":\"*\"", "{\"StringEquals\":{\"aws:PrincipalAccount\":\"\(alice)\"}}",
            false
        ),
        ("\"Principal\":\"*\"", "{\"StringLike\":{\"aws:PrincipalAccount\":\"*\"}}", true),
        ("\"Principal\":\"*\"", "{\"StringEqualsIfExists\":{\"aws:userid\":\"\(alice)\"}}", true),
    ])
    func policiesAreOfThePublicUnlessTheyNameAGroup(
        principal: String, condition: String, isPublic: Bool
    ) throws {
        let text = Self.policy(principal: principal, condition: condition)
        #expect(try Self.parse(text).isPublic == isPublic)
        let denial = Self.policy(effect: "\"Deny\"", principal: principal, condition: condition)
        #expect(try Self.parse(denial).isPublic == false)
    }
}
