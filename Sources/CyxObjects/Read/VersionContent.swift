internal import CyxCore

/// A version's manifest and layout, decoded and checked against each other: which chunks it has,
/// and where each lies.
struct VersionContent: Sendable {
    struct Segment: Sendable {
        var shape: SegmentShape
        /// Index of its first chunk in the version.
        var firstChunk: Int
        /// Which of its chunks are the version's: others' may stand before and after them.
        var own: Range<Int>
        /// Who stored which index when it was written.
        var holders: [PeerID?]

        /// Of the version.
        var chunks: Range<Int> { firstChunk..<firstChunk + own.count }

        /// Where chunks of the version stand in the segment.
        func local(_ chunks: Range<Int>) -> Range<Int> {
            let shift = own.lowerBound - firstChunk
            return chunks.lowerBound + shift..<chunks.upperBound + shift
        }
    }

    let chunks: [ManifestChunk]
    let segments: [Segment]
    /// Where each chunk begins in the object; one more entry holds the size.
    let offsets: [UInt64]
    let layoutGeneration: UInt64

    init(
        chunks: [ManifestChunk], placed: [PlacedSegment], layoutGeneration: UInt64
    ) throws(RowError) {
        self.chunks = chunks
        self.layoutGeneration = layoutGeneration
        var offsets: [UInt64] = [0]
        offsets.reserveCapacity(chunks.count + 1)
        for chunk in chunks { offsets.append(offsets[offsets.count - 1] + UInt64(chunk.length)) }
        self.offsets = offsets
        var segments: [Segment] = []
        var next = 0
        for placed in placed {
            guard let core = placed.core else { throw .malformed(.layouts) }
            let shape = try SegmentShape(core)
            guard placed.holders.count == shape.code.shards * Digest.byteCount,
                let own = placed.range(in: shape.chunkLengths.count),
                next + own.count <= chunks.count
            else { throw .malformed(.layouts) }
            for (chunk, stored) in zip(chunks[next...], shape.chunkLengths[own])
            where chunk.storedBytes != stored {
                throw .malformed(.layouts)
            }
            let holders = Digests.split(placed.holders).map { $0 == .zero ? nil : PeerID($0) }
            segments.append(
                Segment(shape: shape, firstChunk: next, own: own, holders: holders))
            next += own.count
        }
        guard next == chunks.count else { throw .malformed(.layouts) }
        self.segments = segments
    }

    var size: UInt64 { offsets[offsets.count - 1] }

    /// About how much memory this takes.
    var cost: Int {
        chunks.count * 160 + segments.count * 2000 + 500
    }

    /// The chunks that hold bytes of `range`.
    func chunks(covering range: Range<UInt64>) -> Range<Int> {
        guard !range.isEmpty else { return 0..<0 }
        return index(of: range.lowerBound)..<index(of: range.upperBound - 1) + 1
    }

    private func index(of offset: UInt64) -> Int {
        var low = 0
        var high = chunks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if offsets[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }

    /// The segment that holds a chunk.
    func segment(of chunk: Int) -> Int {
        var low = 0
        var high = segments.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if segments[middle].firstChunk <= chunk { low = middle } else { high = middle }
        }
        return low
    }
}

extension PlacedSegment {
    /// Whether chunks of others lie in the segment, too.
    var isShare: Bool { chunks > 0 }

    /// Which of the segment's `count` chunks are meant; nil if it has no such.
    func range(in count: Int) -> Range<Int>? {
        guard isShare else { return firstChunk == 0 ? 0..<count : nil }
        let end = Int(firstChunk) + Int(chunks)
        return end <= count ? Int(firstChunk)..<end : nil
    }
}

extension ManifestChunk {
    /// Ciphertext bytes, the tag included.
    var storedBytes: Int {
        Int(codec == ChunkCipher.Codec.plain.rawValue ? length : codedLength)
            + ObjectLimits.tagBytes
    }
}

/// Cuts a run of chunks into windows: consecutive chunks of one segment that are fetched together.
struct ReadPlan: Sendable {
    /// Bytes of each shard file that one request asks for, unless one chunk alone is more.
    static let shardBytes = 1 << 20
    /// Bytes of the object in one window, unless one chunk alone is more.
    static let windowBytes: UInt64 = 8 << 20

    /// Consecutive windows, by chunk index.
    static func windows(_ content: VersionContent, _ chunks: Range<Int>) -> [Range<Int>] {
        var windows: [Range<Int>] = []
        var start = chunks.lowerBound
        while start < chunks.upperBound {
            windows.append(window(content, start..<chunks.upperBound))
            start = windows[windows.count - 1].upperBound
        }
        return windows
    }

    /// The first window of a run of chunks that is not empty, of at most `bytes` or one chunk.
    static func window(
        _ content: VersionContent, _ chunks: Range<Int>, bytes: UInt64 = windowBytes
    ) -> Range<Int> {
        let start = chunks.lowerBound
        let segment = content.segments[content.segment(of: start)]
        let limit = min(chunks.upperBound, segment.chunks.upperBound)
        var end = start + 1
        while end < limit {
            let local = segment.local(start..<end + 1)
            guard segment.shape.shardRange(of: local).count <= shardBytes,
                content.offsets[end + 1] - content.offsets[start] <= bytes
            else { break }
            end += 1
        }
        return start..<end
    }
}
