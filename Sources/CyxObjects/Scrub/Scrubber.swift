internal import CyxCore
internal import CyxOverlay
package import CyxStorage
internal import CyxTransport

/// Reads every stored shard again within a period, slowly, and has those that went bad rebuilt
/// elsewhere before readers and audits meet them.
package actor Scrubber {
    /// Rows looked at in one step of the walk.
    static let page = 256
    /// Files between two notes of how far the walk is.
    static let noteEvery = 16
    /// How long a deletion's order is kept: no row of a deleted segment is left by then.
    static let deletionsKept = Duration.seconds(30 * 86_400)

    private let context: ObjectContext
    private let holder: ShardHolder
    private let store: ShardStore
    private let timings: ScrubTimings
    private var machine: ScrubMachine?
    private let logger: Logger

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    package init(context: ObjectContext, holder: ShardHolder, store: ShardStore) {
        self.context = context
        self.holder = holder
        self.store = store
        timings = context.timings.scrub
        logger = context.environment.logger.labelled("scrub")
    }

    package var status: ScrubStatus {
        machine?.status(now: context.environment.wallTime()) ?? ScrubStatus()
    }

    /// Walks until the task is cancelled.
    package func run() async throws {
        try await resume()
        while true {
            do {
                try await reportBad()
                try await walk()
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("scrubbing waits for the store", [("error", "\(error)")])
            }
            try await context.environment.sleep(for: timings.rest)
        }
    }

    private static let cursorNote = [UInt8(ascii: "s")]
    private static let badPrefix = [UInt8(ascii: "b")]

    /// Goes on where the last life of this process was.
    private func resume() async throws {
        let now = context.environment.wallTime()
        let used = UInt64(max(0, await store.usage.used))
        machine = ScrubMachine(timings: timings, total: used, now: now)
        do {
            guard let note = try await store.note(Scrubber.cursorNote) else { return }
            machine = try ScrubMachine(bytes: note, timings: timings)
        } catch {
            logger.warning("scrubbing starts over", [("error", "\(error)")])
        }
    }

    private func note() async throws(StoreError) {
        guard let machine else { return }
        try await store.setNotes([(Scrubber.cursorNote, machine.bytes)])
        publish()
    }

    private func publish() {
        let status = status
        context.environment.metrics.gauge("cyxcloud_store_scrub_progress_ratio")
            .set(status.progress)
    }

    // MARK: Walking

    private func walk() async throws {
        var after = machine?.cursor.map { ShardFile.record($0) }
        var files = 0
        while true {
            let page = try await store.list(after: after, limit: Scrubber.page)
            for (key, _) in page where key.chunk == ShardFile.recordNumber {
                try await check(ShardID(segment: key.segment, index: Int(key.index)))
                files += 1
                if files.isMultiple(of: Scrubber.noteEvery) { try await note() }
            }
            guard page.count == Scrubber.page, let last = page.last else { break }
            after = last.key
        }
        let used = UInt64(max(0, await store.usage.used))
        machine?.finish(total: used, now: context.environment.wallTime())
        try await note()
        try await forgetDeletions()
    }

    private func check(_ shard: ShardID) async throws {
        let finding = try await holder.scrub(shard) { bytes in
            try await self.pause(after: bytes)
        }
        machine?.checked(shard, isBad: finding == .bad)
        guard finding == .bad else { return }
        context.environment.metrics.counter(
            "cyxcloud_store_corrupt_shards_total", [("found_by", "scrub")]
        ).add()
        logger.error(
            "a stored shard went bad", [("shard", "\(shard.segment)/\(shard.index)")])
        // Before it is dropped: whoever drops it and forgets to say so would fail an audit.
        let name = Scrubber.badPrefix + shard.segment.bytes + [UInt8(shard.index)]
        try await store.setNotes([(name, [])])
        await holder.discard(shard)
        try await reportBad()
    }

    private func pause(after bytes: Int) async throws {
        let now = context.environment.wallTime()
        guard let pause = machine?.read(bytes, now: now) else { return }
        try await context.environment.sleep(for: pause)
    }

    /// Tells custodians of bad shards until one has taken the word.
    private func reportBad() async throws {
        let local = context.messaging.localPeer
        for (name, _) in try await store.notes(
            Scrubber.badPrefix, after: nil, limit: Scrubber.page)
        {
            guard name.count == 1 + Digest.byteCount + 1,
                let segment = SegmentID(bytes: Array(name[1..<33])),
                await context.report(segment, suspect: local, index: Int(name[33]))
            else { continue }
            try await store.setNotes([(name, nil)], durable: false)
        }
    }

    private func forgetDeletions() async throws(StoreError) {
        let limit =
            context.environment.wallTime().milliseconds
            - Scrubber.deletionsKept.nanoseconds / 1_000_000
        var after: [UInt8]?
        while true {
            let page = try await store.notes(
                ShardFile.deletionPrefix, after: after, limit: Scrubber.page)
            let old = page.filter { note in
                let time = note.value.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                return Int64(bitPattern: time) < limit
            }
            if !old.isEmpty {
                try await store.setNotes(old.map { ($0.name, nil) }, durable: false)
            }
            guard page.count == Scrubber.page, let last = page.last else { return }
            after = last.name
        }
    }
}
