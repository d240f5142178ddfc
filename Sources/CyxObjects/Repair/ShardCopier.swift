internal import CyxCore
internal import CyxOverlay

/// Copies a shard file from one holder to another, window by window: what a decoder would make
/// from k of them, at a tenth of the bytes.
struct ShardCopier: Sendable {
    typealias Reader = @Sendable (Range<Int>) async throws(ShardClient.Failure) -> ReadShardResponse

    enum Failure: Error, Equatable {
        /// What was read is not what the owner signed.
        case badSource
        case source(ShardClient.Failure)
        case target(ShardClient.Failure)
    }

    let context: ObjectContext
    let shape: SegmentShape
    let signedCore: [UInt8]

    /// Reads from `holder` over the network.
    func reader(of shard: ShardID, at holder: PeerID) -> Reader {
        { [context] range throws(ShardClient.Failure) in
            try await context.client.read(shard, range, from: holder)
        }
    }

    /// Gives `target` the file; its entry and its receipt say that it is durable there.
    func copy(
        _ shard: ShardID, to target: PeerID, read: Reader
    ) async throws(Failure) -> SegmentRebuilder.Holder {
        var offset = 0
        while true {
            let end = min(offset + SegmentRebuilder.windowBytes, shape.fileBytes)
            let bytes = try await window(shard, offset..<end, read)
            let isLast = end == shape.fileBytes
            do throws(ShardClient.Failure) {
                let holder = try await context.client.append(
                    bytes, to: shard, at: offset, core: isLast ? signedCore : [],
                    root: isLast ? shape.roots[shard.index] : nil, peer: target)
                if let holder { return holder }
            } catch {
                if let holder = await context.client.existing(
                    shard, shape, signedCore, at: target, after: error)
                {
                    return holder
                }
                throw .target(error)
            }
            offset = end
        }
    }

    private func window(
        _ shard: ShardID, _ range: Range<Int>, _ read: Reader
    ) async throws(Failure) -> [UInt8] {
        let answer: ReadShardResponse
        do throws(ShardClient.Failure) { answer = try await read(range) } catch {
            throw .source(error)
        }
        let (root, fileBytes) = (shape.roots[shard.index], shape.fileBytes)
        let isValid = await context.environment.blocking.run {
            ShardSlice.isValid(answer, for: range, root: root, fileBytes: fileBytes)
        }
        guard isValid, answer.data.count == range.count else { throw .badSource }
        return answer.data
    }
}

extension ShardClient {
    /// A receipt from a peer whose refusal says that it holds the file already.
    func existing(
        _ shard: ShardID, _ shape: SegmentShape, _ signedCore: [UInt8], at peer: PeerID,
        after failure: Failure
    ) async -> (entry: HolderEntry, receipt: StoreReceipt)? {
        guard case .call(let error) = failure, ShardRefusal(error) == .exists else { return nil }
        do throws(Failure) {
            return try await append(
                [], to: shard, at: shape.fileBytes, core: signedCore,
                root: shape.roots[shard.index], peer: peer)
        } catch { return nil }
    }
}
