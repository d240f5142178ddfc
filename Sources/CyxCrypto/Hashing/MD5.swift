internal import COpenSSL
internal import CyxKernels

/// MD5 (RFC 1321), broken: only for S3's ETag and Content-MD5.
package struct MD5: IncrementalHash {
    package static let digestSize = 16
    /// How many are computed side by side at the most.
    package static let lanes = Int(CYX_MD5_LANES)

    private var context = MD5_CTX()

    package init() { MD5_Init(&context) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        MD5_Update(&context, bytes.baseAddress, bytes.count)
    }

    package func finalize() -> [UInt8] {
        var copy = context
        var digest = [UInt8](repeating: 0, count: MD5.digestSize)
        MD5_Final(&digest, &copy)
        return digest
    }

    /// Feeds each digest the bytes of the same index, all of them at once in vector lanes: four take
    /// half as long as one after another, sixteen an eighth. At most `lanes` of them.
    package static func update(_ digests: inout [MD5], with bytes: [[UInt8]]) {
        precondition(
            digests.count == bytes.count && digests.count <= lanes, "bytes for each digest")
        update(&digests, with: bytes, level: cyx_md5_best_level())
    }

    /// `level`: a CYX_MD5_VECTOR constant, for tests.
    package static func update(
        _ digests: inout [MD5], with bytes: [[UInt8]], level: Int32
    ) {
        guard digests.count > 1 else {
            for index in digests.indices { digests[index].update(bytes[index]) }
            return
        }
        var fed: [cyx_md5_lane] = []
        feed(&digests, bytes, &fed, level)
    }

    /// Adds the lane of digest `lanes.count`, whose bytes stay where they are until all have run.
    private static func feed(
        _ digests: inout [MD5], _ bytes: [[UInt8]], _ lanes: inout [cyx_md5_lane], _ level: Int32
    ) {
        let index = lanes.count
        guard index < digests.count else {
            cyx_md5_update_many(level, &lanes, lanes.count)
            return
        }
        bytes[index].withUnsafeBytes { raw in
            // What is left of an earlier block is filled up first.
            let buffered = Int(digests[index].context.num)
            let filling = buffered == 0 ? 0 : min(raw.count, blockBytes - buffered)
            digests[index].update(UnsafeRawBufferPointer(rebasing: raw[..<filling]))
            let blocks = (raw.count - filling) / blockBytes
            let end = filling + blocks * blockBytes
            lanes.append(digests[index].lane(UnsafeRawBufferPointer(rebasing: raw[filling..<end])))
            feed(&digests, bytes, &lanes, level)
            digests[index].take(lanes[index], bytes: blocks * blockBytes)
            digests[index].update(UnsafeRawBufferPointer(rebasing: raw[end...]))
        }
    }

    private static let blockBytes = Int(CYX_MD5_BLOCK)

    private func lane(_ blocks: UnsafeRawBufferPointer) -> cyx_md5_lane {
        cyx_md5_lane(
            state: (context.A, context.B, context.C, context.D),
            blocks: blocks.baseAddress?.assumingMemoryBound(to: UInt8.self),
            count: blocks.count / MD5.blockBytes)
    }

    /// Takes over what `lane` made of whole blocks; the length counts in bits, in two words.
    private mutating func take(_ lane: cyx_md5_lane, bytes: Int) {
        (context.A, context.B, context.C, context.D) = lane.state
        let bits = (UInt64(context.Nh) << 32 | UInt64(context.Nl)) &+ UInt64(bytes) << 3
        context.Nl = UInt32(truncatingIfNeeded: bits)
        context.Nh = UInt32(truncatingIfNeeded: bits >> 32)
    }
}
