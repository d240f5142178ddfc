import CyxCore
import CyxCrypto
import CyxObjects
import Testing

@testable import CyxGateway

/// Tokens, and links that are made with them, as the gateway takes and gives them.
@Suite struct GrantServingTests {
    private static let me = "/api/v1/users/me"
    private static let shares = "/api/v1/shares"
    private static let tokens = "/api/v1/tokens"

    private struct Account {
        var harness: GatewayHarness
        var keys: any AccessKeyService

        func bearer(
            _ subject: String = "s", ofLimitedKey: Bool = false, _ limits: AccessKeyLimits? = nil,
            id: UInt8 = 1
        ) throws -> [String: String] {
            let account = harness.objects.account.hex
            let now = harness.environment.wallTime().milliseconds / 1000 * 1000
            let token = SessionToken(
                account: account, subject: subject, isOfLimitedKey: ofLimitedKey, limits: limits,
                id: [UInt8](repeating: id, count: SessionToken.idBytes),
                issued: WallTime(milliseconds: now),
                expires: WallTime(milliseconds: now + 3_600_000))
            let key = try #require(
                harness.gateway.accounts.account(id: account)?.tokens?.tokenKey)
            return ["Authorization": "Bearer " + token.signed(with: key)]
        }

        func bearer(of key: AccessKey) throws -> [String: String] {
            try bearer(key.id, ofLimitedKey: true, key.limits, id: 9)
        }

        func share(_ place: String, _ bearer: [String: String]) throws -> Answer {
            try harness.ask(
                GrantServingTests.shares, method: "POST", bearer,
                body: #"{"bucket":"b",\#(place)}"#)
        }
    }

