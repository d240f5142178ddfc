internal import CyxCore
internal import CyxCrypto

/// Hashes that decide about audits: each has a context of its own, and whoever has the beacon can
/// make them again.
enum AuditHash {
    enum Context: Int, CaseIterable {
        case beacon, commitment, point, pick, challenge, evidence, tally, verdict, answer
    }

    /// Made once: schedules hash many points.
    private static let prefixes = Context.allCases.map { Array("cyx audit \($0) v1\0".utf8) }

    /// BLAKE3 of the context and `parts`, each of which has a fixed length in its context.
    static func hash(_ context: Context, _ write: (inout ByteWriter) -> Void) -> Digest {
        BLAKE3.hash(bytes(context, write))
    }

    /// What is hashed or signed.
    static func bytes(_ context: Context, _ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacity: 192)
        writer.write(prefixes[context.rawValue])
        write(&writer)
        return writer.bytes
    }
}
