package import CyxCore
internal import Synchronization

/// Chunks of objects that gateways of this process were asked for more than once lately, decoded and
/// checked, up to a number of bytes.
///
/// A chunk never changes under its name, so nothing here can be stale; who may read it is decided
/// before it is looked for. The first read only notes a chunk's name: a stream through many large
/// objects leaves the cache as it was (the doorkeeper of TinyLFU, Einziger et al. 2017).
package final class HotChunks: Sendable {
    package struct Name: Hashable, Sendable {
        package var segment: SegmentID
        /// Within the segment.
        package var chunk: Int

        package init(segment: SegmentID, chunk: Int) {
            self.segment = segment
            self.chunk = chunk
        }
    }

    /// Chunks whose last read is remembered.
    package static let names = 4096

    private struct State {
        var chunks: BoundedCache<Name, [UInt8]>
        var seen = BoundedCache<Name, Void>(capacity: HotChunks.names)
    }

    private let state: Mutex<State>
    private let hits: Counter
    private let misses: Counter

    /// `bytes`: 0 for no cache.
    package init(bytes: Int, metrics: MetricsRegistry) {
        state = Mutex(State(chunks: BoundedCache(capacity: bytes)))
        hits = metrics.counter("cyxcloud_hot_chunk_hits_total")
        misses = metrics.counter("cyxcloud_hot_chunk_misses_total")
    }

    /// All of the chunks, or nil.
    package func get(_ names: [Name]) -> [[UInt8]]? {
        let found: [[UInt8]]? = state.withLock { state in
            var found: [[UInt8]] = []
            for name in names {
                guard let bytes = state.chunks[name] else { return nil }
                found.append(bytes)
            }
            return found
        }
        (found == nil ? misses : hits).add(UInt64(names.count))
        return found
    }

    /// Keeps the chunks that were read before.
    package func add(_ chunks: [[UInt8]], _ names: [Name]) {
        state.withLock { state in
            for (name, bytes) in zip(names, chunks) {
                if state.seen[name] != nil {
                    state.chunks.insert(bytes, for: name, cost: bytes.count)
                } else {
                    state.seen[name] = ()
                }
            }
        }
    }
}
