package import CyxCore
package import CyxTables

extension TableID {
    /// Bucket names of the whole network (register).
    package static let buckets = TableID(rawValue: 0x10)
    /// The buckets of one account (merge row).
    package static let accountBuckets = TableID(rawValue: 0x11)
    /// Current versions of objects (register): the commit point.
    package static let heads = TableID(rawValue: 0x12)
    /// Versions that are no longer their keys' current ones (register).
    package static let versions = TableID(rawValue: 0x26)
    /// Pages of manifests that do not fit their head (register, written once).
    package static let manifests = TableID(rawValue: 0x14)
    /// Where versions lie (register), and pages of those that are long.
    package static let layouts = TableID(rawValue: 0x16)
    /// Segment cores (register, written once).
    package static let segments = TableID(rawValue: 0x18)
    /// Who holds which index of a segment (merge row, two-phase).
    package static let holders = TableID(rawValue: 0x19)
    /// Who needs a segment (merge row, two-phase).
    package static let references = TableID(rawValue: 0x1b)
    /// Multipart uploads (register).
    package static let uploads = TableID(rawValue: 0x1a)
    /// Their parts (register).
    package static let parts = TableID(rawValue: 0x1c)
    /// Versions that an account keeps, whatever becomes of their keys (register).
    package static let pins = TableID(rawValue: 0x1e)
    /// Until when an account has its data kept (register).
    package static let leases = TableID(rawValue: 0x28)
    /// Keys of an account that may do part of what it may (register).
    package static let accessKeys = TableID(rawValue: 0x2a)
    /// Bearer tokens of an account that were given up (register).
    package static let revokedTokens = TableID(rawValue: 0x2c)
    /// Links to what an account shares (register).
    package static let shares = TableID(rawValue: 0x2e)
    /// Access keys for gateways without their account's seed (register).
    package static let grants = TableID(rawValue: 0x30)
    /// What the audits of one period are drawn from (register).
    package static let beacons = TableID(rawValue: 0x20)
    /// What auditors found of one peer in one window (merge row).
    package static let tallies = TableID(rawValue: 0x21)
    /// How a peer has done so far (register).
    package static let standings = TableID(rawValue: 0x22)
    /// Proofs of a peer's wrong answers in one window (merge row).
    package static let evidence = TableID(rawValue: 0x23)
    /// Peers that are not in good standing (one merge row).
    package static let verdicts = TableID(rawValue: 0x25)
}

/// Keys of rows that do not depend on an account's secrets.
package enum ObjectRows {
    /// A segment's core lies at the segment's own ID.
    package static func core(_ segment: SegmentID) -> RowKey {
        RowKey(table: .segments, position: segment.digest)
    }

    package static func holders(_ segment: SegmentID) -> RowKey {
        RowKey(table: .holders, position: segment.digest)
    }

    package static func references(_ segment: SegmentID) -> RowKey {
        RowKey(table: .references, position: segment.digest)
    }

    package static func accountBuckets(_ account: AccountID) -> RowKey {
        RowKey(table: .accountBuckets, position: account.digest)
    }
}

/// Sizes that rows of objects keep to.
enum ObjectLimits {
    /// Objects up to this size lie in their head row (architecture §9).
    static let inlineBytes = 4 << 10
    /// Manifests up to this size do.
    static let inlineManifestBytes = 4 << 10
    /// Manifest and layout pages; a page and its envelope fit `RowLimits.valueBytes`.
    static let pageBytes = 512 << 10
    /// Pages of one manifest: 512 MiB of them describe about 7 TiB.
    static let pages = 1024
    /// Keys are at most this long in UTF-8 (S3).
    static let keyBytes = 1024
    /// Settings of one bucket together, as they are encoded; its row must fit `RowLimits.valueBytes`.
    static let settingsBytes = 512 << 10
    /// System headers and user metadata of one object together.
    static let headerBytes = 64 << 10
    /// One reference to a segment, sealed and signed, perhaps with a delegate's certificate.
    static let referenceBytes = 768
    /// Content of a segment, tags not counted.
    static let segmentBytes = 64 << 20
    /// A chunk and its tag.
    static let chunkBytes = 4 << 20 + tagBytes
    static let tagBytes = 16
    /// Most chunks in a segment: tiny parts of a multipart upload do not share one.
    static let segmentChunks = 4096
    /// k and m of the widest code.
    static let dataShards = 32
    static let parityShards = 16
    static let shards = dataShards + parityShards
}
