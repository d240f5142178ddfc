import CyxCore
import CyxCrypto
import CyxObjects
import Testing

@testable import CyxGateway

/// Links as whoever has them finds them.
@Suite struct LinkServingTests {
    private static let page = ["Accept": "text/html"]

    /// A gateway with a few objects of one account.
    private func withObjects(
        _ body: @Sendable (GatewayHarness) async throws -> Void
    ) async throws {
        try await GatewayHarness.run { harness in
            _ = try await harness.objects.createBucket("b", settings: BucketSettings())
            for (key, type) in [
                ("dir/a.txt", "text/plain"), ("dir/p.html", "text/html"),
                ("dir/i.png", "image/png"), ("dirt", "text/plain"), ("outside", "text/plain"),
            ] {
                var options = PutOptions()
                options.headers = [
                    "content-type": type, "x-amz-meta-secret": "s", "cache-control": "public",
                    "content-disposition": "inline",
                ]
                _ = try await harness.objects.put(
                    key, in: "b", options: options, body: FixedBytes(Array("<\(key)>".utf8)))
            }
            try await body(harness)
        }
    }

    /// Makes a link; returns its path.
    private func link(
        _ harness: GatewayHarness, to path: String, number: UInt8 = 1,
        _ change: (inout Share) -> Void = { _ in }
    ) async throws -> String {
        let token = [UInt8](repeating: number, count: LinkToken.byteCount)
        var share = Share(
            id: "share\(number)", token: LinkToken.hash(token), bucket: "b", path: path,
            created: harness.environment.wallTime())
        share.isFolder = path.isEmpty || path.hasSuffix("/")
        change(&share)
        let account = try #require(
            harness.gateway.accounts.account(id: harness.objects.account.hex))
        try await account.shares?.createShare(share)
        return LinkToken.path(token)
    }

    private func time(_ harness: GatewayHarness, in seconds: Int64) -> WallTime {
        WallTime(milliseconds: harness.environment.wallTime().milliseconds + seconds * 1000)
    }

    @Test func aLinkGivesWhatItSharesAndNothingBeside() async throws {
        try await withObjects { harness in
            let folder = try await link(harness, to: "dir/")
            #expect(try harness.ask(folder + "/a.txt").body == "<dir/a.txt>")
            let listed = try harness.ask(folder)
            #expect(listed.body.contains("a.txt") && !listed.body.contains("outside"))
            for path in [
                "/../outside", "/%2e%2e/outside", "/..%2Foutside", "t", "/outside", "/%00",
            ] {
                let answer = try harness.ask(folder + path)
                #expect([400, 404].contains(answer.status) && !answer.body.contains("outside>"))
            }
            let object = try await link(harness, to: "outside", number: 2)
            #expect(try harness.ask(object).body == "<outside>")
            #expect(try harness.ask(object + "/more").status == 404)
            #expect(try harness.ask(object, method: "PUT", body: "x").status == 405)
            #expect(try harness.ask(object, method: "POST", body: "password=x").status == 405)
            let unknown = try harness.ask(LinkToken.path([UInt8](repeating: 9, count: 32)))
            #expect(unknown.status == 404 && unknown.code == "NoSuchShare")
        }
    }

    @Test func whatUsersStoreSaysNothingOfHowItIsShown() async throws {
        try await withObjects { harness in
            let path = try await link(harness, to: "dir/p.html")
            // Nor does who asks.
            let stored = try harness.ask(
                path + "?download&response-content-type=x/y&versionId=none",
                ["x-amz-server-side-encryption-customer-algorithm": "AES256"])
            #expect(stored.status == 200 && stored.body == "<dir/p.html>")
            #expect(stored.headers["content-type"] == "text/html")
            #expect(stored.headers["content-security-policy"]?.hasPrefix("sandbox;") == true)
            #expect(stored.headers["content-disposition"]?.hasPrefix("attachment;") == true)
            #expect(stored.headers["cache-control"] == "private, no-cache")
            #expect(stored.headers["cross-origin-resource-policy"] == "same-origin")
            #expect(stored.headers["x-amz-meta-secret"] == nil)
            #expect(try harness.ask(path + "?view").status == 400)
            let shown = try harness.ask(path, Self.page)
            #expect(shown.body.contains("&lt;dir/p.html&gt;"))
            let refused = try harness.ask(path + "/x", Self.page)
            for answer in [stored, shown, refused, try harness.ask(path + "/x")] {
                #expect(answer.headers["x-content-type-options"] == "nosniff")
                #expect(answer.headers["referrer-policy"] == "no-referrer")
                #expect(answer.headers["x-robots-tag"] == "noindex")
                #expect(answer.headers["content-security-policy"] != nil)
                #expect(!answer.headers.values.contains { $0.contains(path) })
            }
            // The path holds the token.
            #expect(try !harness.ask(path + "/x").body.contains(path.dropFirst(3)))
        }
    }

    @Test func linksEndWhenTheyAreToAndWithTheirKeys() async throws {
        try await withObjects { harness in
            let account = try #require(
                harness.gateway.accounts.account(id: harness.objects.account.hex))
            let keys = try #require(account.keys)
            var limits = AccessKeyLimits()
            (limits.bucket, limits.prefix) = ("b", "dir/")
            let narrow = try await keys.createAccessKey("narrow", limits)
            limits.expires = time(harness, in: -1)
            let over = try await keys.createAccessKey("over", limits)
            let (past, future) = (time(harness, in: -1), time(harness, in: 3600))
            let changes: [(status: Int, change: @Sendable (inout Share) -> Void)] = [
                (200, { $0.expires = future }), (410, { $0.expires = past }),
                (410, { $0.revoked = past }), (410, { $0.accessKey = "gone" }),
                (410, { $0.accessKey = over.id }), (200, { $0.accessKey = narrow.id }),
            ]
            for (number, (status, change)) in changes.enumerated() {
                let path = try await link(
                    harness, to: "dir/a.txt", number: UInt8(number + 1), change)
                #expect(try harness.ask(path).status == status, "\(number)")
                #expect(try harness.ask(path, Self.page).status == status, "\(number)")
            }
            // Whatever a link was made of, its key reaches no further.
            let wide = try await link(harness, to: "", number: 20) { $0.accessKey = narrow.id }
            for (target, headers) in [
                ("/outside", [:]), ("/outside", Self.page), ("/", [:]), ("/i.png?view", [:]),
            ] {
                #expect(try harness.ask(wide + target, headers).status == 403, "\(target)")
            }
            for target in ["/dir/a.txt", "/dir/"] {
                #expect(try harness.ask(wide + target).status == 200, "\(target)")
            }
            try await keys.revokeAccessKey("narrow")
            #expect(try harness.ask(wide + "/dir/a.txt").status == 410)
        }
    }

    @Test func theBucketsPolicyIsAskedEachTime() async throws {
        try await GatewayHarness.run { harness in
            var settings = BucketSettings()
            settings.documents[DocumentName.policy] = Array(
                (#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","#
                    + #""Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/a"]}]}"#).utf8)
            _ = try await harness.objects.createBucket("b", settings: settings)
            for key in ["a", "c"] {
                _ = try await harness.objects.put(
                    key, in: "b", options: PutOptions(), body: FixedBytes([1]))
            }
            let path = try await link(harness, to: "")
            #expect(try harness.ask(path + "/c").status == 200)
            for (target, headers) in [("/a", [:]), ("/a", Self.page), ("/", [:]), ("/", Self.page)]
            {
                #expect(try harness.ask(path + target, headers).status == 403, "\(target)")
            }
        }
    }

    @Test func whatIsOnlyShownIsNotGiven() async throws {
        try await withObjects { harness in
            let path = try await link(harness, to: "dir/") { $0.isViewOnly = true }
            for (target, headers) in [
                ("/a.txt", [:]), ("/a.txt?download", Self.page), ("/i.png?download", [:]),
            ] {
                let answer = try harness.ask(path + target, headers)
                #expect(answer.status == 403 && !answer.body.contains("<dir"), "\(target)")
            }
            #expect(try harness.ask(path + "/i.png?view").body == "<dir/i.png>")
            #expect(try harness.ask(path + "/p.html?view").status == 400)
            #expect(try harness.ask(path + "/a.txt", Self.page).status == 200)
        }
    }

    // MARK: Passwords

    private func basic(_ password: String) -> [String: String] {
        ["Authorization": "Basic " + Base64.encode(Array("any:\(password)".utf8))]
    }

    @Test func nothingOfALinkIsSeenWithoutItsPassword() async throws {
        try await withObjects { harness in
            let kept = try await PasswordGate().make("right", harness.environment)
            let path = try await link(harness, to: "dir/") { $0.password = kept }
            for (target, headers) in [
                ("/a.txt", [:]), ("/a.txt", Self.page), ("/", [:]), ("/i.png?view", [:]),
                ("/a.txt", basic("wrong")), ("/a.txt", ["Cookie": "cyx-link=x"]),
            ] {
                let answer = try harness.ask(path + target, headers)
                #expect(answer.status == 401 && !answer.body.contains("a.txt"), "\(target)")
            }
            #expect(try harness.ask(path + "/a.txt", basic("right")).body == "<dir/a.txt>")
            #expect(
                try harness.ask(path + "/a.txt")
                    .headers["www-authenticate"]?.hasPrefix("Basic ") == true)
        }
    }

    @Test func aRightPasswordOpensItsOwnLinkForAWhile() async throws {
        try await withObjects { harness in
            let kept = try await PasswordGate().make("right", harness.environment)
            let path = try await link(harness, to: "dir/a.txt") { $0.password = kept }
            let other = try await link(harness, to: "dir/a.txt", number: 2) { $0.password = kept }
            let wrong = try harness.ask(path, method: "POST", body: "password=wrong")
            #expect(wrong.status == 401 && wrong.headers["set-cookie"] == nil)
            #expect(try harness.ask(path, method: "POST", body: "password=").status == 401)
            let long = "password=right&x=" + String(repeating: "x", count: LinkGateway.formBytes)
            #expect(try harness.ask(path, method: "POST", body: long).status != 303)
            let right = try harness.ask(path, method: "POST", body: "password=right")
            #expect(right.status == 303 && right.headers["location"] == path)
            let words = (right.headers["set-cookie"] ?? "").split(separator: "; ").map(String.init)
            let cookie = try #require(words.first)
            #expect(
                Set(words.dropFirst())
                    == ["Path=\(path)", "HttpOnly", "SameSite=Lax", "Max-Age=3600"])
            #expect(try harness.ask(path, ["Cookie": "a=b; " + cookie]).body == "<dir/a.txt>")
            #expect(try harness.ask(other, ["Cookie": cookie]).status == 401)
            #expect(try harness.ask(path, ["Cookie": "x" + cookie]).status == 401)
            // Neither is a session's token one of a link, nor the other way round.
            let session = try harness.token(of: harness.objects)
            #expect(try harness.ask(path, ["Cookie": "cyx-link=" + session]).status == 401)
            let word = String(cookie.dropFirst("cyx-link=".count))
            #expect(
                try harness.ask("/api/v1/users/me", ["Authorization": "Bearer " + word]).status
                    == 401)
        }
    }

    @Test func cookiesOfLinksEnd() async throws {
        try await withObjects { harness in
            let kept = try await PasswordGate().make("right", harness.environment)
            let path = try await link(harness, to: "dir/a.txt") { $0.password = kept }
            let key = MemoryGrants(seed: 1) { WallTime(milliseconds: 0) }.tokenKey
            for (signer, seconds, status) in [
                (key, 60, 200), (key, -1, 401),
                (SigningKey(seed: [UInt8](repeating: 9, count: 32)), 60, 401),
            ] as [(SigningKey, Int64, Int)] {
                let end = time(harness, in: seconds).milliseconds / 1000 * 1000
                let token = SessionToken(
                    purpose: .link, account: harness.objects.account.hex, subject: "share1",
                    id: [UInt8](repeating: 1, count: SessionToken.idBytes),
                    issued: WallTime(milliseconds: end - 3_600_000),
                    expires: WallTime(milliseconds: end))
                let cookie = "cyx-link=" + token.signed(with: signer)
                #expect(try harness.ask(path, ["Cookie": cookie]).status == status)
            }
        }
    }
}
