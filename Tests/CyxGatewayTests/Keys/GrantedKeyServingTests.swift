import CyxCore
import CyxCrypto
import CyxObjects
import Synchronization
import Testing

@testable import CyxGateway

/// Access keys of accounts whose seeds are elsewhere, and how keys for such gateways are asked for.
@Suite struct GrantedKeyServingTests {
    /// What accounts have sealed to this gateway, in memory.
    private final class MemoryGranted: GrantedKeyService {
        let keys = Mutex<[String: GrantedKey]>([:])
        let asked = Mutex<[String]>([])

        func grantedKey(id: String) async throws -> GrantedKey? {
            asked.withLock { $0.append(id) }
            return keys.withLock { $0[id] }
        }
    }

    private struct Served {
        var harness: GatewayHarness
        var granted: MemoryGranted
        /// The objects of the account whose seed is elsewhere.
        var objects: MemoryObjects

        func add(_ id: String, _ change: (inout AccessKeyLimits) -> Void = { _ in }) {
            var limits = AccessKeyLimits()
            limits.bucket = "granted"
            change(&limits)
            let key = AccessKey(
                name: "k", id: id, secret: "secret of " + id, limits: limits,
                created: WallTime(milliseconds: 0))
            granted.keys.withLock { $0[id] = GrantedKey(key: key, service: objects) }
        }

        /// Sends a URL that was presigned with such a key.
        func ask(_ path: String, method: String = "GET", by id: String) throws -> Answer {
            try harness.askPresigned(path, method: method, id, "secret of " + id)
        }
    }

    private func serve(_ body: @Sendable (Served) async throws -> Void) async throws {
        let granted = MemoryGranted()
        try await GatewayHarness.run(granted: granted) { harness in
            let environment = harness.environment
            let objects = MemoryObjects(
                account: AccountID(Digest(6, 6, 6, 6)), names: harness.objects.names
            ) { environment.wallTime() }
            for bucket in ["granted", "another"] {
                _ = try await objects.createBucket(bucket, settings: BucketSettings())
                for key in ["in/a", "out"] {
                    _ = try await objects.put(
                        key, in: bucket, options: PutOptions(), body: FixedBytes(Array(key.utf8)))
                }
            }
            _ = try await harness.objects.createBucket("own", settings: BucketSettings())
            try await body(Served(harness: harness, granted: granted, objects: objects))
        }
    }

    @Test func aGrantedKeyOpensItsBucketWithItsOwnSecret() async throws {
        try await serve { served in
            served.add("CYG1")
            let answer = try served.ask("/granted/in/a", by: "CYG1")
            #expect(answer.status == 200 && answer.body == "in/a")
            let forged = try served.harness.askPresigned("/granted/in/a", "CYG1", "another")
            #expect(forged.status == 403 && forged.body.contains("SignatureDoesNotMatch"))
            let unknown = try served.ask("/granted/in/a", by: "CYG2")
            #expect(unknown.status == 403 && unknown.body.contains("InvalidAccessKeyId"))
            // Keys of the gateway's own accounts are nobody else's to know.
            let own = try served.harness.askPresigned(
                "/own", GatewayHarness.accessKey, GatewayHarness.secretKey)
            #expect(own.status == 200)
            #expect(served.granted.asked.withLock { $0 } == ["CYG1", "CYG1", "CYG2"])
        }
    }

    @Test func aGrantedKeyReachesNoFurtherThanItSays() async throws {
        try await serve { served in
            served.add("CYG1") { ($0.prefix, $0.rights) = ("in/", .read) }
            let answer = try served.ask("/granted/in/a", by: "CYG1")
            #expect(answer.status == 200)
            for path in ["/granted/out", "/another/in/a", "/own/a"] {
                #expect(try served.ask(path, by: "CYG1").status == 403, "\(path)")
            }
            #expect(try served.ask("/granted/in/a", method: "DELETE", by: "CYG1").status == 403)
            served.add("CYG2")
            #expect(try served.ask("/granted/in/a", method: "DELETE", by: "CYG2").status == 204)
            #expect(try served.ask("/granted", method: "DELETE", by: "CYG2").status == 403)
        }
    }

    @Test func aGrantedKeyEndsWhenItSays() async throws {
        try await serve { served in
            let now = served.harness.environment.wallTime().milliseconds
            served.add("CYG1") { $0.expires = WallTime(milliseconds: now - 1) }
            served.add("CYG2") { $0.expires = WallTime(milliseconds: now + 86_400_000) }
            let ended = try served.ask("/granted/in/a", by: "CYG1")
            #expect(ended.status == 403 && ended.body.contains("InvalidAccessKeyId"))
            #expect(try served.ask("/granted/in/a", by: "CYG2").status == 200)
        }
    }

