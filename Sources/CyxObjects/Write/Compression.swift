internal import CyxCore
internal import CZstd

/// zstd (RFC 8878) for chunks that it shrinks.
enum Compression {
    /// How much of a chunk is tried first.
    static let probeBytes = 16 << 10
    /// The probe must shrink to this share, in 16ths, for the chunk to be tried, and the chunk too.
    private static let worthwhile16ths = 14
    private static let level: Int32 = 1

    /// `chunk` compressed; nil when that is not worth it.
    static func pack(_ chunk: [UInt8]) -> [UInt8]? {
        guard chunk.count >= 256 else { return nil }
        if chunk.count > 2 * probeBytes {
            let start = (chunk.count - probeBytes) / 2
            let probe = Array(chunk[start..<start + probeBytes])
            guard compress(probe) != nil else { return nil }
        }
        return compress(chunk)
    }

    private static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        let limit = bytes.count * worthwhile16ths / 16
        var size = 0
        // The output is no larger than the limit: what does not fit is not worth it.
        let packed = [UInt8](unsafeUninitializedCapacity: limit) { output, count in
            let written = ZSTD_compress(
                output.baseAddress, limit, bytes, bytes.count, level)
            size = ZSTD_isError(written) == 0 ? written : 0
            count = size
        }
        return size > 0 ? packed : nil
    }

    /// The `length` bytes that `packed` stands for; nil if it stands for anything else.
    static func unpack(_ packed: [UInt8], length: Int) -> [UInt8]? {
        var isWhole = false
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { output, count in
            let written = ZSTD_decompress(
                output.baseAddress, length, packed, packed.count)
            isWhole = ZSTD_isError(written) == 0 && written == length
            count = isWhole ? length : 0
        }
        return isWhole ? bytes : nil
    }
}
