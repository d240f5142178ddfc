internal import CyxCore
internal import Synchronization

/// A small body on its way into a segment that it shares with others.
struct PackableBody: Sendable {
    var bytes: [UInt8]
    var bucket: BucketKeys
    var reference: SegmentReference
}

/// Where such a body was stored.
struct PackedBody: Sendable {
    var chunk: ManifestChunk
    var segment: StoredSegment
    /// Which of the segment's chunks it is.
    var index: Int
    var claim: PackClaim

    var placed: PlacedSegment {
        var placed = segment.placed
        // A body that has its segment to itself is no share.
        guard segment.shape.chunkLengths.count > 1 else { return placed }
        placed.firstChunk = UInt32(index)
        placed.chunks = 1
        return placed
    }
}

/// The claim of all bodies of a pack on their segment: made once, and awaited by each of their writes
/// before its commit (B5).
final class PackClaim: Sendable {
    private struct State {
        var result: Result<Void, any Error>?
        /// Unsafe: a simulated crash drops them with all else.
        var waiters: [UnsafeContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func settle(_ result: Result<Void, any Error>) {
        let waiters = state.withLock { state in
            state.result = result
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the segment is sure to stay; whoever made the claim bounds how long that takes.
    func wait() async throws {
        await withUnsafeContinuation { waiter in
            let isSettled = state.withLock { state in
                if state.result == nil { state.waiters.append(waiter) }
                return state.result != nil
            }
            if isSettled { waiter.resume() }
        }
        try state.withLock { $0.result }?.get()
    }
}
