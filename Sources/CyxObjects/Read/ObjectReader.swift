internal import CyxCore

/// Streams a range of an object: fetches window after window, a few ahead of the reader.
actor ObjectReader {
    /// Windows fetched beyond the one that the reader is in.
    static let readAhead = 2

    private let context: ObjectContext
    private let fetcher: SegmentFetcher
    private let runner: JobRunner
    private let range: Range<UInt64>
    /// Reads the layout again when a segment is gone: the object may have been re-coded meanwhile.
    private let reload: @Sendable () async throws -> VersionContent?
    private var content: VersionContent
    private var windows: [Range<Int>]
    private var nextWindow = 0
    /// Pieces of the current window, last first.
    private var ready: [[UInt8]] = []
    private var states: [Int: WindowState] = [:]

    private enum WindowState {
        case running(waiter: CheckedContinuation<Void, Never>?)
        case done(Result<[[UInt8]], any Error>)
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(
        context: ObjectContext, fetcher: SegmentFetcher, runner: JobRunner,
        content: VersionContent, range: Range<UInt64>,
        reload: @escaping @Sendable () async throws -> VersionContent?
    ) {
        self.context = context
        self.fetcher = fetcher
        self.runner = runner
        self.content = content
        self.range = range
        self.reload = reload
        windows = ReadPlan.windows(content, content.chunks(covering: range))
    }

    /// The next bytes of the range; nil at its end.
    func next() async throws -> [UInt8]? {
        while ready.isEmpty {
            guard nextWindow < windows.count else { return nil }
            let window = nextWindow
            for ahead in window...min(window + ObjectReader.readAhead, windows.count - 1) {
                start(ahead)
            }
            let pieces = try await result(of: window)
            nextWindow = window + 1
            ready = trimmed(pieces, windows[window]).reversed()
        }
        return ready.removeLast()
    }

    /// Begins to fetch a window in the background, if somebody runs background jobs.
    private func start(_ window: Int) {
        guard states[window] == nil else { return }
        states[window] = .running(waiter: nil)
        let isTaken = runner.submit { await self.run(window) }
        if !isTaken { states[window] = nil }
    }

    private func run(_ window: Int) async {
        let result: Result<[[UInt8]], any Error>
        do {
            result = .success(try await fetch(window))
        } catch {
            result = .failure(error)
        }
        guard case .running(let waiter) = states[window] else { return }
        states[window] = .done(result)
        waiter?.resume()
    }

    private func result(of window: Int) async throws -> [[UInt8]] {
        guard states[window] != nil else { return try await fetch(window) }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard case .running = states[window], !Task.isCancelled else {
                    return continuation.resume()
                }
                states[window] = .running(waiter: continuation)
            }
        } onCancel: {
            // Cancellation comes from any thread; the window's own job wakes the reader then.
            context.environment.executor.execute { self.assumeIsolated { $0.release(window) } }
        }
        guard case .done(let result) = states[window] else { throw ObjectError.cancelled }
        states[window] = nil
        return try result.get()
    }

    private func release(_ window: Int) {
        guard case .running(let waiter?) = states[window] else { return }
        states[window] = .running(waiter: nil)
        waiter.resume()
    }

    private func fetch(_ window: Int) async throws -> [[UInt8]] {
        do {
            return try await fetch(windows[window])
        } catch let error as ObjectError {
            switch error {
            case .unavailable, .dataLost:
                guard let fresh = try await reload() else { throw error }
                content = fresh
                // A re-coded object has the same chunks in other segments.
                var pieces: [[UInt8]] = []
                for part in ReadPlan.windows(fresh, windows[window]) {
                    pieces += try await fetch(part)
                }
                return pieces
            default: throw error
            }
        }
    }

    private func fetch(_ chunks: Range<Int>) async throws -> [[UInt8]] {
        let segment = content.segments[content.segment(of: chunks.lowerBound)]
        let local =
            chunks.lowerBound - segment.firstChunk..<chunks.upperBound - segment.firstChunk
        let names = local.map { HotChunks.Name(segment: segment.shape.id, chunk: $0) }
        if let pieces = context.hotChunks.get(names) { return pieces }
        let pieces = try await fetch(local, Array(content.chunks[chunks]), of: segment)
        context.hotChunks.add(pieces, names)
        return pieces
    }

    private func fetch(
        _ local: Range<Int>, _ records: [ManifestChunk], of segment: VersionContent.Segment
    ) async throws -> [[UInt8]] {
        if let pieces = try await open(local, records, of: segment) { return pieces }
        // All shards are what their holders signed for, and together they are not the object: it
        // was coded wrong when it was written. Its data shards may be right all the same.
        let parity = Set(segment.shape.code.dataShards..<segment.shape.code.shards)
        let finding =
            "segment \(segment.shape.id): its shards are as they were written, and a chunk does not "
            + "match its manifest: who wrote the object coded it wrong"
        do {
            if let pieces = try await open(local, records, of: segment, without: parity) {
                return pieces
            }
        } catch ObjectError.unavailable(let reason) {
            throw ObjectError.unavailable("\(finding); without its parity, \(reason)")
        }
        throw ObjectError.dataLost(finding)
    }

    /// Chunks of a segment from any k shards but those `without`; nil if what they decode to is not
    /// what the manifest says.
    private func open(
        _ chunks: Range<Int>, _ records: [ManifestChunk], of segment: VersionContent.Segment,
        without excluded: Set<Int> = []
    ) async throws -> [[UInt8]]? {
        let shards = try await fetcher.fetch(
            segment.shape, segment.shape.shardRange(of: chunks), holders: segment.holders,
            excluding: excluded)
        return await context.environment.blocking.run {
            guard let sealed = WindowDecoder.ciphertexts(shards, chunks: chunks) else { return nil }
            var pieces: [[UInt8]] = []
            for (ciphertext, record) in zip(sealed, records) {
                guard let piece = WindowDecoder.open(ciphertext, record) else { return nil }
                pieces.append(piece)
            }
            return pieces
        }
    }

    /// Cuts the first and the last piece to the range.
    private func trimmed(_ pieces: [[UInt8]], _ chunks: Range<Int>) -> [[UInt8]] {
        var trimmed: [[UInt8]] = []
        for (chunk, piece) in zip(chunks, pieces) {
            let start = content.offsets[chunk]
            let wanted = range.clamped(to: start..<start + UInt64(piece.count))
            guard !wanted.isEmpty else { continue }
            if wanted.count == piece.count {
                trimmed.append(piece)
            } else {
                trimmed.append(
                    Array(piece[Int(wanted.lowerBound - start)..<Int(wanted.upperBound - start)]))
            }
        }
        return trimmed
    }
}

/// The bytes of an object, from its reader.
struct ObjectSource: ByteSource {
    let reader: ObjectReader

    mutating func next() async throws -> [UInt8]? { try await reader.next() }
}
