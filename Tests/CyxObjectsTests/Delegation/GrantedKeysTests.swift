import CyxCore
import CyxCrypto
import CyxTables
import SimulationHarness
import Synchronization
import Testing

@testable import CyxObjects

/// Access keys that an account's gateway makes for another, which never has the account's seed.
@Suite struct GrantedKeysTests {
    /// A gateway that accounts can name, and what runs it.
    private struct Named {
        var peer: SimulatedPeer
        var key: GatewayKey
        var keys: GrantedKeys
        var context: ObjectContext
        var world: ObjectWorld

        init(_ world: ObjectWorld, number: UInt8) {
            self.world = world
            (peer, context) = world.addContext(reachesPeers: true, number: number)
            key = GatewayKey(identity: SigningKey(seed: [UInt8](repeating: number, count: 32)))
            let keys = GrantedKeys(context: context, key: key)
            self.keys = keys
            _ = world.world.spawn(peer) { await keys.run() }
        }

        func find(_ id: String) throws -> GrantedKey? {
            let keys = keys
            return try world.world.perform(on: peer) { try await keys.grantedKey(id: id) }
        }

        func perform<Value: Sendable>(
            _ id: String, _ body: @escaping @Sendable (any ObjectService) async throws -> Value
        ) throws -> Value {
            let service = try #require(try find(id)).service
            return try world.world.perform(on: peer) { try await body(service) }
        }

        func get(_ key: String, by id: String) throws -> [UInt8] {
            try perform(id) { service in
                var body = try await service.get(key, in: "bucket", range: .whole).source
                var bytes: [UInt8] = []
                while let piece = try await body.next() { bytes += piece }
                return bytes
            }
        }

        func put(_ key: String, _ bytes: [UInt8], by id: String) throws {
            _ = try perform(id) { service in
                try await service.put(
                    key, in: "bucket", options: PutOptions(), body: Pieces(bytes, of: 64 << 10))
            }
        }
    }

    private static func limits(
        _ gateways: [Named], _ rights: AccessKey.Rights = .all
    ) -> AccessKeyLimits {
        var limits = AccessKeyLimits()
        limits.bucket = "bucket"
        limits.rights = rights
        limits.gateways = gateways.map(\.key.publicKey)
        return limits
    }

    private func world(
        timings: ObjectTimings = .devnet, upkeep: Bool = false
    ) throws -> (ObjectWorld, Named) {
        let world = try ObjectWorld(storers: 4, upkeep: upkeep, timings: timings)
        try world.createBucket()
        return (world, Named(world, number: 200))
    }

    private func create(
        _ name: String, for gateways: [Named], _ rights: AccessKey.Rights = .all,
        in world: ObjectWorld
    ) throws -> AccessKey {
        let limits = Self.limits(gateways, rights)
        return try world.perform { try await $0.createAccessKey(name, limits) }
    }

