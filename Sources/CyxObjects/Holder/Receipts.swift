package import CyxCore
package import CyxCrypto
internal import Synchronization

/// A holder's signed word that it keeps a shard file, as an element of the segment's holder row.
package struct HolderEntry: Hashable, Sendable {
    package var index: Int
    package var peer: PeerID
    package var store: StoreID
    /// The beginning of the receipt's hash: nobody can put another receipt in its place. An entry
    /// that was retired stays so, and its peer may take the shard again with a new receipt.
    package var receiptHash: [UInt8]

    package static let hashBytes = 16

    /// What is held, whichever receipt says so.
    package struct File: Hashable, Sendable {
        var index: Int
        var peer: PeerID
        var store: StoreID
    }

    package var file: File { File(index: index, peer: peer, store: store) }

    package init(index: Int, peer: PeerID, store: StoreID, receiptHash: [UInt8]) {
        self.index = index
        self.peer = peer
        self.store = store
        self.receiptHash = receiptHash
    }

    private static let byteCount = 2 + 2 * Digest.byteCount + hashBytes

    /// index ‖ peer ‖ store ID ‖ hash of the receipt.
    package var element: [UInt8] {
        var writer = ByteWriter(capacity: HolderEntry.byteCount)
        writer.write(UInt16(truncatingIfNeeded: index))
        writer.write(peer.digest)
        writer.write(store.digest)
        writer.write(receiptHash)
        return writer.bytes
    }

    package init(element: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(element.span.bytes)
        index = Int(try reader.readUInt16())
        peer = PeerID(try reader.readDigest())
        store = StoreID(try reader.readDigest())
        receiptHash = try reader.readBytes(HolderEntry.hashBytes)
        try reader.finish()
        guard index < ObjectLimits.shards else { throw .outOfRange(field: "index") }
    }
}

extension StoreReceipt {
    private static let context = Array("cyx store receipt v2\0".utf8)
    /// Makes two receipts of one shard file differ.
    package static let nonceBytes = 16

    private var signedBytes: [UInt8] {
        var writer = ByteWriter(capacity: 192)
        writer.write(StoreReceipt.context)
        writer.write(segment)
        writer.write(index)
        writer.write(root)
        writer.write(store)
        writer.write(nonce)
        writer.write(fileBytes)
        return writer.bytes
    }

    /// The receipt of the peer with the key `signing` for a file of `fileBytes` with that root.
    package static func signed(
        _ shard: ShardID, root: Digest, fileBytes: Int, store: StoreID, nonce: [UInt8],
        by signing: SigningKey
    ) -> StoreReceipt {
        var receipt = StoreReceipt(
            peerKey: signing.verifyingKey.bytes, segment: shard.segment.bytes,
            index: UInt32(shard.index), root: root.bytes, store: store.bytes, nonce: nonce,
            fileBytes: UInt64(fileBytes))
        receipt.signature = signing.sign(receipt.signedBytes)
        return receipt
    }

    /// Whether the key inside signed it.
    package var isSigned: Bool {
        guard let key = VerifyingKey(bytes: peerKey), signature.count == SigningKey.signatureSize
        else { return false }
        let name = fingerprint
        if let known = StoreReceipt.known.withLock({ $0[name] }) { return known }
        let isSigned = key.isValid(signature: signature, for: signedBytes)
        StoreReceipt.known.withLock { known in
            if known.count >= StoreReceipt.knownCapacity { known.removeAll(keepingCapacity: true) }
            known[name] = isSigned
        }
        return isSigned
    }

    /// Receipts that were looked at, and whether their signatures are good: rows are read again and
    /// again, and whoever stuffs one with false receipts is to cost each reader their check once.
    private static let known = Mutex<[Digest: Bool]>([:])
    private static let knownCapacity = 1 << 15

    /// Tells receipts apart, their signatures too.
    private var fingerprint: Digest { BLAKE3.hash(signedBytes + peerKey + signature) }

    /// What this receipt names, its signature not looked at; nil if a field is not what it must be.
    package var claim: (shard: ShardID, root: Digest, entry: HolderEntry)? {
        guard let key = VerifyingKey(bytes: peerKey), let root = Digest(bytes: root),
            let shard = ShardID(segment: segment, index: index),
            let store = StoreID(bytes: store), nonce.count == StoreReceipt.nonceBytes,
            fileBytes > 0, fileBytes <= UInt64(ShardFile.bytes),
            signature.count == SigningKey.signatureSize
        else { return nil }
        let entry = HolderEntry(
            index: shard.index, peer: key.peerID, store: store,
            receiptHash: Array(fingerprint.bytes.prefix(HolderEntry.hashBytes)))
        return (shard, root, entry)
    }

    /// The entry that this receipt proves; nil unless `peer` signed it for that shard file.
    func entry(of shard: ShardID, root: Digest, peer: PeerID) -> HolderEntry? {
        guard let claim, claim.shard == shard, claim.root == root, claim.entry.peer == peer,
            isSigned
        else { return nil }
        return claim.entry
    }

    /// Whether this is the word of `entry`'s own peer and store for that file of `shape`: what a
    /// custodian goes by before it counts, audits or retires an entry.
    package func proves(_ entry: HolderEntry, in shape: SegmentShape) -> Bool {
        guard let claim, claim.entry == entry, claim.shard.segment == shape.id,
            entry.index < shape.roots.count, claim.root == shape.roots[entry.index],
            fileBytes == UInt64(shape.fileBytes)
        else { return false }
        return isSigned
    }
}
