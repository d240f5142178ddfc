internal import CyxCore
internal import CyxHTTP
internal import CyxObjects

/// One client of the events: what it listens to, and what waits to be sent to it.
actor EventSession {
    /// Of a message of the client, and so of its frames.
    static let messageBytesMax: UInt64 = 64 << 10
    static let subscriptionsMax = 16
    static let pingInterval = Duration.seconds(20)
    /// A client that says nothing for so long, not even a pong, is gone.
    static let silenceMax = Duration.seconds(50)
    /// What a client may do is looked at anew when it comes back, after so long at the latest.
    static let lifetime = Duration.seconds(3600)
    /// How long the closing handshake may take.
    static let closingTime = Duration.seconds(5)
    /// Messages that are made into frames before the first of them is sent.
    private static let framedAtOnce = 32

    /// What the session asks before a client may listen: throws what is said to it instead.
    typealias Opening =
        @Sendable (_ bucket: String, _ prefix: String) async throws ->
        (account: String, changes: any ObjectChangeSource)

    private struct Subscription {
        var source: EventHub.Source
        var listener: UInt64
    }

    private let environment: Environment
    private let hub: EventHub
    private let open: Opening
    /// Whether it may see the peer's own state.
    private let isOperator: Bool
    private let lifetime: Duration
    private let codec = WebSocketCodec(messageBytesMax: EventSession.messageBytesMax)
    private var subscriptions: [EventCommand.Stream: Subscription] = [:]
    private var metrics: (every: Duration, next: Instant)?
    private var queue = EventQueue()
    private var heard: Instant
    private var closingSince: Instant?
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    init(
        environment: Environment, hub: EventHub, isOperator: Bool, lifetime: Duration,
        open: @escaping Opening
    ) {
        self.environment = environment
        self.hub = hub
        self.isOperator = isOperator
        self.lifetime = lifetime
        self.open = open
        heard = environment.now()
        (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Serves the connection to its end.
    func run(_ socket: HTTPSocket) async {
        await withTaskGroup(of: Void.self) { group in
            let executor = environment.executor
            group.addTask(executorPreference: executor) { await self.read(socket) }
            group.addTask(executorPreference: executor) { await self.write(socket) }
            group.addTask(executorPreference: executor) { await self.keepTime() }
            await group.next()
            wake.finish()
            await socket.end()
            group.cancelAll()
        }
        for subscription in subscriptions.values {
            await hub.leave(subscription.source, subscription.listener)
        }
        subscriptions = [:]
    }

    /// Closes a connection of an account that has as many as it may.
    static func refuse(_ socket: HTTPSocket) async {
        let codec = WebSocketCodec(messageBytesMax: messageBytesMax)
        codec.close(.tryAgainLater, "too many connections of this account")
        do { try await socket.write(codec.takeOutput()) } catch {
            // It is gone already.
        }
    }

    // MARK: To the client

    private func write(_ socket: HTTPSocket) async {
        for await _ in wakes {
            while true {
                for message in queue.take(EventSession.framedAtOnce) { codec.send(message) }
                let bytes = codec.takeOutput()
                guard !bytes.isEmpty else { break }
                do { try await socket.write(bytes) } catch { return }
            }
            if codec.isOver { return }
        }
    }

    private func send(_ fields: [(key: String, value: JSONValue)]) {
        guard closingSince == nil else { return }
        let text = JSONValue.object(fields).encoded
        guard queue.append(text) else {
            queue.removeAll()
            environment.metrics.counter("cyxcloud_events_slow_clients_total").add()
            return close(.tryAgainLater, "too slow: come back with your last position")
        }
        wake.yield()
    }

    private func close(_ code: WebSocketCodec.Code, _ reason: String) {
        guard closingSince == nil else { return }
        closingSince = environment.now()
        codec.close(code, reason)
        wake.yield()
    }

    private func deliver(_ position: EventPosition, _ event: EventHub.Event) {
        send(event.fields + [("position", .string(position.text))])
    }

    private func refuse(_ code: String, _ message: String) {
        send([
            ("type", .string("error")), ("code", .string(code)), ("message", .string(message)),
        ])
    }

    // MARK: Time

    private func keepTime() async {
        let began = environment.now()
        var pinged = began
        while true {
            do { try await environment.sleep(for: .seconds(1)) } catch { return }
            let now = environment.now()
            if let closingSince {
                if now - closingSince > EventSession.closingTime { return }
                continue
            }
            if now - heard > EventSession.silenceMax { return }
            if now - began > lifetime {
                close(.goingAway, "come back with your last position")
            } else if now - pinged >= EventSession.pingInterval {
                pinged = now
                codec.ping()
                wake.yield()
            }
            await tellMetrics(now)
        }
    }

    private func tellMetrics(_ now: Instant) async {
        guard let due = metrics, now >= due.next else { return }
        metrics?.next = now + due.every
        let status = await hub.status()
        send([
            ("type", .string("metrics")), ("stream", .string("metrics")),
            ("time", .string(environment.wallTime().rfc3339)), ("status", status),
        ])
    }

    // MARK: From the client

    private func read(_ socket: HTTPSocket) async {
        while true {
            let bytes: [UInt8]
            do {
                guard let more = try await socket.read() else { return }
                bytes = more
            } catch {
                return
            }
            heard = environment.now()
            for event in codec.receive(bytes) {
                switch event {
                case .text(let text): await obey(text)
                case .binary: refuse("InvalidMessage", "messages are JSON text")
                case .pong: break
                case .close: closingSince = closingSince ?? environment.now()
                }
            }
            wake.yield()
            // One that asks by pings, and hears no answer.
            if codec.queuedMessages > EventQueue.messagesMax { return }
        }
    }

    private func obey(_ text: String) async {
        let command: EventCommand
        do { command = try EventCommand(text) } catch {
            return refuse("InvalidMessage", error.message)
        }
        switch command {
        case .unsubscribe(let stream):
            if stream == .metrics { metrics = nil }
            if let old = subscriptions.removeValue(forKey: stream) {
                await hub.leave(old.source, old.listener)
            }
            send([("type", .string("unsubscribed"))] + stream.fields)
        case .subscribe(let stream, let after, let seconds):
            do {
                try await subscribe(stream, after, seconds)
            } catch let error as S3Error {
                refuse(error.code, error.message)
            } catch let error as ObjectError {
                let known = S3Error(error)
                refuse(known.code, known.message)
            } catch {
                refuse("InternalError", "the gateway failed")
            }
        }
    }

    private func subscribe(
        _ stream: EventCommand.Stream, _ after: String?, _ seconds: Int64
    ) async throws {
        guard subscriptions[stream] != nil || subscriptions.count < EventSession.subscriptionsMax
        else {
            return refuse(
                "TooManySubscriptions", "a connection has \(EventSession.subscriptionsMax) at most")
        }
        var prefix = ""
        var changes: (any ObjectChangeSource)?
        let source: EventHub.Source
        switch stream {
        case .objects(let bucket, let wanted):
            let found = try await open(bucket, wanted)
            (prefix, changes) = (wanted, found.changes)
            source = .bucket(account: found.account, name: bucket)
        case .metrics, .notifications:
            guard isOperator else { throw S3Error.denied }
            source = .notifications
        }
        if stream == .metrics {
            metrics = (.seconds(seconds), environment.now())
            return send([("type", .string("subscribed"))] + stream.fields)
        }
        if let old = subscriptions.removeValue(forKey: stream) {
            await hub.leave(old.source, old.listener)
        }
        // What comes from now on is queued behind what the next lines say: the hub runs on the same
        // executor, and nothing here waits in between.
        let (listener, beginning) = await hub.listen(
            to: source, changes: changes, prefix: prefix, after: after
        ) { [weak self] position, event in await self?.deliver(position, event) }
        if case .tooMany = beginning {
            return refuse("TooManyStreams", "this gateway follows as many buckets as it may")
        }
        subscriptions[stream] = Subscription(source: source, listener: listener)
        switch beginning {
        case .tooMany: break
        case .at(let position, let missed):
            // Where it was before, so that who is cut off now asks for the missed ones again.
            let first = missed.isEmpty ? position.text : after ?? position.text
            send(
                [("type", .string("subscribed"))] + stream.fields + [("position", .string(first))])
            for (position, event) in missed { deliver(position, event) }
        case .lost(let position):
            send(
                [("type", .string("reset"))] + stream.fields + [
                    ("text", .string("changes were missed; list the bucket anew")),
                    ("position", .string(position.text)),
                ])
        }
    }
}