    @Test func whatEitherGatewayWritesTheOtherReads() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        let found = try #require(try named.find(key.id))
        #expect(found.key.secret == key.secret && found.key.name == "partner")
        #expect(found.key.limits.bucket == "bucket" && found.key.limits.gateways == [])
        #expect(found.service.account == world.gateway.account)
        for size in [10, 30_000, 2_000_000] {
            let (own, others) = (noise(size, seed: 1), noise(size, seed: 2))
            _ = try world.put("own", own)
            #expect(try named.get("own", by: key.id) == own)
            try named.put("others", others, by: key.id)
            #expect(try world.get("others") == others)
        }
        let listed = try named.perform(key.id) { try await $0.list("bucket", ListRequest()) }
        #expect(listed.objects.map(\.key) == ["others", "own"])
        try named.perform(key.id) { try await $0.delete("own", in: "bucket") }
        #expect(throws: ObjectError.noSuchKey) { try world.get("own") }
        let names = try named.perform(key.id) { try await $0.buckets() }.map(\.name)
        #expect(names == ["bucket"])
    }

    /// All that takes more than one bucket's keys says so, and changes nothing.
    @Test func aNamedGatewayDoesNothingElseInTheAccountsName() throws {
        let (world, named) = try world()
        _ = try world.perform { try await $0.createBucket("another") }
        _ = try world.put("key", [1])
        let key = try create("partner", for: [named], in: world)
        let gateway = try #require(try named.find(key.id)?.service as? ObjectGateway)
        let before = world.shared.state.withLock { $0.writes.count }
        let refused: [@Sendable () async throws -> Void] = [
            { _ = try await gateway.createBucket("new") },
            { try await gateway.deleteBucket("bucket") },
            { _ = try await gateway.updateBucket("bucket") { $0.versioning = .enabled } },
            { _ = try await gateway.pin("key", in: "bucket", for: nil) },
            { _ = try await gateway.pins(after: nil) },
            { try await gateway.unpin(String(repeating: "0", count: 32)) },
            { _ = try await gateway.createAccessKey("more", AccessKeyLimits()) },
            { _ = try await gateway.accessKeys() },
            { try await gateway.revokeAccessKey("partner") },
            { _ = try await gateway.shares() },
            { try await gateway.revokeShare("x") },
            { try await gateway.revokeToken([1], expires: WallTime(milliseconds: 1 << 60)) },
        ]
        for (number, body) in refused.enumerated() {
            #expect(throws: ObjectError.beyondDelegation, "\(number)") {
                try world.world.perform(on: named.peer) { try await body() }
            }
        }
        #expect(throws: ObjectError.noSuchBucket) {
            try named.perform(key.id) { try await $0.bucket("another") }
        }
        #expect(world.shared.state.withLock { $0.writes.count } == before)
    }

    @Test func onlyNamedGatewaysFindAKey() throws {
        let (world, named) = try world()
        let (second, third) = (Named(world, number: 201), Named(world, number: 202))
        let key = try create("partners", for: [named, second], in: world)
        #expect(try named.find(key.id) != nil)
        #expect(try second.find(key.id) != nil)
        #expect(try third.find(key.id) == nil)
        let plain = try world.perform { try await $0.createAccessKey("own", AccessKeyLimits()) }
        #expect(try named.find(plain.id) == nil)
        // The account's own gateways have it as any other.
        #expect(try world.perform { try await $0.accessKey(id: key.id) }?.secret == key.secret)
    }

    /// What is written is signed by the delegate, where custodians let it, and nowhere by the account.
    @Test func whatANamedGatewayWritesIsItsDelegates() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        let before = Set(world.shared.state.withLock { $0.registers.keys })
        try named.put("key", noise(1_500_000), by: key.id)
        let rows = world.shared.state.withLock { state in
            state.registers.filter { !before.contains($0.key) }.compactMapValues(\.value)
                .merging(
                    state.merges.filter { $0.key.table == .references }.compactMapValues { row in
                        row.values.compactMap { $0 }.first
                    }
                ) { first, _ in first }
        }
        #expect(Set(rows.keys.map(\.table)).isSuperset(of: [.heads, .segments, .references]))
        for (row, value) in rows {
            let signed = try SignedRow(protobuf: value)
            let account = try #require(VerifyingKey(bytes: signed.accountKey))
            let certificate = try #require(
                DelegateCertificate.checked(signed.certificate, of: account))
            #expect(DelegateScope(certificate).writes(row))
            #expect(account.accountID == world.gateway.account)
        }
        let reader = try create("reader", for: [named], .read, in: world)
        #expect(throws: (any Error).self) { try named.put("key", [1], by: reader.id) }
        #expect(try named.get("key", by: reader.id) == noise(1_500_000))
    }

    @Test func aRevokedKeyEndsSoon() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        #expect(try named.find(key.id) != nil)
        let head = try world.perform { try await $0.handle("bucket").keys.head("a") }
        func permit() -> [UInt8]? {
            let now = named.context.environment.wallTime()
            return named.context.permits.permit(for: head, peer: PeerID(.zero), now: now)
        }
        #expect(permit() != nil)
        let (account, listings) = (world.gateway.account.digest, named.context.listings)
        func indexed() throws -> Int {
            try world.world.perform(on: named.peer) {
                try BucketIndex.buckets(of: account, in: try listings.opened()).count
            }
        }
        _ = try named.perform(key.id) { try await $0.list("bucket", ListRequest()) }
        #expect(try indexed() == 1)
        try world.perform { try await $0.revokeAccessKey("partner") }
        #expect(try world.perform { try await $0.accessKeys() } == [])
        world.world.run(for: world.timings.bucketCache)
        #expect(try named.find(key.id) == nil)
        let rows = world.shared.state.withLock { state in
            state.registers.filter { $0.key.table == .grants && $0.value.value != nil }
        }
        #expect(rows.isEmpty)
        #expect(permit() == nil)
        #expect(try indexed() == 0)
    }

    /// While the account's tables cannot be asked, nobody knows whether it was revoked.
    @Test func aKeyIsNotServedForLongUnasked() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        #expect(try named.find(key.id) != nil)
        world.shared.state.withLock { state in
            state.fault = { key, _ in key.table == .grants ? .unavailable("away") : nil }
        }
        #expect(try named.find(key.id) != nil)
        world.world.run(for: world.timings.bucketCache)
        #expect(throws: ObjectError.unavailable("away")) { try named.find(key.id) }
        #expect(throws: ObjectError.unavailable("away")) { try named.find(key.id) }
        world.shared.state.withLock { $0.fault = nil }
        #expect(try named.find(key.id) != nil)
    }

    @Test func certificatesAreRenewedLongBeforeTheyEnd() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        func row() -> [UInt8]? {
            world.shared.state.withLock {
                $0.registers[SealedGrants.row(accessKey: key.id)]?.value
            }
        }
        func pass(_ days: Int64) throws {
            for peer in [world.gatewayNode.peer, named.peer] {
                peer.clock.step(byMilliseconds: days * 86_400_000)
            }
            world.world.run(for: .seconds(10))
            try world.perform { try await $0.renewGrants() }
        }
        let first = row()
        try pass(9)
        #expect(row() == first)
        try pass(2)
        let second = row()
        #expect(second != first)
        try pass(9)
        #expect(row() == second)
        // Without renewals it ends with its certificate, and comes back with a new one.
        for peer in [world.gatewayNode.peer, named.peer] {
            peer.clock.step(byMilliseconds: 31 * 86_400_000)
        }
        #expect(try named.find(key.id) == nil)
        try world.perform { try await $0.renewGrants() }
        world.world.run(for: world.timings.bucketCache + GrantedKeys.unknownAge)
        try named.put("key", noise(30_000), by: key.id)
        #expect(try world.get("key") == noise(30_000))
    }

    /// What was revoked in between has no row any more, while the account may still list it.
    @Test func aRenewalBringsNoRevokedKeyBack() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        let place = SealedGrants.row(accessKey: key.id)
        let tables = named.context.tables
        _ = try world.world.perform(on: named.peer) {
            try await tables.update(place) { _ in .delete }
        }
        world.gatewayNode.peer.clock.step(byMilliseconds: 11 * 86_400_000)
        try world.perform { try await $0.renewGrants() }
        #expect(world.shared.state.withLock { $0.registers[place]?.value } == nil)
        #expect(try named.find(key.id) == nil)
    }

    @Test func aKeyThatHasExpiredIsNotRenewed() throws {
        let (world, named) = try world()
        var limits = Self.limits([named])
        let now = world.gatewayNode.peer.environment.wallTime().milliseconds
        limits.expires = WallTime(milliseconds: now + 10 * 86_400_000)
        let wanted = limits
        let key = try world.perform { try await $0.createAccessKey("short", wanted) }
        let place = SealedGrants.row(accessKey: key.id)
        let first = world.shared.state.withLock { $0.registers[place]?.value }
        world.gatewayNode.peer.clock.step(byMilliseconds: 11 * 86_400_000)
        try world.perform { try await $0.renewGrants() }
        #expect(world.shared.state.withLock { $0.registers[place]?.value } == first)
    }

    /// Nobody was told its secret, so that nobody would ever use or revoke it.
    @Test func aKeyThatCannotBeSealedDoesNotStay() throws {
        let (world, named) = try world()
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                isWrite && key.table == .grants ? .unavailable("away") : nil
            }
        }
        #expect(throws: ObjectError.unavailable("away")) {
            try create("partner", for: [named], in: world)
        }
        world.shared.state.withLock { $0.fault = nil }
        #expect(try world.perform { try await $0.accessKeys() } == [])
        #expect(try named.find(try create("partner", for: [named], in: world).id) != nil)
    }

    /// The seal and all signatures are as they should be, and the certificate is for elsewhere.
    @Test func aGrantOfAnotherNetworkIsNotServed() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        let place = SealedGrants.row(accessKey: key.id)
        let value = try #require(world.shared.state.withLock { $0.registers[place]?.value })
        let account = try world.perform { await $0.keys.signing }
        let (context, gateway) = (named.context, named.key)
        func serve(network: NetworkID) throws -> GrantedKey? {
            var grant = try #require(try SealedGrants.open(value, at: place, with: gateway)).grant
            grant.certificate =
                DelegateCertificate.signed(
                    for: SigningKey(seed: grant.delegate).verifyingKey, network: network,
                    bucket: try #require(Digest(bytes: grant.bucket)), operations: [.read, .write],
                    serial: Array(0..<16), now: context.environment.wallTime(), by: account
                ).bytes
            let sealed = try SealedGrants.seal(
                grant, for: [gateway.publicKey], at: place, with: RowSigner(account),
                random: context.environment.random)
            _ = try world.world.perform(on: named.peer) {
                try await context.tables.update(place) { _ in .set(sealed) }
            }
            world.world.run(for: world.timings.bucketCache + GrantedKeys.unknownAge)
            return try named.find(key.id)
        }
        #expect(try serve(network: NetworkID(Digest(1, 1, 1, 1))) == nil)
        #expect(try serve(network: context.permits.network) != nil)
    }

    @Test func aKeyFollowsTheNameOfItsBucket() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        try named.put("key", [1], by: key.id)
        try world.perform { gateway in
            try await gateway.delete("key", in: "bucket")
            try await gateway.deleteBucket("bucket")
        }
        world.world.run(for: .seconds(5))
        try world.createBucket()
        world.world.run(for: .seconds(5))
        #expect(throws: ObjectError.noSuchBucket) { try named.put("key", [1], by: key.id) }
        try world.perform { try await $0.renewGrants() }
        world.world.run(for: .seconds(5))
        try named.put("key", [2], by: key.id)
        #expect(try world.get("key") == [2])
    }

    /// The account's own gateways remove what named ones leave behind, and nothing else.
    @Test func segmentsThatANamedGatewayGaveUpAreCollected() throws {
        let (world, named) = try world(timings: .hastyCollection, upkeep: true)
        let key = try create("partner", for: [named], in: world)
        let kept = noise(900_000, seed: 5)
        try named.put("kept", kept, by: key.id)
        _ = try world.put("own", noise(800_000, seed: 1))
        try named.put("own", noise(810_000, seed: 2), by: key.id)
        try named.put("replaced", noise(820_000, seed: 3), by: key.id)
        try named.put("replaced", noise(830_000, seed: 4), by: key.id)
        try named.put("removed", noise(840_000, seed: 6), by: key.id)
        _ = try world.perform { try await $0.delete("removed", in: "bucket") }
        world.world.run(for: .seconds(150))
        #expect(world.rows()[.segments] == 3)
        #expect(world.rows()[.layouts] == 3)
        #expect(try world.get("kept") == kept)
        #expect(try world.get("own") == noise(810_000, seed: 2))
        #expect(try named.get("replaced", by: key.id) == noise(830_000, seed: 4))
    }

    /// Collection would leave fences where a reference says that its version is.
    @Test func aDelegateRefersForObjectsOfItsBucketAlone() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        let gateway = try #require(try named.find(key.id)?.service as? ObjectGateway)
        let keys = AccountKeys(seed: [UInt8](repeating: 77, count: 32))
        let another = keys.keys(for: Digest(5, 5, 5, 5))
        let found = try world.world.perform(on: named.peer) {
            let bucket = try await gateway.handle("bucket").keys
            let (context, own) = await (gateway.context, gateway.keys)
            let segment = own.newSegment(random: Digest(1, 2, 3, 4))
            let references = SegmentReferences(context: context, keys: own)
            let places = [
                (bucket, bucket), (another, another), (bucket, another), (another, bucket),
            ]
            let owners = places.enumerated().map { index, place in
                SegmentReference(
                    bucket: place.0.bucket, position: place.1.position(of: "a"),
                    owner: .version([UInt8](repeating: UInt8(index), count: 16)))
            }
            try await references.write(owners, to: segment)
            return try await SegmentReferences(context: context, keys: keys).read(segment)
                .map { $0.reference == owners[0] }
        }
        #expect(found == [true])
    }

    @Test func gatewayKeysThatAreNoneMakeNoAccessKey() throws {
        let (world, _) = try world()
        var limits = AccessKeyLimits()
        limits.bucket = "bucket"
        for bytes in [[UInt8](repeating: 0, count: 32), [1, 2, 3]] {
            limits.gateways = [bytes]
            let wanted = limits
            #expect(throws: ObjectError.badGatewayKey) {
                try world.perform { try await $0.createAccessKey("bad", wanted) }
            }
        }
        #expect(try world.perform { try await $0.accessKeys() } == [])
    }

    /// An account's seal for another key, another account's copy of one, and whatever else lies there.
    @Test func whatIsNotSealedForTheKeyOpensNothing() throws {
        let (world, named) = try world()
        let key = try create("partner", for: [named], in: world)
        let place = SealedGrants.row(accessKey: key.id)
        let value = try #require(world.shared.state.withLock { $0.registers[place]?.value })
        let other = SealedGrants.row(accessKey: "CYG0123456789ABCDEF")
        let thief = SigningKey(seed: [UInt8](repeating: 9, count: 32))
        let payload = try SignedRow(protobuf: value).payload
        #expect(throws: RowError.unsigned) {
            try SealedGrants.open(value, at: other, with: named.key)
        }
        let moved = Rows.sign(payload, at: other, with: thief)
        #expect(throws: RowError.foreign) {
            try SealedGrants.open(moved, at: other, with: named.key)
        }
        let stolen = Rows.sign(payload, at: place, with: thief)
        #expect(throws: RowError.foreign) {
            try SealedGrants.open(stolen, at: place, with: named.key)
        }
        let found = try #require(try SealedGrants.open(value, at: place, with: named.key))
        #expect(OpenedGrant(found.grant, of: found.accountKey, id: key.id) != nil)
        #expect(OpenedGrant(found.grant, of: found.accountKey, id: "another") == nil)
        #expect(OpenedGrant(found.grant, of: thief.verifyingKey, id: key.id) == nil)
        var bent = found.grant
        bent.bucket[0] ^= 1
        #expect(OpenedGrant(bent, of: found.accountKey, id: key.id) == nil)
        bent = found.grant
        bent.delegate[0] ^= 1
        #expect(OpenedGrant(bent, of: found.accountKey, id: key.id) == nil)
    }

    @Test func junkBecomesLittleTraffic() throws {
        let (world, named) = try world()
        let reads = Mutex(0)
        let counting: @Sendable (RowKey, Bool) -> TableError? = { key, _ in
            if key.table == .grants { reads.withLock { $0 += 1 } }
            return nil
        }
        world.shared.state.withLock { $0.fault = counting }
        defer { world.shared.state.withLock { $0.fault = nil } }
        for id in ["", "AKIA0123456789ABCDEF", "CYK0123456789ABCDEF", "CYG0123456789abcdef", "CYG"]
        {
            #expect(try named.find(id) == nil)
        }
        #expect(reads.withLock { $0 } == 0)
        for _ in 0..<10 { #expect(try named.find("CYG00000000000000FF") == nil) }
        #expect(reads.withLock { $0 } == 1)
        var refused = 0
        for number in 0..<200 {
            let digits = String(number, radix: 16, uppercase: true)
            let id = "CYG" + String(repeating: "0", count: 16 - digits.count) + digits
            do { #expect(try named.find(id) == nil) } catch ObjectError.unavailable { refused += 1 }
        }
        #expect(reads.withLock { $0 } <= GrantedKeys.lookupBurst + 10)
        #expect(refused >= 100)
        world.world.run(for: .seconds(10))
        #expect(try named.find("CYG1111111111111111") == nil)
    }

    @Test func soManyKeysAreServedAtATimeAndTheOthersComeBack() throws {
        let (world, named) = try world()
        _ = try world.perform { try await $0.createBucket("first") }
        var limits = Self.limits([named])
        limits.bucket = "first"
        let wanted = limits
        let first = try world.perform { try await $0.createAccessKey("first", wanted) }
        let head = try world.perform { try await $0.handle("first").keys.head("a") }
        func permit() -> [UInt8]? {
            let now = named.context.environment.wallTime()
            return named.context.permits.permit(for: head, peer: PeerID(.zero), now: now)
        }
        #expect(try named.find(first.id) != nil && permit() != nil)
        var keys: [AccessKey] = []
        for number in 0..<GrantedKeys.capacity + 4 {
            keys.append(try create("key \(number)", for: [named], in: world))
        }
        _ = try world.put("key", [7])
        for key in keys + keys.prefix(8) {
            #expect(try named.get("key", by: key.id) == [7])
            world.world.run(for: .milliseconds(100))
        }
        #expect(permit() == nil)
    }
}
