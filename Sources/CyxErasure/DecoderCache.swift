/// The tables that turn one set of survivors into one set of shards.
struct Decoder: Sendable {
    struct Pattern: Hashable, Sendable {
        /// Bit i stands for shard i: the k shards that are read.
        var survivors: UInt64
        /// The shards that are made.
        var targets: UInt64
    }

    var pattern: Pattern
    var tables: [UInt8]
}

/// The decoders used last; while a peer is away the same few patterns come again and again.
struct DecoderCache: Sendable {
    /// At most 32 · 32 · 48 bytes each, so 3 MiB for the largest code.
    static let capacity = 64

    private var decoders: [Decoder] = []

    var count: Int { decoders.count }

    mutating func decoder(for pattern: Decoder.Pattern) -> Decoder? {
        guard let index = decoders.firstIndex(where: { $0.pattern == pattern }) else { return nil }
        let decoder = decoders.remove(at: index)
        decoders.append(decoder)
        return decoder
    }

    mutating func insert(_ decoder: Decoder) {
        if decoders.count == DecoderCache.capacity { decoders.removeFirst() }
        decoders.append(decoder)
    }
}
