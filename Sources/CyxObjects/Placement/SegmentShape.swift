package import CyxCore
package import CyxCrypto
internal import CyxTables

/// A segment's immutable description, checked: its code, its chunks, the roots of its shard files.
package struct SegmentShape: Hashable, Sendable {
    package let id: SegmentID
    package let code: Redundancy
    /// Ciphertext bytes of each chunk, tags included.
    package let chunkLengths: [Int]
    /// Where each chunk's shard begins in every shard file; one more entry holds the file's size.
    package let shardOffsets: [Int]
    /// By index.
    package let roots: [Digest]
    package let created: WallTime

    package init(
        id: SegmentID, code: Redundancy, chunkLengths: [Int], roots: [Digest], created: WallTime
    ) {
        self.id = id
        self.code = code
        self.chunkLengths = chunkLengths
        self.roots = roots
        self.created = created
        var offsets = [0]
        offsets.reserveCapacity(chunkLengths.count + 1)
        for length in chunkLengths {
            offsets.append(offsets[offsets.count - 1] + code.shardBytes(length))
        }
        shardOffsets = offsets
    }

    /// Size of each shard file.
    package var fileBytes: Int { shardOffsets[shardOffsets.count - 1] }

    /// Bytes of every shard file that belong to `chunks`.
    package func shardRange(of chunks: Range<Int>) -> Range<Int> {
        shardOffsets[chunks.lowerBound]..<shardOffsets[chunks.upperBound]
    }

    /// Checks a message from outside.
    package init(_ core: SegmentCore) throws(RowError) {
        let k = Int(core.dataShards)
        let m = Int(core.parityShards)
        guard let id = SegmentID(bytes: core.segment), k > 0, m >= 0,
            k <= ObjectLimits.dataShards, m <= ObjectLimits.parityShards,
            core.roots.count == (k + m) * Digest.byteCount,
            !core.chunkLengths.isEmpty, core.chunkLengths.count <= ObjectLimits.segmentChunks
        else { throw .malformed(.segments) }
        var total = 0
        for length in core.chunkLengths {
            guard length > ObjectLimits.tagBytes, length <= ObjectLimits.chunkBytes else {
                throw .malformed(.segments)
            }
            total += Int(length)
        }
        guard total <= ObjectLimits.segmentBytes + ObjectLimits.chunkBytes else {
            throw .malformed(.segments)
        }
        self.init(
            id: id, code: Redundancy(dataShards: k, parityShards: m),
            chunkLengths: core.chunkLengths.map(Int.init),
            roots: Digests.split(core.roots), created: WallTime(milliseconds: core.createdMs))
    }

    package var message: SegmentCore {
        SegmentCore(
            segment: id.bytes, dataShards: UInt32(code.dataShards),
            parityShards: UInt32(code.parityShards), chunkLengths: chunkLengths.map(UInt32.init),
            roots: Digests.join(roots), createdMs: created.milliseconds)
    }

    /// The signed core: the value of the segment's row, and what holders keep beside the shard.
    package func signed(by key: SigningKey) -> [UInt8] { signed(by: RowSigner(key)) }

    func signed(by signer: RowSigner) -> [UInt8] {
        Rows.sign(message.protobufBytes(), at: ObjectRows.core(id), with: signer)
    }

    /// Reads and checks what `signed` made; also tells whose segment it is.
    package static func verified(
        _ signed: [UInt8], of segment: SegmentID
    ) throws(RowError) -> (shape: SegmentShape, account: AccountID) {
        let (payload, account) = try Rows.verify(signed, at: ObjectRows.core(segment))
        let core: SegmentCore
        do { core = try SegmentCore(protobuf: payload) } catch { throw .malformed(.segments) }
        let shape = try SegmentShape(core)
        guard shape.id == segment else { throw .malformed(.segments) }
        guard OwnedPosition.isOwn(segment.digest, of: account) else { throw .foreign }
        return (shape, account)
    }
}

/// Digests joined into bytes.
enum Digests {
    static func join(_ digests: [Digest]) -> [UInt8] {
        var writer = ByteWriter(capacity: digests.count * Digest.byteCount)
        for digest in digests { writer.write(digest) }
        return writer.bytes
    }

    /// The digests in `bytes`, whose length is a multiple of theirs; an odd rest is ignored.
    static func split(_ bytes: [UInt8]) -> [Digest] {
        bytes.withUnsafeBytes { raw in
            (0..<raw.count / Digest.byteCount).map { index in
                let start = index * Digest.byteCount
                return Digest(
                    rawBytes: UnsafeRawBufferPointer(
                        rebasing: raw[start..<start + Digest.byteCount]))
            }
        }
    }
}

extension SegmentShape {
    /// `verified`, for callers that treat a bad row as one that custodians should have refused.
    static func verifiedOrRejected(
        _ signed: [UInt8], of segment: SegmentID
    ) throws(TableError) -> (shape: SegmentShape, account: AccountID) {
        do { return try verified(signed, of: segment) } catch {
            throw .rejected("\(error)")
        }
    }
}
