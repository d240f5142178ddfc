import CyxCore
import CyxObjects
import CyxTables
import SimulationHarness
import Synchronization
import Testing

@Suite struct VersionTests {
    private func world(
        _ versioning: BucketVersioning = .enabled, timings: ObjectTimings? = nil
    ) throws -> ObjectWorld {
        let world =
            if let timings {
                try ObjectWorld(storers: 4, upkeep: true, timings: timings)
            } else { try ObjectWorld(storers: 1) }
        try world.createBucket()
        try world.set(versioning)
        return world
    }

    @Test func everyWriteOfAKeyStaysUnderItsOwnID() throws {
        let world = try world()
        let bodies = [noise(300_000, seed: 1), [1, 2], noise(200_000, seed: 3)]
        let ids = try bodies.map { try #require(try world.put("key", $0).versionID) }
        #expect(Set(ids).count == 3)
        #expect(try world.get("key") == bodies[2])
        for (id, body) in zip(ids, bodies) { #expect(try world.get("key", version: id) == body) }
        let listed = try world.versions()
        #expect(listed.map(\.info.versionID) == ids.reversed())
        #expect(listed.map(\.isLatest) == [true, false, false])
        #expect(listed.map(\.info.size) == [200_000, 2, 300_000])
    }

    @Test func aDeleteHidesTheKeyAndRemovingItsMarkerShowsItAgain() throws {
        let world = try world()
        let id = try #require(try world.put("key", [1]).versionID)
        let outcome = try world.delete("key")
        #expect(outcome.isDeleteMarker)
        let marker = try #require(outcome.versionID)
        #expect(throws: ObjectError.self) { try world.get("key") }
        #expect(try world.keys() == [])
        #expect(try world.get("key", version: id) == [1])
        let error = #expect(throws: ObjectError.self) { try world.get("key", version: marker) }
        guard case .deleteMarker(marker, _)? = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
        #expect(try world.versions().map(\.info.isDeleteMarker) == [true, false])
        #expect(try world.delete("key", version: marker).isDeleteMarker)
        #expect(try world.get("key") == [1])
        #expect(try world.keys() == ["key"])
        #expect(try world.versions().map(\.isLatest) == [true])
    }

    @Test func removingTheCurrentVersionShowsTheOneBefore() throws {
        let world = try world()
        let ids = try (1...3).map { try #require(try world.put("key", [UInt8($0)]).versionID) }
        _ = try world.delete("key", version: ids[2])
        #expect(try world.get("key") == [2])
        #expect(try world.keys() == ["key"])
        _ = try world.delete("key", version: ids[0])
        #expect(try world.get("key") == [2])
        _ = try world.delete("key", version: ids[1])
        #expect(throws: ObjectError.noSuchKey) { try world.get("key") }
        #expect(try world.versions().isEmpty)
        // Nothing of the key is left.
        world.world.run(for: .seconds(5))
        #expect(world.rows()[.heads] == nil)
        #expect(world.rows()[.versions] == nil)
        try world.perform { try await $0.deleteBucket("bucket") }
    }

    @Test func whatWasThereBeforeBecomesTheNullVersion() throws {
        let world = try world(.never)
        #expect(try world.put("key", [1]).versionID == nil)
        try world.set(.enabled)
        let id = try #require(try world.put("key", [2]).versionID)
        #expect(try world.get("key", version: "null") == [1])
        #expect(try world.versions().map(\.info.versionID) == [id, "null"])
        _ = try world.delete("key", version: "null")
        #expect(throws: ObjectError.noSuchVersion) { try world.get("key", version: "null") }
        #expect(try world.get("key") == [2])
    }

    @Test func suspendedBucketsHaveOneNullVersionAndKeepTheOthers() throws {
        let world = try world(.never)
        _ = try world.put("key", [1])
        try world.set(.enabled)
        let id = try #require(try world.put("key", [2]).versionID)
        try world.set(.suspended)
        #expect(try world.put("key", [3]).versionID == "null")
        #expect(try world.versions().map(\.info.versionID) == ["null", id])
        #expect(try world.get("key", version: "null") == [3])
        #expect(try world.put("key", [4]).versionID == "null")
        #expect(try world.versions().map(\.info.versionID) == ["null", id])
        let outcome = try world.delete("key")
        #expect(outcome.versionID == "null" && outcome.isDeleteMarker)
        #expect(try world.versions().map(\.info.versionID) == ["null", id])
        #expect(throws: ObjectError.self) { try world.get("key", version: "null") }
        #expect(try world.get("key", version: id) == [2])
        world.world.run(for: .seconds(5))
        #expect(world.rows()[.versions] == 1)
    }

    @Test func aBucketWithVersionsIsNotEmpty() throws {
        let world = try world()
        let id = try #require(try world.put("key", [1]).versionID)
        let marker = try #require(try world.delete("key").versionID)
        let empty = { try world.perform { try await $0.deleteBucket("bucket") } }
        #expect(throws: ObjectError.bucketNotEmpty) { try empty() }
        _ = try world.delete("key", version: marker)
        #expect(throws: ObjectError.bucketNotEmpty) { try empty() }
        _ = try world.delete("key", version: id)
        try empty()
    }

    @Test func attributesChangeOnEachVersionByItself() throws {
        let world = try world()
        let first = try #require(try world.put("key", [1]).versionID)
        let second = try #require(try world.put("key", [2]).versionID)
        for (id, tag) in [(first, "one"), (second, "two")] {
            _ = try world.perform {
                try await $0.updateAttributes(of: "key", version: id, in: "bucket") {
                    $0["tag"] = Array(tag.utf8)
                }
            }
        }
        // What was set on a version goes with it when another takes its place.
        _ = try world.put("key", [3])
        let tags = try world.versions().map { $0.info.attributes["tag"] }
        #expect(tags == [nil, Array("two".utf8), Array("one".utf8)])
    }

    @Test func attributesAreChangedAfterOneLookAtTheHead() throws {
        let world = try world()
        let ids = try (1...2).map { try #require(try world.put("key", [UInt8($0)]).versionID) }
        let looks = Counter()
        world.shared.state.withLock {
            $0.fault = { key, isWrite in
                if key.table == .heads, !isWrite { looks.count.withLock { $0 += 1 } }
                return nil
            }
        }
        for id in ids + [nil] {
            looks.count.withLock { $0 = 0 }
            let info = try world.perform {
                try await $0.updateAttributes(of: "key", version: id, in: "bucket") {
                    $0["tag"] = [1]
                }
            }
            #expect(info.versionID == id ?? ids[1])
            #expect(looks.count.withLock { $0 } == 1)
        }
        for (id, error) in [
            (String?.some(String(repeating: "0", count: 32)), ObjectError.noSuchVersion),
            ("null", .noSuchVersion),
        ] {
            #expect(throws: error) {
                try world.perform {
                    try await $0.updateAttributes(of: "key", version: id, in: "bucket") { _ in }
                }
            }
        }
        #expect(throws: ObjectError.noSuchKey) {
            try world.perform {
                try await $0.updateAttributes(of: "none", version: nil, in: "bucket") { _ in }
            }
        }
    }

    private final class Counter: Sendable {
        let count = Mutex(0)
    }

    @Test func aCheckThatThrowsRemovesNothing() throws {
        struct Locked: Error {}
        let world = try world()
        let ids = try (1...2).map { try #require(try world.put("key", [UInt8($0)]).versionID) }
        var options = DeleteOptions()
        options.check = { _ in throw Locked() }
        for id in ids {
            #expect(throws: Locked.self) { try world.delete("key", version: id, options) }
        }
        #expect(try world.versions().map(\.info.versionID) == ids.reversed())
    }

    @Test func versionsAreListedByPagesPrefixAndDelimiter() throws {
        let world = try world()
        for key in ["a", "dir/1", "dir/2", "z"] {
            for body in 0..<3 { _ = try world.put(key, [UInt8(body)]) }
        }
        let all = try world.versions().map { ($0.info.key, $0.info.versionID) }
        var request = VersionListRequest()
        request.limit = 2
        var seen: [(String, String?)] = []
        while true {
            let now = request
            let page = try world.perform { try await $0.listVersions("bucket", now) }
            seen += page.versions.map { ($0.info.key, $0.info.versionID) }
            guard let next = page.next else { break }
            (request.startAfter, request.startAfterVersion) = (next.key, next.version)
        }
        #expect(seen.elementsEqual(all, by: ==))
        request = VersionListRequest()
        request.delimiter = "/"
        var now = request
        var page = try world.perform { [now] in try await $0.listVersions("bucket", now) }
        #expect(page.commonPrefixes == ["dir/"])
        #expect(page.versions.count == 6)
        request.prefix = "dir/"
        now = request
        page = try world.perform { [now] in try await $0.listVersions("bucket", now) }
        #expect(
            page.versions.map(\.info.key) == ["dir/1", "dir/1", "dir/1", "dir/2", "dir/2", "dir/2"])
    }

    /// A8: the version is kept first, and the gateway dies before it changes the head.
    @Test func aWriterThatDiedAfterItKeptTheOldVersionChangesNothing() throws {
        let world = try world()
        let id = try #require(try world.put("key", [1]).versionID)
        let kept = Mutex(false)
        world.shared.state.withLock { state in
            state.fault = { key, isWrite in
                if isWrite, key.table == .versions { kept.withLock { $0 = true } }
                return isWrite && key.table == .heads && kept.withLock { $0 }
                    ? .unavailable("gone") : nil
            }
        }
        #expect(throws: ObjectError.self) { try world.put("key", [2]) }
        world.shared.state.withLock { $0.fault = nil }
        #expect(world.rows()[.versions] == 1)
        #expect(try world.versions().map(\.info.versionID) == [id])
        #expect(try world.get("key") == [1])
        _ = try world.delete("key", version: id)
        #expect(throws: ObjectError.noSuchKey) { try world.get("key") }
        #expect(try world.versions().isEmpty)
    }

    @Test func aSlowWriterDoesNotBringBackWhatWasRemoved() throws {
        let world = try world()
        let id = try #require(try world.put("key", [1]).versionID)
        let environment = world.gatewayNode.peer.environment
        let isSlow = Mutex(true)
        world.shared.state.withLock { state in
            state.stall = { key, isWrite in
                let waits =
                    isWrite && key.table == .versions
                    && isSlow.withLock { first in
                        defer { first = false }
                        return first
                    }
                do { if waits { try await environment.sleep(for: .seconds(2)) } } catch {}
            }
        }
        try world.perform { gateway in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    _ = try await gateway.put(
                        "key", in: "bucket", options: PutOptions(), body: Pieces([2], of: 1))
                }
                group.addTask {
                    try await environment.sleep(for: .seconds(1))
                    _ = try await gateway.delete(
                        "key", version: id, in: "bucket", options: DeleteOptions())
                }
                try await group.waitForAll()
            }
        }
        #expect(try world.get("key") == [2])
        #expect(throws: ObjectError.noSuchVersion) { try world.get("key", version: id) }
        #expect(try world.versions().count == 1)
    }

