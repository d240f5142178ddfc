internal import CyxCore
internal import CyxObjects
internal import CyxS3
internal import Synchronization

/// What the documents of a bucket come to, read once.
struct BucketRules: Sendable {
    let access: BucketAccess
    let cors: CORSConfiguration?
    let lifecycle: LifecycleConfiguration?

    init(_ info: BucketInfo, owner: String) throws(S3Error) {
        access = try BucketAccess(info, owner: owner)
        let documents = info.settings.documents
        cors = documents[DocumentName.cors].flatMap {
            do { return try CORSConfiguration(parsing: $0) } catch { return nil }
        }
        lifecycle = documents[DocumentName.lifecycle].flatMap {
            do { return try LifecycleConfiguration(parsing: $0) } catch { return nil }
        }
    }
}

/// The rules of the buckets that were asked for last: reading a long policy for each request would
/// take longer than the request.
final class BucketRulesCache: Sendable {
    /// How many buckets' rules are kept.
    static let capacity = 512

    private struct Entry {
        var owner: String
        var documents: [String: [UInt8]]
        var rules: BucketRules
    }

    private let entries = Mutex<[String: Entry]>([:])

    /// The rules of the bucket as `info` has it.
    func rules(of info: BucketInfo, owner: String) throws(S3Error) -> BucketRules {
        let documents = info.settings.documents
        let known = entries.withLock { $0[info.name] }
        if let known, known.owner == owner, known.documents == documents { return known.rules }
        let rules = try BucketRules(info, owner: owner)
        entries.withLock { entries in
            // Which one goes does not matter much; that one goes does.
            if entries.count >= BucketRulesCache.capacity, entries[info.name] == nil,
                let some = entries.keys.first
            {
                entries[some] = nil
            }
            entries[info.name] = Entry(owner: owner, documents: documents, rules: rules)
        }
        return rules
    }
}
