internal import CyxCore
internal import CyxCrypto
internal import CyxStorage

/// A finished file's record, its tree decoded.
struct StoredFile: Sendable {
    var shard: ShardID
    var tree: ShardTree
    var fileBytes: Int
}

extension ShardHolder {
    /// How much one read may ask for; the answer fits `PeerMessagingLimits.messageBytes`.
    static let readBytes = 5 << 20

    func record(of shard: ShardID) async throws(StoreError) -> ShardRecord? {
        guard let bytes = try await store.get(ShardFile.record(shard)) else { return nil }
        return Self.decoded(ShardRecord.self, bytes)
    }

    /// The record of a finished file, from memory or the store; nil when there is none, or none
    /// that can be read.
    func finishedFile(_ shard: ShardID) async throws -> StoredFile? {
        if let cached = files[shard] { return cached }
        do throws(StoreError) {
            guard let record = try await record(of: shard),
                record.fileBytes <= UInt64(ShardFile.bytes),
                let tree = SegmentShape.tree(of: shard, in: record)
            else { return nil }
            let file = StoredFile(shard: shard, tree: tree, fileBytes: Int(record.fileBytes))
            files[shard] = file
            return file
        } catch {
            if case .corrupt = error { return nil }
            throw ShardHolder.refusal(error)
        }
    }

    /// Bytes of a finished file; nil when some are missing or damaged.
    func bytes(of file: StoredFile, _ range: Range<Int>) async throws -> [UInt8]? {
        let numbers = ShardFile.pieces(of: range)
        let pieces: [[UInt8]?]
        do throws(StoreError) {
            pieces = try await store.get(numbers.map { ShardFile.key(file.shard, $0) })
        } catch {
            if case .corrupt = error { return nil }
            throw ShardHolder.refusal(error)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        for (number, piece) in zip(numbers, pieces) {
            guard let piece else { return nil }
            let start = Int(number) * ShardFile.pieceBytes
            let wanted = range.clamped(to: start..<start + piece.count)
            bytes += piece[wanted.lowerBound - start..<wanted.upperBound - start]
        }
        return bytes.count == range.count ? bytes : nil
    }

    /// Reads the whole file and compares it with its tree.
    func isIntact(_ file: StoredFile) async -> Bool {
        var builder = ShardTree.Builder()
        for number in ShardFile.pieces(of: 0..<file.fileBytes) {
            let start = Int(number) * ShardFile.pieceBytes
            let range = start..<min(start + ShardFile.pieceBytes, file.fileBytes)
            do {
                guard let piece = try await bytes(of: file, range) else { return false }
                builder = await environment.blocking.run { [builder] in
                    var builder = builder
                    builder.update(piece)
                    return builder
                }
            } catch { return false }
        }
        return builder.finalize().root == file.tree.root
    }

    /// Answers with the range asked for, widened to whole groups, and its proof.
    func read(_ bytes: [UInt8]) async throws -> [UInt8] {
        guard let request = Self.decoded(ReadShardRequest.self, bytes),
            let shard = ShardID(segment: request.segment, index: request.index),
            request.length > 0, request.length <= UInt64(ShardHolder.readBytes),
            request.offset <= UInt64(ShardFile.bytes)
        else { throw ShardRefusal.malformed.failure("read") }
        guard let file = try await finishedFile(shard) else {
            throw ShardRefusal.notFound.failure("read")
        }
        let wanted = Int(request.offset)..<Int(request.offset) + Int(request.length)
        guard wanted.upperBound <= file.fileBytes else {
            throw ShardRefusal.malformed.failure("read past the end")
        }
        let range = ShardSlice.range(covering: wanted, fileBytes: file.fileBytes)
        guard let data = try await self.bytes(of: file, range) else {
            files.remove(shard)
            throw ShardRefusal.notFound.failure("read")
        }
        servedBytes.add(UInt64(data.count))
        return ReadShardResponse(
            data: data, proof: ShardSlice.proof(of: wanted, in: file.tree)
        ).protobufBytes()
    }
}
