internal import CISAL
internal import CyxKernels

/// A cyclic redundancy check fed piece by piece, as S3's checksum headers and stream frames use.
package enum CRC {
    /// CRC-32/ISO-HDLC, that of gzip; check value cbf43926.
    package static func crc32(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32
    {
        crc32_gzip_refl(crc, bytes.bytes, UInt64(bytes.count))
    }

    package static func crc32(_ bytes: [UInt8], continuing crc: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { crc32($0, continuing: crc) }
    }

    /// CRC-32C, Castagnoli's, that of iSCSI (RFC 3720 §B.4); check value e3069283.
    package static func crc32c(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0)
        -> UInt32
    {
        var state = ~crc
        var rest = bytes
        while !rest.isEmpty {
            // ISA-L counts in 32 bits here.
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(maximumPiece))
            // It takes its input through a mutable pointer and only reads it.
            state = crc32_iscsi(
                UnsafeMutablePointer(mutating: piece.bytes), Int32(piece.count), state)
            rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
        }
        return ~state
    }

    package static func crc32c(_ bytes: [UInt8], continuing crc: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { crc32c($0, continuing: crc) }
    }

    /// CRC-64/NVME; check value ae8b14860a799888.
    package static func crc64NVME(
        _ bytes: UnsafeRawBufferPointer, continuing crc: UInt64 = 0
    ) -> UInt64 {
        cyx_crc64_nvme(crc, bytes.baseAddress, bytes.count)
    }

    package static func crc64NVME(_ bytes: [UInt8], continuing crc: UInt64 = 0) -> UInt64 {
        bytes.withUnsafeBytes { crc64NVME($0, continuing: crc) }
    }

    private static let maximumPiece = 1 << 30
}
