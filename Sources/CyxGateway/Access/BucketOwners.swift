internal import CyxCore
internal import Synchronization

/// Whose the buckets are that were asked for last by others than their owners, or by nobody in
/// particular: without it each such request would read the row of the bucket's name at a quorum.
///
/// That a bucket is nobody's is not remembered, since it may be created at any time.
final class BucketOwners: Sendable {
    static let capacity = 512
    /// As briefly as settings of buckets are remembered.
    static let age = Duration.seconds(5)

    private let entries = Mutex<[String: (owner: String, read: Instant)]>([:])

    /// The canonical user ID of the owner, if that was read lately.
    func owner(of bucket: String, _ now: Instant) -> String? {
        entries.withLock { entries in
            guard let entry = entries[bucket], now - entry.read < BucketOwners.age else {
                return nil
            }
            return entry.owner
        }
    }

    func remember(_ owner: String, of bucket: String, _ now: Instant) {
        entries.withLock { entries in
            // Which one goes does not matter much; that one goes does.
            if entries.count >= BucketOwners.capacity, entries[bucket] == nil,
                let some = entries.keys.first
            {
                entries[some] = nil
            }
            entries[bucket] = (owner, now)
        }
    }

    func forget(_ bucket: String) {
        entries.withLock { $0[bucket] = nil }
    }
}
