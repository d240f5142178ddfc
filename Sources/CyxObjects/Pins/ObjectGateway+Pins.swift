internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// Pins: versions that stay although their keys are deleted or written anew.
extension ObjectGateway {
    /// How often a version is looked at that is replaced or re-coded while it is being pinned.
    static let pinAttempts = 3

    var pinStore: PinStore { PinStore(context: context, keys: keys) }

    package func pin(
        _ key: String, in bucket: String, for span: Duration?
    ) async throws -> PinInfo {
        try requireWholeKeys()
        let handle = try await handle(bucket)
        for attempt in 1...ObjectGateway.pinAttempts {
            guard let head = try await readHead(key, in: handle) else {
                throw ObjectError.noSuchKey
            }
            // Segments and rows of a version that is replaced or re-coded just now go.
            do {
                return try await pin(head, for: span, in: handle).info
            } catch ObjectError.dataLost(let reason) {
                guard attempt < ObjectGateway.pinAttempts else {
                    throw ObjectError.dataLost(reason)
                }
            } catch is SegmentCollected {
                guard attempt < ObjectGateway.pinAttempts else {
                    throw ObjectError.unavailable(
                        "a segment of the object is being collected; pin the object again")
                }
            }
            try await context.environment.sleep(for: context.timings.cleanupRetry.first)
        }
        preconditionFailure("the last attempt returns or throws")
    }

    /// One attempt, with an ID of its own: references that were taken back never come again.
    private func pin(
        _ head: HeadRow, for span: Duration?, in handle: BucketHandle
    ) async throws -> Pin {
        var pin = newPin(of: head, for: span, in: handle)
        let content: (chunks: [ManifestChunk], placed: [PlacedSegment])? =
            head.chunkBytesAreElsewhere ? try await rows(of: head, in: handle) : nil
        pin.row.state = .pinning
        let begun = pin
        try await withTables { () async throws(TableError) in try await pinStore.begin(begun) }
        do {
            if let content {
                try await claim(content.placed, for: pin)
                try await copy(content, for: &pin, in: handle)
            }
            pin.row.state = .pinned
            let whole = pin
            let stands = try await withTables { () async throws(TableError) in
                try await pinStore.complete(whole)
            }
            guard stands else {
                throw ObjectError.unavailable(
                    "the pin took so long that it was given up; pin the object again")
            }
        } catch {
            await giveUp(pin, content?.placed ?? [])
            throw error
        }
        context.environment.metrics.counter("cyxcloud_pins_made_total").add()
        return pin
    }

    /// Takes back what a failed pin has written. What this does not reach, collection finds.
    private func giveUp(_ pin: Pin, _ placed: [PlacedSegment]) async {
        do {
            // Without its row it cannot be completed, not even by a change that is under way.
            _ = try await withTables { () async throws(TableError) in
                try await pinStore.remove(pin.id) { $0.row.state == .pinning }
            }
            let isGone = try await withTables { () async throws(TableError) in
                try await !pinStore.exists(pin.id)
            }
            guard isGone else { return }
            await clean(pin, placed, try await rows(of: pin))
        } catch {
            context.logger.info("a pin was left half made", [("error", "\(error)")])
        }
    }

    private func newPin(
        of head: HeadRow, for span: Duration?, in handle: BucketHandle
    ) -> Pin {
        let now = context.environment.wallTime().milliseconds
        var head = head
        head.write = context.environment.random.bytes(Pin.idBytes)
        head.fenced = []
        head.upload = ""
        (head.named, head.hasEarlier, head.earlierNull) = (false, false, [])
        var row = PinRow(
            bucketName: handle.name, bucket: handle.keys.bucket.bytes, createdMs: now)
        row.untilMs = span.map { now + $0.nanoseconds / 1_000_000 } ?? 0
        row.head = head
        return Pin(id: head.write, row: row, head: head, bucket: handle.keys.bucket)
    }

    private func rows(
        of head: HeadRow, in handle: BucketHandle
    ) async throws -> (chunks: [ManifestChunk], placed: [PlacedSegment]) {
        let store = store(handle)
        let version = VersionID(position: handle.keys.position(of: head.key), write: head.write)
        async let manifest = store.manifest(of: head, at: version.position)
        guard let layout = try await store.layout(of: version) else {
            throw ObjectError.dataLost("the layout is missing")
        }
        return (try await manifest.chunks, layout.segments)
    }

    /// The pin's references, each before the state of its segment is read (B5).
    private func claim(_ placed: [PlacedSegment], for pin: Pin) async throws {
        let segments = try placed.map { placed throws(ObjectError) in
            guard let id = placed.core.flatMap({ SegmentID(bytes: $0.segment) }) else {
                throw .dataLost("a layout names no segment")
            }
            return id
        }
        let claims = SegmentClaims(
            references: SegmentReferences(context: context, keys: keys), owners: [reference(pin)])
        try await claims.make(segments)
    }

