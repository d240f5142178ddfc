package import CyxCore
internal import CyxCrypto

/// A holder's signed word that it keeps a shard file, as an element of the segment's holder row.
package struct HolderEntry: Hashable, Sendable {
    package var index: Int
    package var peer: PeerID
    package var store: StoreID
    /// The receipt's: an entry that was retired stays so, and its peer may take the shard again.
    package var nonce: [UInt8]

    package static let nonceBytes = 16

    package init(index: Int, peer: PeerID, store: StoreID, nonce: [UInt8]) {
        self.index = index
        self.peer = peer
        self.store = store
        self.nonce = nonce
    }

    private static let byteCount = 2 + 2 * Digest.byteCount + nonceBytes

    /// index ‖ peer ‖ store ID ‖ nonce.
    package var element: [UInt8] {
        var writer = ByteWriter(capacity: HolderEntry.byteCount)
        writer.write(UInt16(truncatingIfNeeded: index))
        writer.write(peer.digest)
        writer.write(store.digest)
        writer.write(nonce)
        return writer.bytes
    }

    package init(element: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(element.span.bytes)
        index = Int(try reader.readUInt16())
        peer = PeerID(try reader.readDigest())
        store = StoreID(try reader.readDigest())
        nonce = try reader.readBytes(HolderEntry.nonceBytes)
        try reader.finish()
        guard index < ObjectLimits.shards else { throw .outOfRange(field: "index") }
    }
}

extension StoreReceipt {
    private static let context = Array("cyx store receipt v1\0".utf8)

    private var signedBytes: [UInt8] {
        var writer = ByteWriter(capacity: 192)
        writer.write(StoreReceipt.context)
        writer.write(segment)
        writer.write(index)
        writer.write(root)
        writer.write(store)
        writer.write(nonce)
        return writer.bytes
    }

    /// The receipt of the peer with the key `signing`.
    static func signed(
        segment: SegmentID, index: Int, root: Digest, store: StoreID, nonce: [UInt8],
        by signing: SigningKey
    ) -> StoreReceipt {
        var receipt = StoreReceipt(
            peerKey: signing.verifyingKey.bytes, segment: segment.bytes, index: UInt32(index),
            root: root.bytes, store: store.bytes, nonce: nonce)
        receipt.signature = signing.sign(receipt.signedBytes)
        return receipt
    }

    /// The entry that this receipt proves; nil unless `peer` signed it for that shard file.
    func entry(
        segment: SegmentID, index: Int, root: Digest, peer: PeerID
    ) -> HolderEntry? {
        guard let key = VerifyingKey(bytes: peerKey), key.peerID == peer,
            self.segment == segment.bytes, self.index == UInt32(index), self.root == root.bytes,
            nonce.count == HolderEntry.nonceBytes, let store = StoreID(bytes: self.store),
            key.isValid(signature: signature, for: signedBytes)
        else { return nil }
        return HolderEntry(index: index, peer: peer, store: store, nonce: nonce)
    }
}
