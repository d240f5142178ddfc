internal import CyxCore
internal import CyxCrypto
internal import CyxErasure

/// What holders answered for one range of a segment's shard files.
struct FetchedShards: Sendable {
    var shape: SegmentShape
    /// Of every file, unwidened.
    var range: Range<Int>
    /// By index; at most one answer each.
    var answers: [Int: ReadShardResponse]

    var indices: Set<Int> { Set(answers.keys) }
}

/// Verifies, decodes and decrypts in the pool.
enum WindowDecoder {
    /// Indices whose answer does not prove itself.
    static func bad(in shards: FetchedShards) -> [Int] {
        shards.answers.filter { index, answer in
            !ShardSlice.isValid(
                answer, for: shards.range, root: shards.shape.roots[index],
                fileBytes: shards.shape.fileBytes)
        }.map(\.key).sorted()
    }

    /// The exact range of an answer that was verified.
    private static func exact(_ answer: ReadShardResponse, of shards: FetchedShards) -> [UInt8] {
        let widened = ShardSlice.range(
            covering: shards.range, fileBytes: shards.shape.fileBytes)
        guard widened != shards.range else { return answer.data }
        let start = shards.range.lowerBound - widened.lowerBound
        return Array(answer.data[start..<start + shards.range.count])
    }

    /// The range of the shard files `wanted`, from any k verified answers.
    static func rebuild(_ wanted: [Int], from shards: FetchedShards) -> [[UInt8]]? {
        let code = shards.shape.code
        var files: [[UInt8]?] = Array(repeating: nil, count: code.shards)
        for (index, answer) in shards.answers { files[index] = exact(answer, of: shards) }
        let missing = wanted.filter { files[$0] == nil }
        do throws(ErasureError) {
            let rebuilt = try Coders.coder(for: code).rebuild(missing, from: files)
            for (index, file) in zip(missing, rebuilt) { files[index] = file }
            return wanted.compactMap { files[$0] }
        } catch { return nil }
    }

    /// The ciphertexts of the segment's chunks `chunks`, whose shards are `shards.range`.
    static func ciphertexts(_ shards: FetchedShards, chunks: Range<Int>) -> [[UInt8]]? {
        guard let files = dataFiles(shards) else { return nil }
        return chunks.map { chunk in
            let length = shards.shape.chunkLengths[chunk]
            return [UInt8](unsafeUninitializedCapacity: length) { output, count in
                join(chunk, of: shards, files, into: UnsafeMutableRawBufferPointer(output))
                count = length
            }
        }
    }

    /// The bytes of the segment's chunks `chunks`, of which the manifest says `records`; nil if they
    /// are something else. One ciphertext at a time is made whole, always in the same place: it is
    /// still in the processor's cache when it is decrypted.
    static func open(
        _ chunks: Range<Int>, _ records: [ManifestChunk], from shards: FetchedShards
    ) -> [[UInt8]]? {
        guard let files = dataFiles(shards),
            let longest = shards.shape.chunkLengths[chunks].max()
        else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: longest, alignment: 64) { buffer in
            var pieces: [[UInt8]] = []
            for (chunk, record) in zip(chunks, records) {
                let sealed = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[..<shards.shape.chunkLengths[chunk]])
                join(chunk, of: shards, files, into: sealed)
                guard let piece = open(UnsafeRawBufferPointer(sealed), record) else { return nil }
                pieces.append(piece)
            }
            return pieces
        }
    }

    /// Writes a chunk's ciphertext from the parts of it that the data files hold.
    private static func join(
        _ chunk: Int, of shards: FetchedShards, _ files: [(bytes: [UInt8], start: Int)],
        into output: UnsafeMutableRawBufferPointer
    ) {
        let size = shards.shape.code.shardBytes(output.count)
        let start = shards.shape.shardOffsets[chunk] - shards.range.lowerBound
        for (index, file) in files.enumerated() {
            let place = index * size
            let part = min(size, output.count - place)
            guard part > 0 else { break }
            let from = file.start + start
            file.bytes.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: output[place..<place + part])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + part]))
            }
        }
    }

    /// The k data files' bytes of the range, and where in each array the range begins: answers are
    /// used as they came, and only what is missing is decoded.
    private static func dataFiles(
        _ shards: FetchedShards
    ) -> [(bytes: [UInt8], start: Int)]? {
        let code = shards.shape.code
        let indices = Array(0..<code.dataShards)
        if indices.allSatisfy({ shards.answers[$0] != nil }) {
            let widened = ShardSlice.range(
                covering: shards.range, fileBytes: shards.shape.fileBytes)
            let start = shards.range.lowerBound - widened.lowerBound
            return indices.compactMap { index in shards.answers[index].map { ($0.data, start) } }
        }
        return rebuild(indices, from: shards)?.map { ($0, 0) }
    }

    /// A chunk's bytes from its ciphertext; nil if they are not what the manifest says.
    static func open(_ ciphertext: UnsafeRawBufferPointer, _ chunk: ManifestChunk) -> [UInt8]? {
        guard let key = Digest(bytes: chunk.key),
            let plain = ChunkCipher.open(ciphertext, key: key)
        else { return nil }
        switch ChunkCipher.Codec(rawValue: chunk.codec) {
        case .plain: return plain.count == Int(chunk.length) ? plain : nil
        case .zstd:
            guard chunk.length <= UInt32(ObjectLimits.chunkBytes) else { return nil }
            return Compression.unpack(plain, length: Int(chunk.length))
        case nil: return nil
        }
    }
}
