internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// An owner's signed order to drop a segment's shards.
struct SegmentDeletion: Equatable {
    var segment: SegmentID
    var account: AccountID

    private static func key(_ segment: SegmentID) -> RowKey {
        RowKey(table: .segments, position: segment.digest, suffix: Array("delete".utf8))
    }

    static func signed(_ segment: SegmentID, by signing: SigningKey) -> [UInt8] {
        Rows.sign(segment.bytes, at: key(segment), with: signing)
    }

    /// Nil unless `bytes` are what `signed` made.
    init?(verifying bytes: [UInt8]) {
        do {
            guard let segment = SegmentID(bytes: try SignedRow(protobuf: bytes).payload) else {
                return nil
            }
            self.segment = segment
            account = try Rows.verify(bytes, at: SegmentDeletion.key(segment)).account
        } catch { return nil }
    }
}

extension SegmentShape {
    /// Whose segment a signed core makes it; nil for anything that is no core of `segment`.
    static func owner(_ signed: [UInt8], of segment: SegmentID) -> AccountID? {
        do { return try verified(signed, of: segment).account } catch { return nil }
    }
}
