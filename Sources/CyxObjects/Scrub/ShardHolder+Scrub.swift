internal import CyxCore
internal import CyxCrypto
internal import CyxStorage

/// What reading a finished file again showed.
enum ScrubFinding: Equatable, Sendable {
    case intact
    /// The bytes are not what the tree says, or some are gone.
    case bad
    /// The file was deleted meanwhile.
    case gone
}

extension ShardHolder {
    /// Reads a whole file piece by piece and compares it with its tree; calls `pause` with the
    /// number of bytes after each. Throws when the store cannot be read at all, which says nothing
    /// about the file.
    func scrub(
        _ shard: ShardID, pause: @Sendable (Int) async throws -> Void
    ) async throws -> ScrubFinding {
        // The record too is read again.
        files.remove(shard)
        guard let file = try await finishedFile(shard) else { return try await absence(shard) }
        var builder = ShardTree.Builder()
        for number in ShardFile.pieces(of: 0..<file.fileBytes) {
            let start = Int(number) * ShardFile.pieceBytes
            let range = start..<min(start + ShardFile.pieceBytes, file.fileBytes)
            guard let piece = try await bytes(of: file, range) else {
                return try await absence(shard)
            }
            builder = await environment.blocking.run { [builder] in
                var builder = builder
                builder.update(piece)
                return builder
            }
            try await pause(piece.count)
        }
        guard builder.finalize().root != file.tree.root else { return .intact }
        return try await absence(shard)
    }

    /// A file that does not read well is bad, unless it is not there any more.
    private func absence(_ shard: ShardID) async throws -> ScrubFinding {
        do throws(StoreError) {
            let record = ShardFile.record(shard)
            let isListed = try await store.list(shard.segment).contains { $0.key == record }
            return isListed ? .bad : .gone
        } catch { throw ShardHolder.refusal(error) }
    }

    /// Removes a bad file, so that nobody is given any of it.
    func discard(_ shard: ShardID) async {
        files.remove(shard)
        await removePieces(of: shard)
    }
}
