internal import CyxCore
internal import CyxObjects

/// What a limited access key lets its holder do, of what its account may. Pure.
///
/// No limited key changes what a bucket is (its policy, its ACL, that it exists) or who may read what:
/// who has one could widen it.
struct KeyReach: Equatable, Sendable {
    var limits: AccessKeyLimits

    /// Whether operations on the account as a whole are within reach: `lists` is all that any is.
    func reachesAccount(lists: Bool) -> Bool { lists && limits.rights != .write }

    func shows(bucket: String) -> Bool { limits.bucket == nil || limits.bucket == bucket }

    /// Whether `need` is within reach. `key`: of the object; empty for needs of a bucket.
    /// `listed`: the prefix that a listing is asked for; nil where nothing is listed.
    func allows(_ need: AccessNeed, bucket: String, key: String, listed: String?) -> Bool {
        guard shows(bucket: bucket), rightsAllow(need.action) else { return false }
        switch need.subject {
        case .object: return key.utf8.starts(with: limits.prefix.utf8)
        case .bucket:
            guard isReading(need.action) else { return false }
            guard let listed else { return true }
            return listed.utf8.starts(with: limits.prefix.utf8)
        }
    }

    private func rightsAllow(_ action: String) -> Bool {
        guard !action.hasSuffix("Acl") || isReading(action), action != "BypassGovernanceRetention"
        else { return false }
        switch limits.rights {
        case .all: return true
        case .read: return isReading(action)
        case .write: return !isReading(action) || KeyReach.ofUploads.contains(action)
        }
    }

    /// What a writer must see of its own uploads.
    private static let ofUploads: Set<String> = [
        "ListMultipartUploadParts", "ListBucketMultipartUploads", "GetBucketLocation",
    ]

    private func isReading(_ action: String) -> Bool {
        action.hasPrefix("Get") || action.hasPrefix("List")
    }
}
