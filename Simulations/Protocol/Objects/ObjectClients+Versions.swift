import CyxCore
import CyxObjects
import SimulationHarness

/// Versions in a world of objects: what was acknowledged as a version stays readable under its ID until
/// it is removed, and then never comes back.
extension ObjectClients {
    static let allVersions = "all versions"

    /// Reads some version of the key, or removes one that another stands above.
    func useVersion(of key: Int, removes: Bool, _ gateway: ObjectGateway) async throws {
        let drawn = with { $0.versions.draw(key, removes: removes) }
        guard let drawn else { return }
        guard removes else { return try await readVersion(drawn, gateway) }
        _ = try await gateway.delete(
            name(key), version: drawn.id, in: ObjectWorld.bucket, options: DeleteOptions())
        with { records in
            records.versions.removed(drawn)
            records.count("versions removed")
        }
    }

    private func readVersion(
        _ version: VersionRecords.Name, _ gateway: ObjectGateway
    ) async throws {
        do {
            let body = try await gateway.get(
                name(version.key), version: version.id, in: ObjectWorld.bucket, range: .whole)
            var source = body.source
            var bytes: [UInt8] = []
            while let next = try await source.next() { bytes += next }
            let whole = bytes
            with { $0.see(version: version, whole) }
        } catch let error as ObjectError {
            switch error {
            case .noSuchVersion, .noSuchKey, .dataLost: with { $0.see(version: version, nil) }
            default: throw error
            }
        }
    }

    /// Removes three of four earlier versions, so that what they alone needed must go, and disks do not
    /// hold so much that audits take long to come by.
    func settleVersions(limit: Duration) {
        guard world.keepsVersions, let peer = world.gateways.first, let gateway = peer.gateway
        else {
            return
        }
        let task = run(peer.machine) {
            let listing = try await gateway.listVersions(ObjectWorld.bucket, VersionListRequest())
            let earlier = listing.versions.filter { !$0.isLatest }
            for (number, version) in earlier.enumerated() where !number.isMultiple(of: 4) {
                let (key, id) = (version.info.key, version.info.versionID)
                self.with { $0.versions.giveUp(key: $0.key(named: key), id: id) }
                _ = try await gateway.delete(
                    key, version: id, in: ObjectWorld.bucket, options: DeleteOptions())
                self.with { $0.count("versions removed") }
            }
        }
        world.world.run(limit: limit) { task.result != nil }
    }

    /// Lists all versions and reads those that clients know of.
    func readVersions(_ gateway: ObjectGateway) async throws {
        let began = with { $0.versions.tick() }
        let keys = Dictionary(
            with { $0.keys.enumerated().map { ($0.element.name, $0.offset) } },
            uniquingKeysWith: { first, _ in first })
        let listing = try await gateway.listVersions(ObjectWorld.bucket, VersionListRequest())
        let listed = Set(
            listing.versions.compactMap { version -> VersionRecords.Name? in
                guard let key = keys[version.info.key], let id = version.info.versionID else {
                    return nil
                }
                return VersionRecords.Name(key: key, id: id)
            })
        with { $0.seeAll(listed, since: began) }
        for version in with({ $0.versions.kept.keys.sorted() }) {
            try await readVersion(version, gateway)
        }
    }
}

/// What clients know of versions. Moments are counted, not timed.
struct VersionRecords {
    struct Name: Hashable, Comparable {
        var key: Int
        var id: String

        static func < (left: Name, right: Name) -> Bool {
            (left.key, left.id) < (right.key, right.id)
        }
    }

    struct Version {
        var etag: String
        /// When its put was begun and acknowledged.
        var began: Int
        var acknowledged: Int
        /// Whether it stands above one that is being removed, and so must stay itself.
        var stays = false
    }

    private var moment = 0
    private var drawn = 0
    private(set) var kept: [Name: Version] = [:]
    /// When each was gone at the latest.
    private var gone: [Name: Int] = [:]

    mutating func tick() -> Int {
        moment += 1
        return moment
    }

    mutating func add(_ key: Int, _ info: ObjectInfo, began: Int) {
        guard let id = info.versionID else { return }
        kept[Name(key: key, id: id)] = Version(
            etag: info.etag, began: began, acknowledged: tick())
    }

    /// A version to be read; or to be removed, which then is no longer kept: one above which another
    /// stands, so that what the key shows does not change.
    mutating func draw(_ key: Int, removes: Bool) -> Name? {
        let all = kept.keys.filter { $0.key == key }.sorted()
        drawn += 1
        guard removes else { return all.isEmpty ? nil : all[drawn % all.count] }
        for name in all {
            guard let version = kept[name], !version.stays else { continue }
            let above = all.first { other in
                kept[other].map { $0.began > version.acknowledged } ?? false
            }
            guard let above else { continue }
            kept[above]?.stays = true
            kept[name] = nil
            return name
        }
        return nil
    }

    /// Nothing is known any more of what may be removed.
    mutating func giveUp(key: Int?, id: String?) {
        guard let key, let id else { return }
        kept[Name(key: key, id: id)] = nil
    }

    mutating func removed(_ name: Name) { gone[name] = tick() }

    func stood(_ name: Name, before moment: Int) -> Bool {
        kept[name].map { $0.acknowledged < moment } ?? false
    }

    func isGone(_ name: Name, before moment: Int) -> Bool {
        gone[name].map { $0 < moment } ?? false
    }
}
