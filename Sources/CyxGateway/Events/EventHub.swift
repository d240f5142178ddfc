package import CyxCore
internal import CyxObjects

/// What the peer tells its operator: its status, as `/api/v1/status` of the admin port has it.
package typealias StatusSource = @Sendable () async -> JSONValue

/// The streams that clients of one gateway listen to. Each bucket is followed once, however many
/// listen, and for a while after the last one left, so that who comes back has missed nothing.
package actor EventHub {
    /// How often the log of a bucket's changes is read, and the status.
    static let interval = Duration.milliseconds(500)
    static let statusInterval = Duration.seconds(2)
    /// How long a stream goes on that nobody listens to.
    static let linger = Duration.seconds(120)
    /// Streams at a time; connections, of all accounts and of one.
    static let streamsMax = 256
    static let connectionsMax = 256
    static let connectionsOfAccountMax = 32
    /// Keys of a bucket of which the last write told is known.
    private static let knownWrites = 4096
    /// An object with an older date was there before, and only its tags or the like have changed.
    private static let clockSkew = Duration.seconds(15)

    /// What is followed.
    enum Source: Hashable, Sendable {
        case bucket(account: String, name: String)
        case notifications
    }

    /// One event, without its position.
    struct Event: Sendable {
        /// Nil: not of an object, or of all.
        var key: String?
        var fields: [(key: String, value: JSONValue)]
    }

    typealias Deliver = @Sendable (EventPosition, Event) async -> Void

    private struct Listener {
        var prefix: String
        var deliver: Deliver
    }

    private struct Stream {
        var ring: EventRing<Event>
        var listeners: [UInt64: Listener] = [:]
        var idleSince: Instant
        var began: WallTime
        var known: [String: [UInt8]] = [:]
        /// What is to be followed, if it is a bucket.
        var changes: (any ObjectChangeSource)?
        /// Whether what comes from now on is told; until then, who wants to listen waits.
        var isReady = false
        /// Those that wait for that, or have not noted since that it is.
        var arriving = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    let environment: Environment
    let status: StatusSource
    private var streams: [Source: Stream] = [:]
    private var connections: [String: Int] = [:]
    private var lastListener: UInt64 = 0
    private let arrivals: AsyncStream<Source>
    private let arrived: AsyncStream<Source>.Continuation

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    package init(environment: Environment, status: @escaping StatusSource) {
        self.environment = environment
        self.status = status
        // Bounded by the number of streams.
        (arrivals, arrived) = AsyncStream.makeStream(of: Source.self)
    }

    /// Follows what is listened to, until cancelled.
    package func run() async throws {
        await withDiscardingTaskGroup { group in
            for await source in arrivals {
                group.addTask(executorPreference: environment.executor) {
                    await self.follow(source)
                }
            }
            group.cancelAll()
        }
        try Task.checkCancellation()
    }

    // MARK: Connections

    /// Counts a connection in; false if there are too many.
    func admit(_ account: String) -> Bool {
        let count = connections[account] ?? 0
        guard count < EventHub.connectionsOfAccountMax,
            connections.values.reduce(0, +) < EventHub.connectionsMax
        else { return false }
        connections[account] = count + 1
        measure()
        return true
    }

    func dismiss(_ account: String) {
        let count = (connections[account] ?? 1) - 1
        connections[account] = count > 0 ? count : nil
        measure()
    }

    private func measure() {
        let count = connections.values.reduce(0, +)
        environment.metrics.gauge("cyxcloud_event_connections").set(Double(count))
    }

    // MARK: Listening

    enum Beginning: Sendable {
        /// From that position on, after what was missed.
        case at(EventPosition, missed: [(position: EventPosition, event: Event)])
        /// What was missed is not known any more.
        case lost(EventPosition)
        case tooMany
    }

    /// Has `deliver` called with what comes, in order, until `leave`.
    func listen(
        to source: Source, changes: (any ObjectChangeSource)?, prefix: String,
        after text: String?, _ deliver: @escaping Deliver
    ) async -> (listener: UInt64, Beginning) {
        if streams[source] == nil {
            guard streams.count < EventHub.streamsMax else { return (0, .tooMany) }
            let run = environment.random.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            streams[source] = Stream(
                ring: EventRing(run: run), idleSince: environment.now(),
                began: environment.wallTime(), changes: changes)
            arrived.yield(source)
        }
        if streams[source]?.isReady == false {
            streams[source]?.arriving += 1
            await withCheckedContinuation { streams[source]?.waiters.append($0) }
            streams[source]?.arriving -= 1
        }
        lastListener += 1
        streams[source]?.listeners[lastListener] = Listener(prefix: prefix, deliver: deliver)
        guard let ring = streams[source]?.ring else { return (0, .tooMany) }
        guard let text else { return (lastListener, .at(ring.position, missed: [])) }
        guard let position = EventPosition(text), let missed = ring.since(position) else {
            return (lastListener, .lost(ring.position))
        }
        return (
            lastListener, .at(ring.position, missed: missed.filter { matches($0.event, prefix) })
        )
    }

    func leave(_ source: Source, _ listener: UInt64) {
        streams[source]?.listeners[listener] = nil
        streams[source]?.idleSince = environment.now()
    }

    private func matches(_ event: Event, _ prefix: String) -> Bool {
        event.key?.utf8.starts(with: prefix.utf8) ?? true
    }

    private func tell(_ event: Event, on source: Source) async {
        guard let position = streams[source]?.ring.append(event) else { return }
        for listener in streams[source]?.listeners.values ?? [:].values
        where matches(event, listener.prefix) {
            await listener.deliver(position, event)
        }
    }

    // MARK: Following

    private func follow(_ source: Source) async {
        do {
            switch source {
            case .bucket(_, let name): try await follow(name, source)
            case .notifications: try await followStatus(source)
            }
        } catch {
            // Cancelled: the gateway is stopping.
        }
        for waiter in streams.removeValue(forKey: source)?.waiters ?? [] { waiter.resume() }
    }

    private func becomeReady(_ source: Source) {
        guard let waiters = streams[source]?.waiters, streams[source]?.isReady == false else {
            return
        }
        streams[source]?.isReady = true
        streams[source]?.began = environment.wallTime()
        streams[source]?.waiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func isWanted(_ source: Source) -> Bool {
        guard let stream = streams[source] else { return false }
        return !stream.listeners.isEmpty || stream.arriving > 0
            || environment.now() - stream.idleSince < EventHub.linger
    }

    private func follow(_ bucket: String, _ source: Source) async throws {
        var cursor: ObjectChangeCursor?
        var isFirst = true
        while isWanted(source), let changes = streams[source]?.changes {
            do {
                let page = try await changes.changes(in: bucket, since: cursor)
                if cursor == nil, !isFirst { await reset(bucket, source) }
                isFirst = false
                cursor = page.cursor
                if cursor != nil { becomeReady(source) }
                for change in page.changes { await tell(change, in: bucket, source) }
                if cursor != nil, !page.isComplete { continue }
            } catch ObjectError.noSuchBucket {
                // Whoever makes one of that name is followed from then on.
                cursor = nil
                isFirst = false
                becomeReady(source)
            } catch {
                try Task.checkCancellation()
                environment.logger.debug("changes could not be read", [("error", "\(error)")])
            }
            try await environment.sleep(for: EventHub.interval)
        }
    }

    /// Tells all that they must list anew.
    private func reset(_ bucket: String, _ source: Source) async {
        streams[source]?.ring.forget()
        streams[source]?.known = [:]
        let event = Event(
            key: nil,
            fields: [
                ("type", .string("reset")), ("stream", .string("objects")),
                ("bucket", .string(bucket)),
                ("text", .string("changes were missed; list the bucket anew")),
            ])
        await tell(event, on: source)
    }

    private func tell(_ change: ObjectChange, in bucket: String, _ source: Source) async {
        guard let stream = streams[source] else { return }
        let write = Array(change.kind.rawValue.utf8) + change.write
        guard stream.known[change.key] != write else { return }
        let isOld =
            change.info.map {
                $0.modified.milliseconds
                    < stream.began.milliseconds - EventHub.clockSkew.nanoseconds / 1_000_000
            } ?? false
        if stream.known.count >= EventHub.knownWrites { streams[source]?.known = [:] }
        streams[source]?.known[change.key] = write
        // A restored version is older than that by its nature.
        if isOld, change.kind == .created, stream.known[change.key] == nil { return }
        var fields: [(key: String, value: JSONValue)] = [
            ("type", .string(change.kind.rawValue)), ("stream", .string("objects")),
            ("bucket", .string(bucket)), ("key", .string(change.key)),
        ]
        if let info = change.info {
            fields += [
                ("size", .integer(Int64(clamping: info.size))), ("etag", .string(info.etag)),
                ("version", info.versionID.map { .string($0) } ?? .null),
                ("time", .string(info.modified.rfc3339)),
            ]
        }
        await tell(Event(key: change.key, fields: fields), on: source)
    }

    private func followStatus(_ source: Source) async throws {
        var tracker = NotificationTracker()
        becomeReady(source)
        while isWanted(source) {
            for found in tracker.update(await status()) {
                guard case .object(let fields) = found else { continue }
                let time = JSONValue.string(environment.wallTime().rfc3339)
                await tell(
                    Event(
                        key: nil,
                        fields: [
                            ("type", .string("notification")),
                            ("stream", .string("notifications")),
                        ] + fields + [("time", time)]), on: source)
            }
            try await environment.sleep(for: EventHub.statusInterval)
        }
    }
}
