internal import CyxCore
internal import CyxCrypto
internal import CyxErasure
internal import Synchronization

/// The next bytes of every shard file of a segment.
struct ShardBatch: Sendable {
    var segment: SegmentID
    var code: Redundancy
    /// Where `pieces` begin in every file.
    var offset: Int
    /// By index; all of one length.
    var pieces: [[UInt8]]
    /// With the last batch of a segment.
    var shape: SegmentShape?
    /// `shape`, signed by the owner.
    var signedCore: [UInt8] = []
}

/// Turns a stream of ciphertext chunks into the shard files of one segment after another.
///
/// Called from the blocking pool, one call at a time; the lock only makes that safe to state.
final class SegmentEncoder: Sendable {
    private struct Segment {
        var id: SegmentID
        var code: Redundancy
        var coder: ReedSolomon
        var trees: [ShardTree.Builder]
        var pending: [[UInt8]]
        /// How long each file's buffer was when it was last taken.
        var lastBatch = 0
        var offset = 0
        var lengths: [Int] = []
        var contentBytes = 0

        init(id: SegmentID, code: Redundancy) {
            self.id = id
            self.code = code
            coder = Coders.coder(for: code)
            trees = Array(repeating: ShardTree.Builder(), count: code.shards)
            pending = Array(repeating: [], count: code.shards)
        }
    }

    private let state = Mutex<Segment?>(nil)
    private let signer: RowSigner
    private let codesParity: Bool

    /// `codesParity`: false for a writer that makes parity up.
    init(signer: RowSigner, codesParity: Bool = true) {
        self.signer = signer
        self.codesParity = codesParity
    }

    /// Shard bytes that wait in each file's buffer; 0 without a segment.
    var pendingBytes: Int { state.withLock { $0?.pending[0].count ?? 0 } }

    var hasSegment: Bool { state.withLock { $0 != nil } }

    /// Whether the open segment has room for a chunk of that many ciphertext bytes.
    func hasRoom(for length: Int) -> Bool {
        state.withLock { segment in
            guard let segment else { return false }
            return segment.contentBytes + length - ObjectLimits.tagBytes
                <= ObjectLimits.segmentBytes
                && segment.lengths.count < ObjectLimits.segmentChunks
        }
    }

    func begin(_ id: SegmentID, code: Redundancy) {
        state.withLock { segment in
            precondition(segment == nil, "a segment is finished before the next begins")
            segment = Segment(id: id, code: code)
        }
    }

    /// Codes one chunk. `buffer` holds `length` bytes of ciphertext and zeros up to k whole shards.
    func add(_ buffer: UnsafeRawBufferPointer, length: Int) {
        state.withLock { optional in
            guard var segment = optional.take() else { preconditionFailure("no segment is open") }
            let code = segment.code
            let size = code.shardBytes(length)
            precondition(buffer.count == size * code.dataShards, "chunks are padded to k shards")
            if segment.pending[0].isEmpty, segment.lastBatch > 0 {
                // Batches are of about one size: room at once instead of growing step by step.
                for index in segment.pending.indices {
                    segment.pending[index].reserveCapacity(segment.lastBatch)
                }
            }
            for index in 0..<code.dataShards {
                let shard = UnsafeRawBufferPointer(
                    rebasing: buffer[index * size..<(index + 1) * size])
                segment.pending[index].append(contentsOf: shard)
                segment.trees[index].update(shard)
            }
            withUnsafeTemporaryAllocation(
                byteCount: size * code.parityShards, alignment: 64
            ) { parity in
                segment.coder.encode(buffer, into: parity)
                if !codesParity { for place in parity.indices { parity[place] ^= 0x5a } }
                for index in 0..<code.parityShards {
                    let shard = UnsafeRawBufferPointer(
                        rebasing: parity[index * size..<(index + 1) * size])
                    segment.pending[code.dataShards + index].append(contentsOf: shard)
                    segment.trees[code.dataShards + index].update(shard)
                }
            }
            segment.lengths.append(length)
            segment.contentBytes += length - ObjectLimits.tagBytes
            optional = segment
        }
    }

    /// Codes one chunk of ciphertext that is not padded yet.
    func add(padding ciphertext: [UInt8], code: Redundancy) {
        let padded = code.shardBytes(ciphertext.count) * code.dataShards
        withUnsafeTemporaryAllocation(byteCount: padded, alignment: 64) { buffer in
            buffer.copyBytes(from: ciphertext)
            UnsafeMutableRawBufferPointer(rebasing: buffer[ciphertext.count...])
                .initializeMemory(as: UInt8.self, repeating: 0)
            add(UnsafeRawBufferPointer(buffer), length: ciphertext.count)
        }
    }

    /// Takes what is pending; with `finish`, the segment ends and its core is signed.
    func take(finish created: WallTime?) -> ShardBatch {
        state.withLock { optional in
            guard var segment = optional.take() else { preconditionFailure("no segment is open") }
            var batch = ShardBatch(
                segment: segment.id, code: segment.code, offset: segment.offset,
                pieces: segment.pending)
            guard let created else {
                segment.lastBatch = batch.pieces[0].count
                segment.offset += segment.lastBatch
                segment.pending = Array(repeating: [], count: segment.code.shards)
                optional = segment
                return batch
            }
            let shape = SegmentShape(
                id: segment.id, code: segment.code, chunkLengths: segment.lengths,
                roots: segment.trees.map { $0.finalize().root }, created: created)
            batch.shape = shape
            batch.signedCore = shape.signed(by: signer)
            return batch
        }
    }
}
