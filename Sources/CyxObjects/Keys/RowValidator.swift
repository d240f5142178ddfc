internal import CyxCore
internal import CyxCrypto
package import CyxTables
internal import Synchronization

/// What custodians check of objects' rows without any secret (`TablesConfiguration.validate`).
package enum ObjectRowRules {
    /// Merge tables whose removed elements stay removed.
    package static let twoPhaseTables: Set<TableID> = [.holders, .references]
    /// Tables that listings are made of (A9).
    package static let loggedTables: Set<TableID> = [.heads, .versions]
    /// Registers that only custodians write: a standing is what the audited peer's custodians have
    /// counted.
    package static let custodianTables: Set<TableID> = [.standings]
    /// Anybody may claim to hold something. A row takes some 180 such claims, almost four times what
    /// the widest code needs, from those who are none of its at most 9 custodians; these keep the
    /// rest to write down what they repair.
    package static let openRowBytes: [TableID: Int] = [.holders: 64 << 10]

    /// Why `value` must not be stored at `key`; nil if it may. For a merge row, it is that of
    /// `element`.
    ///
    /// Rows of an account lie where nobody else may write (`OwnedPosition`), but for names of buckets
    /// and IDs of access keys, which are anybody's to take.
    package static func validate(
        _ key: RowKey, _ element: [UInt8]?, _ value: [UInt8]
    ) -> String? {
        switch key.table {
        case .buckets, .accountBuckets, .heads, .versions, .manifests, .layouts, .segments,
            .uploads, .parts,
            .pins, .leases, .accessKeys, .revokedTokens, .shares, .grants:
            return validateSigned(key, value)
        case .holders:
            return validateReceipt(key, element, value)
        case .references:
            return validateReference(value)
        case .beacons, .tallies, .standings, .evidence, .verdicts:
            return AuditRows.validate(key, value)
        default:
            return nil
        }
    }

    private static func validateSigned(_ key: RowKey, _ value: [UInt8]) -> String? {
        let name = fingerprint(key, value)
        if known.withLock({ $0.contains(name) }) { return nil }
        do throws(RowError) {
            let account: AccountID
            if key.table == .segments, key.suffix.isEmpty {
                account = try SegmentShape.verified(value, of: SegmentID(key.position)).account
                guard SegmentShape.life(value) == .live || isOfAccount(value) else {
                    return "a delegate condemns no segment"
                }
            } else {
                account = try Rows.verify(value, at: key).account
            }
            let isNamed = [.buckets, .grants].contains(key.table)
            if !isNamed, !owns(account, key) { return "another account's row" }
        } catch { return "\(error)" }
        known.withLock { known in
            if known.count >= knownCapacity { known.removeAll(keepingCapacity: true) }
            known.insert(name)
        }
        return nil
    }

    /// Whether the account itself signed a row that was found good, not a delegate.
    private static func isOfAccount(_ value: [UInt8]) -> Bool {
        do { return try SignedRow(protobuf: value).certificate.isEmpty } catch { return false }
    }

    /// Rows that were found good: a signature costs a hundred times what its fingerprint does, and
    /// listings read the same rows again and again.
    private static let known = Mutex<Set<Digest>>([])
    private static let knownCapacity = 1 << 15

    private static func fingerprint(_ key: RowKey, _ value: [UInt8]) -> Digest {
        var writer = ByteWriter(capacity: 64)
        writer.write(key.table.rawValue)
        writer.write(key.position)
        writer.write(UInt16(truncatingIfNeeded: key.suffix.count))
        writer.write(key.suffix)
        var hasher = BLAKE3.Hasher()
        hasher.update(writer.bytes)
        hasher.update(value)
        return hasher.finalize()
    }

    /// A reference's form. Only the segment's owner can tell what one says, and goes by the cipher's
    /// tag: nine signatures checked within every write would buy nobody anything.
    private static func validateReference(_ value: [UInt8]) -> String? {
        guard value.count <= ObjectLimits.referenceBytes else { return "too long a reference" }
        do { _ = try SignedRow(protobuf: value) } catch { return "not a reference" }
        return nil
    }

    /// A receipt's form and place, and that it is the one which its element names, so that nobody
    /// spoils another's by writing over it. The signature is checked by the writer, by the custodians
    /// that watch the segment (`Repairer`), by auditors and by readers: a false entry costs them a
    /// check and never integrity (B1), while checking 14 signatures at each of 9 custodians within
    /// the write would cost more than storing a small object.
    private static func validateReceipt(
        _ key: RowKey, _ element: [UInt8]?, _ value: [UInt8]
    ) -> String? {
        let receipt: StoreReceipt
        do { receipt = try StoreReceipt(protobuf: value) } catch { return "not a store receipt" }
        guard let claim = receipt.claim else { return "not a store receipt" }
        guard claim.shard.segment.digest == key.position else {
            return "a receipt of another segment"
        }
        return claim.entry.element == element ? nil : "a receipt of another entry"
    }
}
