internal import CyxCore

/// Streams a range of an object: fetches window after window, a few ahead of the reader.
///
/// It fetches no more ahead than twice what was taken before, so that a client which asks for
/// much and takes nothing costs its gateway little. All that it holds is taken from `ReadMemory`.
actor ObjectReader {
    /// At most so much is fetched beyond what was handed out.
    static let readAheadBytes: UInt64 = 16 << 20
    /// Of a window where memory is scarce. Elsewhere all are large: beginning with 1 MiB took a quarter
    /// of the throughput of 16 MiB objects.
    static let scarceWindowBytes: UInt64 = 1 << 20
    /// What is handed out at a time where memory is scarce: who is given it may hold it for long.
    static let scarcePieceBytes: UInt64 = 64 << 10

    private let context: ObjectContext
    private let fetcher: SegmentFetcher
    private let runner: JobRunner
    private let range: Range<UInt64>
    /// Reads the layout again when a segment is gone: the object may have been re-coded meanwhile.
    private let reload: @Sendable () async throws -> VersionContent?
    private var content: VersionContent
    /// Of the next byte to be handed out.
    private var position: UInt64
    private var taken: UInt64 = 0
    /// The window that `position` is in.
    private var current: Window?
    /// Of the bytes that were handed out last, which count until more is asked for.
    private var handedOut = 0
    /// Windows after `current`, in order.
    private var ahead: [Flight] = []
    private var lastFlight: UInt64 = 0
    private var isReading = false
    private var place: ReadMemory.Place?

    private struct Window {
        let chunks: Range<Int>
        /// By chunk; empty ones were handed out.
        var pieces: [[UInt8]]
        let grant: ReadMemory.Grant

        var bytes: Int { pieces.reduce(0) { $0 + $1.count } }
    }

    /// A window that is being fetched, or was.
    private struct Flight {
        enum State {
            case running(waiter: CheckedContinuation<Void, Never>?)
            case done(Result<Window, any Error>)
        }

        let number: UInt64
        let chunks: Range<Int>
        let bytes: Int
        var state = State.running(waiter: nil)
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
        position = range.lowerBound
    }

    /// The next bytes of the range; nil at its end.
    func next() async throws -> [UInt8]? {
        let place = enter()
        place.goesOn()
        isReading = true
        defer {
            isReading = false
            place.standsStill(holding: heldBytes)
        }
        handedOut = 0
        while position < range.upperBound {
            let chunk = content.chunks(covering: position..<position + 1).lowerBound
            guard let window = current, window.chunks.contains(chunk) else {
                current = nil
                current = try await window(from: chunk)
                continue
            }
            window.grant.shrink(to: window.bytes)
            fetchAhead(of: window)
            return take(from: chunk)
        }
        current = nil
        return nil
    }

    /// The rest of the chunk, or as much of it as is wanted.
    private func take(from chunk: Int) -> [UInt8]? {
        guard let window = current else { return nil }
        let place = chunk - window.chunks.lowerBound
        let piece = window.pieces[place]
        let start = content.offsets[chunk]
        let end = min(start + UInt64(piece.count), range.upperBound)
        let isScarce = context.readMemory.isScarce
        let most = isScarce ? position + ObjectReader.scarcePieceBytes : end
        let wanted = position..<min(most, end)
        position = wanted.upperBound
        taken += UInt64(wanted.count)
        if position == end {
            current?.pieces[place] = []
            handedOut = wanted.count
        }
        guard wanted.count < piece.count else { return piece }
        return Array(piece[Int(wanted.lowerBound - start)..<Int(wanted.upperBound - start)])
    }

    // MARK: Windows

    /// The next window to fetch, from `chunk` on.
    private func plan(from chunk: Int, isScarce: Bool) -> Range<Int> {
        let last = content.chunks(covering: range).upperBound
        let bytes = isScarce ? ObjectReader.scarceWindowBytes : ReadPlan.windowBytes
        return ReadPlan.window(content, chunk..<last, bytes: bytes)
    }

    /// What a window takes while it is fetched: its shards, and what is decoded of them.
    private func fetchedBytes(_ chunks: Range<Int>) -> Int {
        content.chunks[chunks].reduce(0) { $0 + $1.storedBytes + Int($1.length) }
    }

    private func window(from chunk: Int) async throws -> Window {
        if let flight = ahead.first, flight.chunks.lowerBound == chunk {
            return try await result(of: flight.number)
        }
        ahead = []
        let memory = context.readMemory
        let chunks = plan(from: chunk, isScarce: memory.isScarce)
        guard let grant = await memory.take(fetchedBytes(chunks)) else {
            throw ObjectError.cancelled
        }
        return try await fetch(chunks, grant)
    }

    private func fetch(_ chunks: Range<Int>, _ grant: ReadMemory.Grant) async throws -> Window {
        let window = Window(chunks: chunks, pieces: try await fetch(chunks), grant: grant)
        grant.shrink(to: window.bytes)
        return window
    }

    /// Begins to fetch what will be asked for next in the background, if somebody runs background
    /// jobs, and while there is room.
    private func fetchAhead(of window: Window) {
        var next = ahead.last?.chunks.upperBound ?? window.chunks.upperBound
        let end = content.chunks(covering: range).upperBound
        while next < end,
            content.offsets[next] - position < min(2 * taken, ObjectReader.readAheadBytes)
        {
            let chunks = plan(from: next, isScarce: false)
            let bytes = fetchedBytes(chunks)
            guard let grant = context.readMemory.takeAhead(bytes) else { return }
            lastFlight += 1
            let number = lastFlight
            ahead.append(Flight(number: number, chunks: chunks, bytes: bytes))
            guard runner.submit({ await self.run(number, chunks, grant) }) else {
                ahead.removeLast()
                return
            }
            next = chunks.upperBound
        }
    }

    private func run(_ number: UInt64, _ chunks: Range<Int>, _ grant: ReadMemory.Grant) async {
        let result: Result<Window, any Error>
        do {
            result = .success(try await fetch(chunks, grant))
        } catch {
            result = .failure(error)
        }
        guard let index = ahead.firstIndex(where: { $0.number == number }),
            case .running(let waiter) = ahead[index].state
        else { return }
        ahead[index].state = .done(result)
        waiter?.resume()
    }

    /// Waits for the first of the windows ahead.
    private func result(of number: UInt64) async throws -> Window {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard case .running = ahead.first?.state, !Task.isCancelled else {
                    return continuation.resume()
                }
                ahead[0].state = .running(waiter: continuation)
            }
        } onCancel: {
            // Cancellation comes from any thread; the window's own job goes on.
            context.environment.executor.execute { self.assumeIsolated { $0.release(number) } }
        }
        guard case .done(let result) = ahead.first?.state else { throw ObjectError.cancelled }
        ahead.removeFirst()
        return try result.get()
    }

    private func release(_ number: UInt64) {
        guard ahead.first?.number == number, case .running(let waiter?) = ahead[0].state else {
            return
        }
        ahead[0].state = .running(waiter: nil)
        waiter.resume()
    }

    // MARK: Standing still

    private func enter() -> ReadMemory.Place {
        if let place { return place }
        let executor = context.environment.executor
        let place = context.readMemory.enter { [weak self] in
            executor.execute { [weak self] in self?.assumeIsolated { $0.putDown() } }
        }
        self.place = place
        return place
    }

    private var heldBytes: Int {
        ahead.reduce(current?.bytes ?? 0) { $0 + $1.bytes }
    }

    /// Drops what was not handed out: it is fetched again should it be asked for.
    private func putDown() {
        guard !isReading else { return }
        if let window = current {
            window.grant.shrink(to: handedOut)
            current = Window(chunks: 0..<0, pieces: [], grant: window.grant)
        }
        ahead = []
        taken = 0
    }

    // MARK: Fetching

    private func fetch(_ chunks: Range<Int>) async throws -> [[UInt8]] {
        do {
            return try await fetchParts(of: chunks)
        } catch let error as ObjectError {
            switch error {
            case .unavailable, .dataLost:
                guard let fresh = try await reload() else { throw error }
                content = fresh
                return try await fetchParts(of: chunks)
            default: throw error
            }
        }
    }

    /// Chunks that were in one segment when they were chosen: a re-coded object has the same ones in
    /// others.
    private func fetchParts(of chunks: Range<Int>) async throws -> [[UInt8]] {
        let content = content
        var pieces: [[UInt8]] = []
        for part in ReadPlan.windows(content, chunks) {
            pieces += try await fetchPart(part, of: content)
        }
        return pieces
    }

    private func fetchPart(
        _ chunks: Range<Int>, of content: VersionContent
    ) async throws -> [[UInt8]] {
        let segment = content.segments[content.segment(of: chunks.lowerBound)]
        let local = segment.local(chunks)
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
            WindowDecoder.open(chunks, records, from: shards)
        }
    }
}

/// The bytes of an object, from its reader.
struct ObjectSource: ByteSource {
    let reader: ObjectReader

    mutating func next() async throws -> [UInt8]? { try await reader.next() }
}