    /// Else whoever has a narrow key would make itself a wide one.
    @Test func noLimitedKeyMakesListsOrRevokesKeys() async throws {
        try await serve { served in
            served.add("CYG1")
            let account = served.harness.gateway.accounts.account(
                id: served.harness.objects.account.hex)
            let keys = try #require(account?.keys)
            let own = try await keys.createAccessKey("own", AccessKeyLimits())
            for (path, method) in [
                ("/?cyx-keys&name=x", "POST"), ("/?cyx-keys", "GET"), ("/?cyx-key=own", "DELETE"),
            ] {
                let granted = try served.ask(path, method: method, by: "CYG1")
                #expect(granted.status == 403, "\(method) \(path)")
                let limited = try served.harness.askPresigned(
                    path, method: method, own.id, own.secret)
                #expect(limited.status == 403, "\(method) \(path)")
            }
            #expect(try await keys.accessKeys().map(\.name) == ["own"])
        }
    }

    /// What a presigned URL of old tools does not sign, whoever has it may add.
    @Test func aLinkToBucketsBecomesNoLinkToKeys() async throws {
        try await serve { served in
            let harness = served.harness
            let (id, secret) = (GatewayHarness.accessKey, GatewayHarness.secretKey)
            #expect(try harness.askPresigned("/?cyx-keys", id, secret).status == 200)
            let link = try harness.presigned("/", id, secret)
            #expect(try harness.ask(link).status == 200)
            let bent = try harness.ask(link + "&cyx-keys")
            #expect(bent.status == 403 && bent.body.contains("SignatureDoesNotMatch"))
        }
    }

    @Test func aKeyForGatewaysNamesOneBucketAndRealGateways() async throws {
        try await serve { served in
            let harness = served.harness
            func create(_ name: String, _ query: String) throws -> Answer {
                try harness.askPresigned(
                    "/?cyx-keys&name=\(name)&" + query, method: "POST", GatewayHarness.accessKey,
                    GatewayHarness.secretKey)
            }
            func gateway(_ number: Int) -> String {
                Hex.encode([UInt8](repeating: UInt8(number), count: GatewayKey.byteCount))
            }
            let one = gateway(1)
            for query in [
                "gateway=\(one)", "bucket=own&gateway=", "bucket=own&gateway=\(one),",
                "bucket=own&gateway=\(one)00", "bucket=own&gateway=\(one.dropLast(2))",
                "bucket=own&gateway=\(one.dropLast(2))zz", "bucket=none&gateway=\(one)",
                "bucket=own&gateway=" + (0...16).map(gateway).joined(separator: ","),
            ] {
                let answer = try create("bad", query)
                #expect([400, 404].contains(answer.status), "\(query): \(answer.status)")
            }
            let many = (0..<16).map(gateway)
            let twice = many.map { $0 + "," + $0 }.joined(separator: ",")
            #expect(try create("good", "bucket=own&gateway=" + twice).status == 200)
            let account = harness.gateway.accounts.account(id: harness.objects.account.hex)
            let made = try #require(try await account?.keys?.accessKeys())
            #expect(made.map(\.name) == ["good"])
            #expect(made.first?.limits.gateways.map(Hex.encode) == many)
            #expect(made.first?.limits.bucket == "own")
        }
    }
}

extension GatewayHarness {
    /// A target that is presigned in the way of Signature Version 2, for an hour. The parameters of
    /// `path` that are part of what is signed come alone, or first.
    func presigned(
        _ path: String, method: String = "GET", _ id: String, _ secret: String
    ) throws -> String {
        let expires = environment.wallTime().milliseconds / 1000 + 3600
        let target =
            path + (path.contains("?") ? "&" : "?") + "AWSAccessKeyId=\(id)&Expires=\(expires)"
        let signed = path.prefix { $0 != "&" }
        let text = "\(method)\n\n\n\(expires)\n\(signed)"
        let code = HMACSHA1.code(key: Array(secret.utf8), Array(text.utf8))
        let signature = Base64.encode(code).flatMap { character in
            switch character {
            case "+": "%2B"
            case "/": "%2F"
            case "=": "%3D"
            default: String(character)
            }
        }
        return target + "&Signature=" + String(signature)
    }

    /// Sends such a request.
    func askPresigned(
        _ path: String, method: String = "GET", _ id: String, _ secret: String
    ) throws -> Answer {
        try ask(try presigned(path, method: method, id, secret), method: method)
    }
}
