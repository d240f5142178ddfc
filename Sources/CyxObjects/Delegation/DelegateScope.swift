package import CyxCore
internal import CyxCrypto
package import CyxTables

/// The rows that a delegate may write, as far as the place of a row tells: those of its bucket's
/// objects, and of the segments that it stores itself.
///
/// Everything else is the account's own: its lists of buckets, keys, links, tokens and pins, its
/// lease, the row of the bucket's name, and segments that somebody else stored, whoever's bucket they
/// are for. So a delegate neither condemns nor deletes what others may need; what it overwrites or
/// deletes leaves segments behind, which the account's own gateways collect (B5).
package struct DelegateScope: Hashable, Sendable {
    package var account: AccountID
    package var bucket: Digest
    package var operations: DelegateCertificate.Operations

    private static let bucketTables: Set<TableID> = [
        .heads, .versions, .manifests, .layouts, .uploads, .parts,
    ]
    private static let byteCount = Digest.byteCount + 4

    package init(_ certificate: DelegateCertificate) {
        account = certificate.account
        bucket = certificate.bucket
        operations = certificate.operations
    }

    /// What `bytes` made of a scope; nil for anything else.
    init?(_ authority: RowAuthority) {
        var reader = ByteReader(authority.scope.span.bytes)
        do {
            account = authority.account
            bucket = try reader.readDigest()
            operations = .init(rawValue: try reader.readUInt32())
            try reader.finish()
        } catch { return nil }
    }

    /// What the tables carry for the guard.
    var authority: RowAuthority {
        var writer = ByteWriter(capacity: DelegateScope.byteCount)
        writer.write(bucket)
        writer.write(operations.rawValue)
        return RowAuthority(account, scope: writer.bytes)
    }

    /// Whether a reference is for an object of the bucket.
    func covers(_ reference: SegmentRefRow) -> Bool {
        guard let position = Digest(bytes: reference.position) else { return false }
        return reference.bucket == bucket.bytes
            && writes(RowKey(table: .heads, position: position))
    }

    /// Whether the row is the delegate's to write, and to remove.
    package func writes(_ key: RowKey) -> Bool {
        guard operations.contains(.write), OwnedPosition.isOwn(key.position, of: account) else {
            return false
        }
        switch key.table {
        case .segments, .references:
            return key.suffix.isEmpty && OwnedPosition.isSegment(key.position, of: bucket)
        case let table where DelegateScope.bucketTables.contains(table):
            return key.position.word0 >> 32 == UInt64(BucketKeys.prefix(of: bucket))
        default: return false
        }
    }
}

extension OwnedPosition {
    private static let segmentContext = Array("cyx bucket segment v1\0".utf8)

    /// The place of a segment that a delegate for `bucket` stores. Half of what an owner chooses freely
    /// binds it to the bucket, so that custodians can tell it from all other segments of the account;
    /// 64 random bits are left, of which a bucket of 10 million segments repeats one with a
    /// probability of 3 in a million.
    static func segment(of bucket: Digest, _ account: AccountID, random: Digest) -> Digest {
        let free = Digest(random.word0, binding(random.word0, to: bucket), 0, 0)
        return bound(free, to: account)
    }

    static func isSegment(_ position: Digest, of bucket: Digest) -> Bool {
        position.word1 == binding(position.word0, to: bucket)
    }

    private static func binding(_ random: UInt64, to bucket: Digest) -> UInt64 {
        var writer = ByteWriter(capacity: segmentContext.count + Digest.byteCount + 8)
        writer.write(segmentContext)
        writer.write(bucket)
        writer.write(random)
        return BLAKE3.hash(writer.bytes).word0
    }
}
