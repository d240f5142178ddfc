internal import CyxCore
internal import CyxCrypto
package import CyxTables
internal import Synchronization

/// What custodians check of objects' rows without any secret (`TablesConfiguration.validate`).
package enum ObjectRowRules {
    /// Merge tables whose removed elements stay removed.
    package static let twoPhaseTables: Set<TableID> = [.holders, .references]

    /// Why `value` must not be stored at `key`; nil if it may. For a merge row, `value` is an
    /// element's.
    ///
    /// Who may write where is not checked here: the owner of a head is known to nobody but its
    /// readers, who cannot open what another account wrote.
    package static func validate(_ key: RowKey, _ value: [UInt8]) -> String? {
        switch key.table {
        case .buckets, .accountBuckets, .heads, .manifests, .layouts, .segments, .uploads, .parts:
            return validateSigned(key, value)
        case .holders:
            return validateReceipt(key, value)
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
            } else {
                account = try Rows.verify(value, at: key).account
            }
            if key.table == .accountBuckets, account.digest != key.position {
                return "an account's list of buckets is its own"
            }
        } catch { return "\(error)" }
        known.withLock { known in
            if known.count >= knownCapacity { known.removeAll(keepingCapacity: true) }
            known.insert(name)
        }
        return nil
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

    /// A receipt's form and place. The signature is checked by the writer, by the custodians that
    /// watch the segment (`Repairer`) and by auditors: a false entry costs a reader one more request
    /// and never integrity (B1), while checking 14 signatures at each of 9 custodians within the
    /// write would cost more than storing a small object.
    private static func validateReceipt(_ key: RowKey, _ value: [UInt8]) -> String? {
        let receipt: StoreReceipt
        do { receipt = try StoreReceipt(protobuf: value) } catch { return "not a store receipt" }
        guard let claim = receipt.claim else { return "not a store receipt" }
        return claim.shard.segment.digest == key.position ? nil : "a receipt of another segment"
    }
}
