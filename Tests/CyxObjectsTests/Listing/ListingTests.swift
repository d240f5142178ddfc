import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

/// Listings by an index that follows the tables: they show what reads would.
@Suite struct ListingTests {
    /// Keys whose order by bytes and by characters differs, groups within groups, and zero bytes.
    private static let keys = [
        "a", "a/", "a/b", "a/b/c", "a/b/d", "a/c", "ab", "b/x/y", "b/x/z", "e\u{301}", "\u{e9}",
        "\u{e9}/1", "z", "z\u{0}", "z\u{0}a", "z\u{0}\u{1}", "~",
    ]

    private typealias Gateway = ObjectGateway

    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// What pages of any size are to tell of these keys, in turn.
    private static func expected(_ keys: [[UInt8]], _ request: ListRequest) -> [[UInt8]] {
        let (prefix, start) = (bytes(request.prefix), bytes(request.startAfter))
        let delimiter = request.delimiter.map(bytes) ?? []
        var told: [[UInt8]] = []
        for key in keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard key.starts(with: prefix), start.lexicographicallyPrecedes(key) else { continue }
            let rest = key.dropFirst(prefix.count)
            if !delimiter.isEmpty, let end = rest.firstIndex(of: delimiter[0]) {
                let group = Array(key[...end])
                if !start.starts(with: group), told.last != group { told.append(group) }
            } else {
                told.append(key)
            }
        }
        return told
    }

    private static func listed(
        _ gateway: Gateway, _ request: ListRequest
    ) async throws -> [[UInt8]] {
        var (request, told) = (request, [[UInt8]]())
        while true {
            let page = try await gateway.list("bucket", request)
            let all = page.objects.map { bytes($0.key) } + page.commonPrefixes.map(bytes)
            #expect(all.count <= request.limit)
            told += all.sorted { $0.lexicographicallyPrecedes($1) }
            guard let marker = page.nextMarker else { return told }
            request.startAfter = marker
        }
    }

    /// The keys whose current versions can be read, with their ETags.
    private static func readable(_ gateway: Gateway) async throws -> [[UInt8]: String] {
        var found: [[UInt8]: String] = [:]
        for key in keys {
            do {
                found[bytes(key)] = try await gateway.head(key, in: "bucket").etag
            } catch ObjectError.noSuchKey {} catch ObjectError.deleteMarker {}
        }
        return found
    }

    private static func request(_ random: inout SeededGenerator) -> ListRequest {
        var request = ListRequest()
        if Bool.random(using: &random) { request.delimiter = "/" }
        let prefixes = ["", "", "a", "a/", "a/b", "b/", "e", "\u{e9}", "z", "zz"]
        request.prefix = prefixes.randomElement(using: &random) ?? ""
        if Int.random(in: 0..<3, using: &random) == 0 {
            request.startAfter = (keys + ["a/b/", "0"]).randomElement(using: &random) ?? ""
        }
        request.limit = Int.random(in: 1...6, using: &random)
        return request
    }

    private static func check(_ gateway: Gateway, seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let present = try await readable(gateway)
        let page = try await gateway.list("bucket", ListRequest())
        let etags = page.objects.map { (bytes($0.key), $0.etag) }
        #expect(Dictionary(uniqueKeysWithValues: etags) == present)
        for _ in 0..<4 {
            let request = request(&random)
            let told = try await listed(gateway, request)
            #expect(told == expected(Array(present.keys), request), "\(request)")
        }
    }

    /// All versions that were made and can still be read are listed, the newest of each key first.
    private static func check(
        _ gateway: Gateway, versions made: [(key: String, id: String)], limit: Int
    ) async throws {
        var request = VersionListRequest()
        request.limit = limit
        var listed: [[UInt8]: [String]] = [:]
        while true {
            let page = try await gateway.listVersions("bucket", request)
            #expect(page.versions.count <= limit)
            for version in page.versions {
                let key = bytes(version.info.key)
                #expect(version.isLatest == (listed[key] == nil))
                listed[key, default: []].append(version.info.versionID ?? "null")
            }
            guard let next = page.next else { break }
            (request.startAfter, request.startAfterVersion) = next
        }
        var expected: [[UInt8]: [String]] = [:]
        for key in keys {
            for id in ["null"] + made.filter({ bytes($0.key) == bytes(key) }).map(\.id) {
                do {
                    _ = try await gateway.head(key, version: id, in: "bucket")
                } catch ObjectError.noSuchVersion { continue } catch ObjectError.deleteMarker {}
                expected[bytes(key), default: []].append(id)
            }
        }
        #expect(listed.mapValues(Set.init) == expected.mapValues(Set.init))
        #expect(listed.values.allSatisfy { Set($0).count == $0.count })
        for (key, ids) in listed {
            // Whoever was made later is newer, and `null` may be anywhere.
            let named = ids.filter { $0 != "null" }
            let order = made.filter { bytes($0.key) == key && named.contains($0.id) }.map(\.id)
            #expect(named == order.reversed())
        }
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func listingsShowWhatReadsWould(seed: UInt64) throws {
        let world = try ObjectWorld(storers: 1, seed: seed)
        try world.createBucket()
        let reader = world.addReader()
        var random = SeededGenerator(seed: seed)
        var made: [(key: String, id: String)] = []
        world.shared.state.withLock { $0.followedPage = Int.random(in: 1...9, using: &random) }
        world.gatewayNode.peer.disk.setFaults(keepingPrefixes)
        for round in 0..<90 {
            let key = Self.keys.randomElement(using: &random) ?? "a"
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<5:
                let info = try world.put(key, [UInt8(round)])
                if let id = info.versionID, id != "null" { made.append((key, id)) }
            case 5, 6:
                let outcome = try world.perform {
                    try await $0.delete(key, version: nil, in: "bucket", options: DeleteOptions())
                }
                if let id = outcome.versionID, id != "null" { made.append((key, id)) }
            case 7:
                guard let version = made.randomElement(using: &random) else { continue }
                _ = try world.perform {
                    try await $0.delete(
                        version.key, version: version.id, in: "bucket", options: DeleteOptions())
                }
            case 8 where round > 40:
                let isOn = Bool.random(using: &random)
                _ = try world.perform {
                    try await $0.updateBucket("bucket") {
                        $0.versioning = isOn ? .enabled : .suspended
                    }
                }
                // Readers remember settings for a while.
                world.world.run(for: .seconds(60))
            case 9:
                // What was followed so far is no more told from there on.
                world.shared.state.withLock { $0.followedFloor = $0.writes.count }
            case 10:
                world.gatewayNode.peer.crash()
                try world.startGateway()
            default:
                let (check, limit) = (random.next(), Int.random(in: 1...5, using: &random))
                try world.perform { try await Self.check($0, seed: check) }
                let made = made
                try world.world.perform(on: reader.peer) {
                    try await Self.check(reader.gateway, seed: check)
                    try await Self.check(reader.gateway, versions: made, limit: limit)
                }
            }
        }
        try world.perform { [made] in
            try await Self.check($0, seed: seed)
            try await Self.check($0, versions: made, limit: 3)
        }
    }

    private var keepingPrefixes: DiskFaults {
        var faults = DiskFaults()
        faults.keepsPrefixAtCrash = true
        return faults
    }

    /// One key ends where the other has a zero byte.
    @Test func versionsOfKeysWithZeroBytesAreToldApart() throws {
        let world = try ObjectWorld(storers: 1)
        var settings = BucketSettings()
        settings.versioning = .enabled
        _ = try world.perform { [settings] in
            try await $0.createBucket("bucket", settings: settings)
        }
        for key in ["z", "z\u{0}\u{1}", "z", "z\u{0}\u{1}", "z\u{0}\u{1}"] {
            _ = try world.put(key, [1])
        }
        let page = try world.perform {
            try await $0.listVersions("bucket", VersionListRequest())
        }
        let keys = page.versions.map { Self.bytes($0.info.key) }
        #expect(keys == [[122], [122], [122, 0, 1], [122, 0, 1], [122, 0, 1]])
    }

    /// However far a listing has come, what it leaves is good to go on from.
    @Test func aGatewayThatDiesWhileItFollowsGoesOn() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        world.shared.state.withLock { $0.followedPage = 3 }
        world.gatewayNode.peer.disk.setFaults(keepingPrefixes)
        var present: Set<[UInt8]> = []
        for step in 0..<60 {
            let key = Self.keys[step * 7 % Self.keys.count]
            if step % 3 == 2 {
                try world.perform { try await $0.delete(key, in: "bucket") }
                present.remove(Self.bytes(key))
            } else {
                _ = try world.put(key, [UInt8(step)])
                present.insert(Self.bytes(key))
            }
            if step % 5 == 0 {
                world.shared.state.withLock { $0.followedFloor = $0.writes.count }
            }
            let gateway = world.gateway
            _ = world.world.spawn(world.gatewayNode.peer) {
                try await gateway.list("bucket", ListRequest())
            }
            // Each step of a listing takes a while in virtual time, or none: both are met.
            world.world.run(for: .microseconds(Int64(step) * 7))
            world.gatewayNode.peer.crash()
            try world.startGateway()
            let listed = try world.perform { try await $0.list("bucket", ListRequest()) }
            #expect(Set(listed.objects.map { Self.bytes($0.key) }) == present)
            #expect(listed.objects.count == present.count)
        }
    }

    @Test func whatCannotBeUnderstoodIsMadeAnew() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        for key in ["a", "b"] { _ = try world.put(key, [1]) }
        let list = { try world.perform { try await $0.list("bucket", ListRequest()) } }
        #expect(try list().objects.map(\.key) == ["a", "b"])
        let disk = world.gatewayNode.peer.disk
        // Each kind of entry in turn, its value cut short or of another version.
        for tag in [0, 1, 3] as [UInt8] {
            for value in [[], [99, 1, 2]] as [[UInt8]] {
                let found = disk.entries(in: "listings", ([tag], [tag + 1]))
                #expect(!found.isEmpty)
                try disk.open("listings", kind: .rows).write(
                    found.map { .put(key: $0.key, value: value) }, durable: true)
                // A place that is not as it was is noticed once its row changes.
                if tag == 3 { _ = try world.put("a", [value.isEmpty ? 2 : 3]) }
                #expect(try list().objects.map(\.key) == ["a", "b"])
            }
        }
    }

    @Test func theIndexOfADeletedBucketGoes() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        _ = try world.put("a", [1])
        _ = try world.perform { try await $0.list("bucket", ListRequest()) }
        let disk = world.gatewayNode.peer.disk
        #expect(!disk.entries(in: "listings", ([0], [0xFF])).isEmpty)
        try world.perform { try await $0.delete("a", in: "bucket") }
        try world.perform { try await $0.deleteBucket("bucket") }
        #expect(disk.entries(in: "listings", ([0], [0xFF])).isEmpty)
    }

    @Test func theIndexOfABucketThatAnotherGatewayDeletedGoesAtTheNextStart() throws {
        let world = try ObjectWorld(storers: 1)
        try world.createBucket()
        let reader = world.addReader()
        _ = try world.perform { try await $0.list("bucket", ListRequest()) }
        try world.world.perform(on: reader.peer) { try await reader.gateway.deleteBucket("bucket") }
        let disk = world.gatewayNode.peer.disk
        #expect(!disk.entries(in: "listings", ([0], [0xFF])).isEmpty)
        world.gatewayNode.peer.crash()
        try world.startGateway()
        world.world.run(for: .seconds(5))
        #expect(disk.entries(in: "listings", ([0], [0xFF])).isEmpty)
    }
}
