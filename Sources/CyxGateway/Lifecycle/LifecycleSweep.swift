internal import CyxCore
internal import CyxObjects
internal import CyxS3

/// Goes over the versions of a bucket in the order of a listing, and says which of them its lifecycle
/// lets go by now. A machine: `take` for each, `finish` at the end.
struct LifecycleSweep {
    struct Deletion: Equatable {
        enum What: String { case object, version, marker }
        var what: What
        var key: String
        /// Nil: the current version, in whose place a bucket that keeps versions gets a marker.
        var version: String?
        /// What was listed; something else by that name stays.
        var modified: WallTime
    }

    private let lifecycle: LifecycleConfiguration
    private let now: WallTime
    private var key: String?
    /// How many noncurrent versions of the key came already.
    private var noncurrent = 0
    /// When the version that came last replaced the one that comes next.
    private var replaced: WallTime?
    /// A marker that goes if nothing is under it.
    private var marker: Deletion?

    init(_ lifecycle: LifecycleConfiguration, now: WallTime) {
        self.lifecycle = lifecycle
        self.now = now
    }

    /// The versions of a key come together, the newest first.
    mutating func take(_ version: ListedVersion) -> [Deletion] {
        let info = version.info
        var deletions: [Deletion] = []
        if info.key != key {
            deletions = finish()
            (key, noncurrent, replaced) = (info.key, 0, nil)
        }
        marker = nil
        defer { replaced = info.modified }
        let subject = LifecycleConfiguration.Subject(
            key: info.key, size: info.size, tags: TagSet(of: info).tags, modified: info.modified)
        if version.isLatest {
            let isDue = lifecycle.expiration(of: subject).map { $0.time <= now } ?? false
            if info.isDeleteMarker {
                if isDue || lifecycle.removesLonelyDeleteMarker(of: info.key) {
                    marker = deletion(.marker, info)
                }
            } else if isDue {
                var deletion = deletion(.object, info)
                deletion.version = nil
                deletions.append(deletion)
            }
            return deletions
        }
        let time = lifecycle.noncurrentExpiration(
            of: subject, since: replaced ?? info.modified, newer: noncurrent)
        noncurrent += 1
        if let time, time <= now {
            deletions.append(deletion(info.isDeleteMarker ? .marker : .version, info))
        }
        return deletions
    }

    private func deletion(_ what: Deletion.What, _ info: ObjectInfo) -> Deletion {
        Deletion(
            what: what, key: info.key, version: info.versionID ?? "null", modified: info.modified)
    }

    mutating func finish() -> [Deletion] {
        defer { marker = nil }
        return marker.map { [$0] } ?? []
    }
}
