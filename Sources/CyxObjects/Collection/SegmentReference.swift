internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// Who needs a segment: a version of an object, the upload whose part it is, or a pin.
struct SegmentReference: Hashable, Sendable {
    enum Owner: Hashable, Sendable {
        /// The write that the version has its name from.
        case version([UInt8])
        case upload([UInt8])
        case pin([UInt8])
    }

    var bucket: Digest
    /// Of the object's rows.
    var position: Digest
    var owner: Owner

    private static let elementBytes = 16

    /// Its name among a segment's references. Whoever cleans up after a write makes it again.
    func element(of segment: SegmentID) -> [UInt8] {
        let kind: [UInt8]
        switch owner {
        case .version(let write): kind = [0] + write
        case .upload(let upload): kind = [1] + upload
        case .pin(let pin): kind = [2] + pin
        }
        let digest = BLAKE3.hash(
            Array("cyx segment reference v1\0".utf8) + segment.bytes + position.bytes + kind)
        return Array(digest.bytes.prefix(SegmentReference.elementBytes))
    }

    func row(created: WallTime) -> SegmentRefRow {
        var row = SegmentRefRow(
            bucket: bucket.bytes, position: position.bytes, createdMs: created.milliseconds)
        switch owner {
        case .version(let write): row.write = write
        case .upload(let upload): row.upload = upload
        case .pin(let pin): row.pin = pin
        }
        return row
    }

    init(bucket: Digest, position: Digest, owner: Owner) {
        self.bucket = bucket
        self.position = position
        self.owner = owner
    }

    init(_ bucket: BucketKeys, _ version: VersionID) {
        self.init(
            bucket: bucket.bucket, position: version.position, owner: .version(version.write))
    }

    /// Nil for a row that names nobody.
    init?(_ row: SegmentRefRow) {
        guard let bucket = Digest(bytes: row.bucket), let position = Digest(bytes: row.position),
            [row.write, row.upload, row.pin].count(where: { !$0.isEmpty }) == 1
        else { return nil }
        let owner: Owner =
            if !row.write.isEmpty {
                .version(row.write)
            } else {
                row.upload.isEmpty ? .pin(row.pin) : .upload(row.upload)
            }
        self.init(bucket: bucket, position: position, owner: owner)
    }
}

/// One reference as a segment's row has it.
struct StoredReference: Sendable {
    var element: [UInt8]
    /// Nil where it is the account's and cannot be read: then it counts, and is never taken back.
    var reference: SegmentReference?
    var created: WallTime
}

/// Reads and writes the references of an account's segments.
struct SegmentReferences: Sendable {
    let context: ObjectContext
    let keys: AccountKeys

    func write(_ owners: [SegmentReference], to segment: SegmentID) async throws(TableError) {
        let key = ObjectRows.references(segment)
        let now = context.environment.wallTime()
        let elements = owners.map { owner in
            let sealed = Rows.seal(
                owner.row(created: now), at: key, keys: (keys.referenceKey, keys.signer),
                random: context.environment.random)
            return MergeElement(element: owner.element(of: segment), value: sealed)
        }
        try await context.tables.merge(key, elements)
    }

    func remove(_ elements: [[UInt8]], of segment: SegmentID) async throws(TableError) {
        guard !elements.isEmpty else { return }
        try await context.tables.merge(
            ObjectRows.references(segment),
            elements.map { MergeElement(element: $0, value: nil) })
    }

    /// What refers to a segment, read at a quorum. Rows of other accounts do not count: they could
    /// only keep the segment's owner from ever getting its space back.
    func read(_ segment: SegmentID) async throws(TableError) -> [StoredReference] {
        let key = ObjectRows.references(segment)
        return try await context.tables.readMerge(key).compactMap { element in
            guard let value = element.value, let (sealKey, scope) = opener(of: value) else {
                return nil
            }
            do {
                let row = try Rows.open(SegmentRefRow.self, value, at: key, key: sealKey)
                // Whoever collects looks for the version there, and may leave a fence.
                guard scope?.covers(row) ?? true else { return nil }
                return StoredReference(
                    element: element.element, reference: SegmentReference(row),
                    created: WallTime(milliseconds: row.createdMs))
            } catch {
                return StoredReference(
                    element: element.element, reference: nil,
                    created: context.environment.wallTime())
            }
        }
    }

    /// What opens a reference of the account's: its own key, or that of the bucket whose delegate
    /// wrote it, and what that one may refer for. Nil for everybody else's.
    private func opener(of value: [UInt8]) -> (key: Digest, scope: DelegateScope?)? {
        let row: SignedRow
        do { row = try SignedRow(protobuf: value) } catch { return nil }
        let accountKey = keys.signer.accountKey
        guard row.accountKey == accountKey.bytes else { return nil }
        guard !row.certificate.isEmpty else { return (keys.rowKey, nil) }
        guard let certificate = DelegateCertificate.checked(row.certificate, of: accountKey) else {
            return nil
        }
        return (keys.keys(for: certificate.bucket).row, DelegateScope(certificate))
    }
}
