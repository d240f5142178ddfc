package import CyxCore
package import CyxCrypto
internal import CyxTables

/// The keys of one account: all of them, derived from its seed (`decisions.md` B3), or those that a
/// delegate has for one of its buckets (E).
package struct AccountKeys: Sendable {
    package static let seedSize = 32

    private enum Secrets: Sendable {
        case root([UInt8])
        case bucket(BucketKeys)
    }

    package let signer: RowSigner
    package let account: AccountID
    private let secrets: Secrets

    /// `seed`: 32 secret bytes.
    package init(seed: [UInt8]) {
        precondition(seed.count == AccountKeys.seedSize, "an account's seed has 32 bytes")
        signer = RowSigner(
            SigningKey(
                seed: BLAKE3.deriveKey(
                    context: "cyxcloud v1 account signing key", seed, count: 32)))
        account = signer.account
        secrets = .root(
            BLAKE3.deriveKey(context: "cyxcloud v1 account bucket root", seed, count: 32))
    }

    /// What a delegate has: its own key with its certificate, and the keys of one bucket.
    init(delegate signer: RowSigner, bucket: BucketKeys) {
        precondition(signer.certificate?.bucket == bucket.bucket, "a delegate of the bucket's")
        self.signer = signer
        account = signer.account
        secrets = .bucket(bucket)
    }

    /// What signs in the account's name.
    package var signing: SigningKey { signer.key }

    /// Whether these are all of the account's keys. A delegate's open one bucket, and none of the
    /// account's own rows.
    var areWhole: Bool {
        if case .root = secrets { true } else { false }
    }

    /// Whether these open that bucket.
    func reach(_ bucket: Digest) -> Bool {
        switch secrets {
        case .root: true
        case .bucket(let keys): keys.bucket == bucket
        }
    }

    private var root: [UInt8] {
        guard case .root(let root) = secrets else {
            preconditionFailure("a delegate was asked for what only the account has")
        }
        return root
    }

    /// Seals the account's own rows, such as its list of buckets.
    var rowKey: Digest {
        BLAKE3.deriveKey(context: "cyxcloud v1 account row key", root)
    }

    /// Signs what gateways of the account hand out for each other to take back, such as tokens: all
    /// of them have the seed, and nobody else needs to check it.
    package var tokenKey: SigningKey {
        // A delegate's tokens would be no other gateway's business; none are made of them.
        let secret = if case .root(let root) = secrets { root } else { signing.seed }
        return SigningKey(
            seed: BLAKE3.deriveKey(context: "cyxcloud v1 account token key", secret, count: 32))
    }

    /// Seals what refers to segments. The account opens what its delegates have sealed, too.
    var referenceKey: Digest {
        switch secrets {
        case .root: rowKey
        case .bucket(let keys): keys.row
        }
    }

    /// The keys of the bucket whose random ID is `bucket`, which these must `reach`.
    package func keys(for bucket: Digest) -> BucketKeys {
        switch secrets {
        case .root(let root):
            return BucketKeys(material: root + bucket.bytes, bucket: bucket, account: account)
        case .bucket(let keys):
            precondition(keys.bucket == bucket, "a delegate was asked for another bucket's keys")
            return keys
        }
    }

    /// A name for a segment that is about to be stored; a delegate's tells whose it is.
    func newSegment(random: Digest) -> SegmentID {
        switch secrets {
        case .root: .owned(by: account, random: random)
        case .bucket(let keys):
            SegmentID(OwnedPosition.segment(of: keys.bucket, account, random: random))
        }
    }
}

/// The keys of one bucket: one for each purpose, each derived under its own context.
package struct BucketKeys: Sendable {
    package let bucket: Digest
    /// Turns key names into row positions.
    let name: Digest
    /// Turns contents into chunk keys: equal data of one bucket is equal ciphertext.
    let dedup: Digest
    /// Seals rows.
    let row: Digest
    /// The first 32 bits of every row of the bucket (A2): a listing is a scan of one prefix.
    let prefix: UInt32
    /// Who writes the bucket's rows.
    private let account: AccountID

    init(material: [UInt8], bucket: Digest, account: AccountID) {
        self.bucket = bucket
        self.account = account
        name = BLAKE3.deriveKey(context: "cyxcloud v1 bucket name key", material)
        dedup = BLAKE3.deriveKey(context: "cyxcloud v1 bucket dedup key", material)
        row = BLAKE3.deriveKey(context: "cyxcloud v1 bucket row key", material)
        prefix = BucketKeys.prefix(of: bucket)
    }

    /// What `init(material:bucket:account:)` derived elsewhere, for who may not derive it.
    init(name: Digest, dedup: Digest, row: Digest, bucket: Digest, account: AccountID) {
        self.bucket = bucket
        self.account = account
        self.name = name
        self.dedup = dedup
        self.row = row
        prefix = BucketKeys.prefix(of: bucket)
    }

    static let prefixBits = 32

    /// Everybody who knows the bucket's ID can tell.
    static func prefix(of bucket: Digest) -> UInt32 {
        UInt32(
            truncatingIfNeeded: BLAKE3.hash(Array("cyx bucket prefix".utf8) + bucket.bytes).word0
                >> 32)
    }

    /// Where the rows of the object `key` lie: H(bucket)[0..<32] ‖ PRF(name) (A2), of which 96 bits
    /// tell a bucket's names apart, and the account's half.
    func position(of key: String) -> Digest {
        var digest = BLAKE3.keyedHash(key: name, Array(key.utf8))
        digest.word0 = UInt64(prefix) << 32 | (digest.word0 & 0xFFFF_FFFF)
        return OwnedPosition.bound(digest, to: account)
    }

    /// The lowest position of the bucket.
    var firstPosition: Digest { Digest(UInt64(prefix) << 32, 0, 0, 0) }

    func head(_ key: String) -> RowKey {
        RowKey(table: .heads, position: position(of: key))
    }

    /// Where the version of the write `write` goes when another one takes its place.
    func earlier(_ position: Digest, write: [UInt8]) -> RowKey {
        RowKey(table: .versions, position: position, suffix: write)
    }

    /// Page `page` of the manifest of the write `write` at `position`.
    func manifestPage(_ position: Digest, write: [UInt8], page: Int) -> RowKey {
        RowKey(table: .manifests, position: position, suffix: write + bigEndian(page))
    }

    func layout(_ position: Digest, write: [UInt8]) -> RowKey {
        RowKey(table: .layouts, position: position, suffix: write)
    }

    func layoutPage(
        _ position: Digest, write: [UInt8], generation: UInt64, page: Int
    ) -> RowKey {
        RowKey(
            table: .layouts, position: position,
            suffix: write + bigEndian(Int(truncatingIfNeeded: generation)) + bigEndian(page))
    }

    func upload(_ position: Digest, _ upload: [UInt8]) -> RowKey {
        RowKey(table: .uploads, position: position, suffix: upload)
    }

    func part(_ position: Digest, _ upload: [UInt8], _ number: Int) -> RowKey {
        RowKey(table: .parts, position: position, suffix: upload + bigEndian(number))
    }

    private func bigEndian(_ number: Int) -> [UInt8] {
        var writer = ByteWriter(capacity: 4)
        writer.write(UInt32(truncatingIfNeeded: number))
        return writer.bytes
    }
}

/// Names of buckets.
enum BucketNames {
    /// Where the bucket `name` lies: names are global within a network.
    static func row(_ name: String) -> RowKey {
        RowKey(
            table: .buckets, position: BLAKE3.hash(Array("cyx bucket\0".utf8) + Array(name.utf8)))
    }
}