    /// Manifest and layout once more, in the pin's name: the version's own go with it.
    private func copy(
        _ content: (chunks: [ManifestChunk], placed: [PlacedSegment]), for pin: inout Pin,
        in handle: BucketHandle
    ) async throws {
        var head = pin.head
        let code = Redundancy(
            dataShards: Int(head.dataShards), parityShards: Int(head.parityShards))
        head.manifest = []
        head.manifestPages = 0
        try await prepare(
            &head, chunks: content.chunks, placed: content.placed, inline: nil, code: code,
            in: handle)
        // The version's time, not the pin's.
        head.modifiedMs = pin.head.modifiedMs
        pin.head = head
        pin.row.head = head
    }

    func handle(_ pin: Pin) -> BucketHandle {
        // Whatever became of the bucket: its keys come from its ID.
        BucketHandle(
            name: pin.row.bucketName, created: WallTime(milliseconds: 0),
            keys: keys.keys(for: pin.bucket))
    }

    private func reference(_ pin: Pin) -> SegmentReference {
        let bucket = keys.keys(for: pin.bucket)
        return SegmentReference(
            bucket: pin.bucket, position: bucket.position(of: pin.head.key), owner: .pin(pin.id))
    }

    // MARK: Reading

    package func pins(after id: String?) async throws -> PinListing {
        try requireWholeKeys()
        let after = id.flatMap(Hex.decode)
        let page = try await withTables { () async throws(TableError) in
            try await pinStore.page(after: after)
        }
        let now = context.environment.wallTime()
        return PinListing(
            pins: page.pins.filter { $0.isKept(at: now) }.map(\.info),
            next: page.next.map(Hex.encode))
    }

    func pinned(_ id: String) async throws -> Pin {
        try requireWholeKeys()
        guard let bytes = Hex.decode(id), bytes.count == Pin.idBytes else {
            throw ObjectError.noSuchPin
        }
        let pin = try await withTables { () async throws(TableError) in
            try await pinStore.read(bytes)
        }
        guard let pin, pin.isKept(at: context.environment.wallTime()) else {
            throw ObjectError.noSuchPin
        }
        return pin
    }

    package func head(pin id: String) async throws -> ObjectInfo {
        let pin = try await pinned(id)
        return info(of: pin.head, in: handle(pin))
    }

    package func get(pin id: String, range: ByteRange) async throws -> ObjectBody {
        let pin = try await pinned(id)
        return try await body(of: pin.head, range, in: handle(pin))
    }

    // MARK: Removing

    package func unpin(_ id: String) async throws {
        let pin = try await pinned(id)
        try await drop(pin) { _ in true }
    }

    /// Removes the pin's row if it is as `isDue` wants, and in the background what was stored in its
    /// name.
    private func drop(_ pin: Pin, if isDue: @escaping @Sendable (Pin) -> Bool) async throws {
        // Once the row is gone, nothing may fail any more.
        let layout = try await store(handle(pin)).layout(of: version(pin))
        let rows = try await rows(of: pin)
        let removed = try await withTables { () async throws(TableError) in
            try await pinStore.remove(pin.id, if: isDue)
        }
        guard removed != nil else { return }
        await clean(pin, layout?.segments ?? [], rows)
    }

    /// First the pin's rows, then its references: by these collection finds what is left of both.
    private func clean(_ pin: Pin, _ placed: [PlacedSegment], _ rows: [RowKey]) async {
        versions.remove(version(pin))
        let store = store(handle(pin))
        if !rows.isEmpty { await cleaner.submit(.rows(rows), in: store) }
        let segments = placed.compactMap { $0.core.flatMap { SegmentID(bytes: $0.segment) } }
        let hints = Set(placed.flatMap { Digests.split($0.holders) }).subtracting([.zero])
        guard !segments.isEmpty else { return }
        await cleaner.submit(
            .segments(segments, [reference(pin)], hints: hints.map { PeerID($0) }.sorted()),
            in: store)
    }

    private func version(_ pin: Pin) -> VersionID {
        VersionID(position: reference(pin).position, write: pin.id)
    }

    private func rows(of pin: Pin) async throws(ObjectError) -> [RowKey] {
        guard pin.head.chunkBytesAreElsewhere else { return [] }
        let (store, version) = (store(handle(pin)), version(pin))
        return try await withTables { () async throws(TableError) in
            try await store.rows(of: version)
        }
    }

    /// Removes the pins whose time is over, and those that somebody began and went away from.
    func dropDuePins() async throws {
        let now = context.environment.wallTime()
        let begun = now.milliseconds - context.timings.collection.grace.nanoseconds / 1_000_000
        var after: [UInt8]?
        repeat {
            let page = try await withTables { () async throws(TableError) in
                try await pinStore.page(after: after)
            }
            for pin in page.pins {
                let isLeft = pin.row.state == .pinning && pin.row.createdMs < begun
                guard isLeft || pin.isOver(at: now) else { continue }
                let state = pin.row.state
                try await drop(pin) { $0.row.state == state }
                context.environment.metrics.counter("cyxcloud_pins_ended_total").add()
            }
            after = page.next
        } while after != nil
    }
}