    @Test func writersAtOnceLoseNoVersion() throws {
        let world = try world()
        try world.perform { gateway in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        _ = try await gateway.put(
                            "key", in: "bucket", options: PutOptions(),
                            body: Pieces([UInt8(number)], of: 1))
                    }
                }
                try await group.waitForAll()
            }
        }
        let bodies = try world.versions().map { version in
            try world.get("key", version: version.info.versionID)
        }
        #expect(Set(bodies) == Set((0..<12).map { [UInt8($0)] }))
        #expect(bodies.count == 12)
    }

    @Test func collectionKeepsEarlierVersionsAndRemovesWhatWasRemoved() throws {
        let world = try world(timings: .hastyCollection)
        let bodies = (1...3).map { noise(400_000, seed: UInt64($0)) }
        let ids = try bodies.map { try #require(try world.put("key", $0).versionID) }
        let upload = try world.upload("parts", noise(300_000, seed: 9))
        _ = try world.put("parts", [1])
        world.world.run(for: .seconds(120))
        for (id, body) in zip(ids, bodies) { #expect(try world.get("key", version: id) == body) }
        #expect(try world.get("parts", version: upload) == noise(300_000, seed: 9))
        #expect(world.rows()[.segments] == 4)
        for id in ids { _ = try world.delete("key", version: id) }
        _ = try world.delete("parts", version: upload)
        world.world.run(for: .seconds(120))
        for table in [TableID.segments, .layouts, .references, .holders] {
            #expect(world.rows()[table] == nil)
        }
        #expect(try world.usage() == (0, 0))
    }
}

extension ObjectWorld {
    fileprivate func set(_ versioning: BucketVersioning) throws {
        _ = try perform { try await $0.updateBucket("bucket") { $0.versioning = versioning } }
    }

    fileprivate func get(_ key: String, version: String?) throws -> [UInt8] {
        try perform { gateway in
            var body = try await gateway.get(
                key, version: version, in: "bucket", range: .whole
            ).source
            var bytes: [UInt8] = []
            while let piece = try await body.next() { bytes += piece }
            return bytes
        }
    }

    fileprivate func delete(
        _ key: String, version: String? = nil, _ options: DeleteOptions = DeleteOptions()
    ) throws -> DeleteOutcome {
        try perform {
            try await $0.delete(key, version: version, in: "bucket", options: options)
        }
    }

    fileprivate func versions() throws -> [ListedVersion] {
        try perform { try await $0.listVersions("bucket", VersionListRequest()) }.versions
    }

    fileprivate func keys() throws -> [String] {
        try perform { try await $0.list("bucket", ListRequest()) }.objects.map(\.key)
    }

    /// An upload of one part; returns the version that it became.
    fileprivate func upload(_ key: String, _ bytes: [UInt8]) throws -> String? {
        try perform { gateway in
            let id = try await gateway.createUpload(key, in: "bucket", options: PutOptions())
            let part = try await gateway.putPart(
                1, upload: id, key: key, in: "bucket", body: Pieces(bytes, of: 1 << 20))
            return try await gateway.completeUpload(
                id, key: key, in: "bucket", parts: [(1, part.etag)]
            ).versionID
        }
    }
}
