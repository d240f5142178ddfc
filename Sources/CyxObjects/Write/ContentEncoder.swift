internal import CyxCore
internal import CyxCrypto

/// The work on each chunk that needs the processor, but for its MD5: key, encryption, coding, hash
/// trees. One visit to the pool per chunk does all of it.
final class ContentEncoder: Sendable {
    let segments: SegmentEncoder
    private let dedup: Digest

    init(dedup: Digest, signer: RowSigner, codesParity: Bool = true) {
        self.dedup = dedup
        segments = SegmentEncoder(signer: signer, codesParity: codesParity)
    }

    /// For chunks of one bucket among those of others in one segment.
    init(dedup: Digest, segments: SegmentEncoder) {
        self.dedup = dedup
        self.segments = segments
    }

    /// Adds a chunk to the open segment.
    func add(_ chunk: [UInt8], code: Redundancy) -> ManifestChunk {
        let packed = Compression.pack(chunk)
        let input = packed ?? chunk
        let codec: ChunkCipher.Codec = packed == nil ? .plain : .zstd
        let stored = input.count + ObjectLimits.tagBytes
        let padded = code.shardBytes(stored) * code.dataShards
        let key = input.withUnsafeBytes { bytes in
            let key = ChunkCipher.key(dedup: dedup, codec: codec, bytes: bytes)
            withUnsafeTemporaryAllocation(byteCount: padded, alignment: 64) { buffer in
                ChunkCipher.seal(bytes, key: key, into: buffer)
                UnsafeMutableRawBufferPointer(rebasing: buffer[stored...])
                    .initializeMemory(as: UInt8.self, repeating: 0)
                segments.add(UnsafeRawBufferPointer(buffer), length: stored)
            }
            return key
        }
        return ManifestChunk(
            key: key.bytes, length: UInt32(chunk.count),
            codedLength: packed == nil ? 0 : UInt32(input.count), codec: codec.rawValue)
    }
}
