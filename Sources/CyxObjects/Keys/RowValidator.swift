internal import CyxCore
internal import CyxCrypto
package import CyxTables

/// What custodians check of objects' rows without any secret (`TablesConfiguration.validate`).
package enum ObjectRowRules {
    /// Merge tables whose removed elements stay removed.
    package static let twoPhaseTables: Set<TableID> = [.holders]

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
        default:
            return nil
        }
    }

    private static func validateSigned(_ key: RowKey, _ value: [UInt8]) -> String? {
        do throws(RowError) {
            let (_, account) = try Rows.verify(value, at: key)
            if key.table == .accountBuckets, account.digest != key.position {
                return "an account's list of buckets is its own"
            }
            if key.table == .segments, key.suffix.isEmpty {
                _ = try SegmentShape.verified(value, of: SegmentID(key.position))
            }
            return nil
        } catch { return "\(error)" }
    }

    private static func validateReceipt(_ key: RowKey, _ value: [UInt8]) -> String? {
        guard let receipt = try? StoreReceipt(protobuf: value),
            let peer = VerifyingKey(bytes: receipt.peerKey)?.peerID,
            let store = StoreID(bytes: receipt.store), receipt.index < UInt32(ObjectLimits.shards)
        else { return "not a store receipt" }
        let entry = HolderEntry(
            index: Int(receipt.index), peer: peer, store: store, nonce: receipt.nonce)
        return receipt.proves(entry, of: SegmentID(key.position))
            ? nil : "the receipt does not prove what it says"
    }
}