    private func withAccount(
        _ body: @Sendable (Account) async throws -> Void
    ) async throws {
        try await GatewayHarness.run { harness in
            _ = try await harness.objects.createBucket("b", settings: BucketSettings())
            for key in ["in/a", "in/deep/a", "out"] {
                _ = try await harness.objects.put(
                    key, in: "b", options: PutOptions(), body: FixedBytes([1]))
            }
            let account = harness.gateway.accounts.account(id: harness.objects.account.hex)
            try await body(Account(harness: harness, keys: try #require(account?.keys)))
        }
    }

    private static func limits(
        _ prefix: String, _ rights: AccessKey.Rights = .all
    ) -> AccessKeyLimits {
        var limits = AccessKeyLimits()
        (limits.bucket, limits.prefix, limits.rights) = ("b", prefix, rights)
        return limits
    }

    @Test func whatWasRevokedDoesNotCount() async throws {
        try await withAccount { account in
            let harness = account.harness
            let (one, two) = (try account.bearer(id: 1), try account.bearer(id: 2))
            for bearer in [one, two] { #expect(try harness.ask(Self.me, bearer).status == 200) }
            #expect(try harness.ask(Self.tokens, method: "DELETE", one).status == 204)
            #expect(try harness.ask(Self.me, one).code == "InvalidToken")
            #expect(try harness.ask(Self.me, two).status == 200)
            // Of others only who may all that the account may.
            let id = String(repeating: "02", count: SessionToken.idBytes)
            let key = try await account.keys.createAccessKey("k", Self.limits("in/"))
            let limited = try account.bearer(of: key)
            #expect(
                try harness.ask(Self.tokens + "/" + id, method: "DELETE", limited).status == 403)
            #expect(try harness.ask(Self.me, two).status == 200)
            let other = try account.bearer(id: 3)
            #expect(try harness.ask(Self.tokens + "/" + id, method: "DELETE", other).status == 204)
            #expect(try harness.ask(Self.me, two).status == 401)
            #expect(try harness.ask(Self.me, limited).status == 200)
            try await account.keys.revokeAccessKey("k")
            #expect(try harness.ask(Self.me, limited).code == "InvalidToken")
        }
    }

    @Test func tokensMakeNoTokens() async throws {
        try await withAccount { account in
            let answer = try account.harness.ask(
                Self.tokens, method: "POST", try account.bearer())
            #expect(answer.status == 403 && !answer.body.contains("Bearer\""))
            #expect(try account.harness.ask(Self.me).status == 401)
            #expect(answer.headers["cache-control"] == "no-store")
        }
    }

    @Test func linksReachNoFurtherThanWhoMakesThem() async throws {
        try await withAccount { account in
            let all = try account.bearer()
            #expect(try account.share(#""key":"out""#, all).status == 201)
            let made = try account.share(#""key":"in/a","download":false"#, all)
            #expect(made.json?["download"] == .bool(false) && made.json?["state"]?.text == "open")
            // A token that may less than its key would live on in the link.
            let narrow = try account.bearer("s", Self.limits("in/"))
            #expect(try account.share(#""key":"in/a""#, narrow).status == 403)
            let key = try await account.keys.createAccessKey("k", Self.limits("in/", .read))
            let bearer = try account.bearer(of: key)
            let less = try account.bearer(
                key.id, ofLimitedKey: true, Self.limits("in/deep/", .read))
            #expect(try account.share(#""key":"in/deep/a""#, less).status == 403)
            for place in [#""key":"in/a""#, #""prefix":"in/""#, #""prefix":"in/deep/""#] {
                #expect(try account.share(place, bearer).status == 201, "\(place)")
            }
            for place in [#""key":"out""#, #""prefix":"""#] {
                #expect(try account.share(place, bearer).status == 403, "\(place)")
            }
            let writer = try await account.keys.createAccessKey("w", Self.limits("in/", .write))
            #expect(try account.share(#""key":"in/a""#, account.bearer(of: writer)).status == 403)
            #expect(try account.share(#""key":"absent""#, all).status == 404)
        }
    }

    /// Not even where the owner lets them read: it is his to say who gets links.
    @Test func onlyOwnersMakeLinks() async throws {
        try await withAccount { account in
            var settings = BucketSettings()
            settings.documents[DocumentName.policy] = Array(
                (#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","#
                    + #""Action":"s3:GetObject","Resource":"arn:aws:s3:::theirs/*"}]}"#).utf8)
            let others = account.harness.others
            _ = try await others.createBucket("theirs", settings: settings)
            _ = try await others.put(
                "k", in: "theirs", options: PutOptions(), body: FixedBytes([1]))
            let answer = try account.harness.ask(
                Self.shares, method: "POST", try account.bearer(),
                body: #"{"bucket":"theirs","key":"k"}"#)
            #expect(answer.status == 403)
            #expect(answer.body.contains("Only the account"))
        }
    }

    @Test func whatIsEncryptedWithItsWritersKeyIsNotShared() async throws {
        try await withAccount { account in
            var options = PutOptions()
            options.headers[S3Headers.hiddenPrefix + "sse-salt"] = "00"
            _ = try await account.harness.objects.put(
                "sealed", in: "b", options: options, body: FixedBytes([1]))
            let bearer = try account.bearer()
            #expect(try account.share(#""key":"sealed""#, bearer).code == "InvalidRequest")
            let whole = try account.share(#""prefix":"""#, bearer)
            let path = try #require(whole.json?["path"]?.text)
            for headers in [[:], ["Accept": "text/html"]] {
                #expect(try account.harness.ask(path + "/sealed", headers).status == 400)
            }
        }
    }

    @Test func limitedKeysSeeAndRevokeTheirOwnLinks() async throws {
        try await withAccount { account in
            let (harness, all) = (account.harness, try account.bearer())
            let key = try await account.keys.createAccessKey("k", Self.limits("in/"))
            let bearer = try account.bearer(of: key)
            let foreign = try #require(
                try account.share(#""key":"in/a""#, all).json?["id"]?.text)
            let own = try #require(
                try account.share(#""key":"in/a""#, bearer).json?["id"]?.text)
            let seen = try harness.ask(Self.shares, bearer).body
            #expect(seen.contains(own) && !seen.contains(foreign))
            // One of no key at all sees none.
            let narrow = try account.bearer("s", Self.limits("in/"))
            #expect(try !harness.ask(Self.shares, narrow).body.contains(own))
            #expect(
                try harness.ask(Self.shares + "/" + foreign, method: "DELETE", bearer).status == 404
            )
            let everything = try harness.ask(Self.shares, all).body
            #expect(everything.contains(own) && everything.contains(foreign))
            #expect(
                try harness.ask(Self.shares + "/" + own, method: "DELETE", bearer).status == 204)
            #expect(
                try harness.ask(Self.shares + "/" + foreign, method: "DELETE", all).status == 204)
        }
    }
}
