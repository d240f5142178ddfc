internal import CyxCore
internal import CyxCrypto
internal import CyxTables
internal import CyxTransport

/// Finds what crashed gateways left behind: segments of the account that nothing needs any more
/// (B5). Walks over the whole key space again and again, slowly; every gateway of the account does,
/// and they do not disturb each other.
actor Collector {
    /// Parts after which the account's pins are looked at once more.
    private static let pinSteps = 16

    private unowned let gateway: ObjectGateway
    private let context: ObjectContext
    private let keys: AccountKeys
    private let references: SegmentReferences
    private let remover: SegmentRemover
    private let rewriter: PackRewriter
    private let collected: Counter
    private let rewritten: Counter
    private let rounds: Counter
    private let logger: Logger

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(gateway: ObjectGateway, context: ObjectContext, keys: AccountKeys) {
        self.gateway = gateway
        self.context = context
        self.keys = keys
        references = SegmentReferences(context: context, keys: keys)
        remover = SegmentRemover(references: references)
        let background = context.with(.background)
        rewriter = PackRewriter(
            context: background, references: references,
            fetcher: SegmentFetcher(context: background, runner: gateway.runner),
            cleaner: gateway.cleaner)
        collected = context.environment.metrics.counter("cyxcloud_collected_segments_total")
        rewritten = context.environment.metrics.counter("cyxcloud_packs_rewritten_total")
        rounds = context.environment.metrics.counter("cyxcloud_collection_rounds_total")
        logger = context.environment.logger.labelled("collection")
    }

    func run() async throws {
        var step = 0
        while true {
            try await context.environment.sleep(for: context.timings.collection.pause)
            if step % Collector.pinSteps == 0 { await dropDuePins() }
            do {
                try await collect(step)
            } catch {
                // The next round comes by here again.
                logger.debug("a part was not collected", [("error", "\(error)")])
            }
            step = (step + 1) % (1 << context.timings.collection.partBits)
            if step == 0 { rounds.add() }
        }
    }

    private func dropDuePins() async {
        do {
            try await gateway.dropDuePins()
        } catch {
            logger.debug("pins were not looked at", [("error", "\(error)")])
        }
    }

    private func collect(_ step: Int) async throws {
        let bits = context.timings.collection.partBits
        let position = Digest(UInt64(step) << (64 - UInt64(bits)), 0, 0, 0)
        let own = keys.signing.verifyingKey.bytes
        var after: RowKey?
        while true {
            let page = try await context.tables.scan(
                .segments, position: position, prefixBits: bits, after: after,
                limit: RowLimits.scanPageRows)
            for row in page where row.key.suffix.isEmpty {
                guard let value = row.state.value, Collector.account(of: value) == own else {
                    continue
                }
                try await judge(SegmentID(row.key.position), value)
            }
            guard page.count == RowLimits.scanPageRows, let last = page.last else { return }
            after = last.key
        }
    }

    private static func account(of value: [UInt8]) -> [UInt8]? {
        do { return try SignedRow(protobuf: value).accountKey } catch { return nil }
    }

    /// Removes the segment if nothing needs it, and moves what is needed of one that many shared.
    private func judge(_ segment: SegmentID, _ value: [UInt8]) async throws {
        let life = SegmentShape.life(value)
        if life == .live {
            guard let created = Collector.created(value, of: segment), isOld(created) else {
                return
            }
        }
        var stale: [StoredReference] = []
        var standing = 0
        var shares: [PackShare] = []
        for stored in try await references.read(segment) {
            if isOld(stored.created), let reference = stored.reference {
                switch try await need(segment, reference) {
                case .none:
                    stale.append(stored)
                    continue
                case .share(let share): shares.append(share)
                case .unknown: break
                }
            }
            standing += 1
        }
        try await references.remove(stale.map(\.element), of: segment)
        if standing > 0 {
            if case .condemning = life {
                // Somebody condemned it and went away before lifting that again.
                _ = try await remover.remove(segment, hints: [], isLastAttempt: false)
            } else if life == .live, shares.count == standing {
                await rewrite(value, of: segment, shares)
            }
            return
        }
        // A holder that was reached and not told in an earlier round finds out by itself.
        let isLastAttempt = life == .condemned
        guard try await remover.remove(segment, hints: [], isLastAttempt: isLastAttempt) else {
            return
        }
        collected.add()
        logger.info("collected a segment that nothing needs", [("segment", "\(segment)")])
    }

    /// Moves what is needed of a pack whose every reference is a version's, if that is little.
    private func rewrite(
        _ value: [UInt8], of segment: SegmentID, _ shares: [PackShare]
    ) async {
        do {
            let shape = try SegmentShape.verified(value, of: segment).shape
            guard PackRewriter.isWorthwhile(shape, shares) else { return }
            for version in try await rewriter.rewrite(shape, shares) {
                await gateway.forgetContent(of: version)
            }
            rewritten.add()
            logger.info("moved what is needed of a pack", [("segment", "\(segment)")])
        } catch {
            // It stays where it is until the next round.
            logger.info("a pack could not be moved", [("error", "\(error)")])
        }
    }

    private static func created(_ value: [UInt8], of segment: SegmentID) -> WallTime? {
        do { return try SegmentShape.verified(value, of: segment).shape.created } catch {
            return nil
        }
    }

    private func isOld(_ time: WallTime) -> Bool {
        let age = context.environment.wallTime().milliseconds - time.milliseconds
        return age > context.timings.collection.grace.nanoseconds / 1_000_000
    }

    // MARK: References

    private enum Need: Sendable {
        case none
        case share(PackShare)
        /// For all that is known here, all of the segment is needed.
        case unknown
    }

    /// Whether an old reference still stands. One that does not is fenced first, so that no write
    /// can make it stand again.
    private func need(
        _ segment: SegmentID, _ reference: SegmentReference
    ) async throws -> Need {
        let store = VersionStore(
            context: context, keys: keys, bucket: keys.keys(for: reference.bucket))
        switch reference.owner {
        case .version(let write):
            let version = VersionID(position: reference.position, write: write)
            var fencing = try await store.fence(write, at: version.position)
            if fencing == .mayBeEarlier {
                if try await store.isKept(write, at: version.position) {
                    return try await need(segment, reference, in: version, store)
                }
                fencing = try await store.fence(write, at: version.position, isNoneEarlier: true)
            }
            switch fencing {
            case .isCurrent: return try await need(segment, reference, in: version, store)
            case .refused, .mayBeEarlier: return .unknown
            case .fenced, .wasFenced:
                // It may have left its head between the two looks.
                guard try await !store.isKept(write, at: version.position) else {
                    return .unknown
                }
                let rows = try await store.rows(of: version)
                await gateway.cleaner.submit(.rows(rows), in: store)
                return .none
            }
        case .upload(let id):
            return try await need(segment, reference, upload: id, store)
        case .pin(let id):
            // Its row comes before its references and goes before them, for good.
            if try await PinStore(context: context, keys: keys).exists(id) { return .unknown }
            let version = VersionID(position: reference.position, write: id)
            await gateway.cleaner.submit(.rows(try await store.rows(of: version)), in: store)
            return .none
        }
    }

    /// What a version that counts needs of the segment.
    private func need(
        _ segment: SegmentID, _ reference: SegmentReference, in version: VersionID,
        _ store: VersionStore
    ) async throws -> Need {
        guard let layout = try await store.layout(of: version) else { return .none }
        if layout.segments.contains(where: { $0.core?.segment == segment.bytes }) {
            return PackShare(version, reference, store, layout).map { .share($0) } ?? .unknown
        }
        return try await store.fenceLayout(version, layout.row) ? .none : .unknown
    }

    private func need(
        _ segment: SegmentID, _ reference: SegmentReference, upload id: [UInt8],
        _ store: VersionStore
    ) async throws -> Need {
        let position = reference.position
        let row = store.bucket.upload(position, id)
        let value = try await context.tables.read(row).value
        if let value {
            guard let upload = store.upload(value, at: row), upload.state != .open else {
                return .unknown
            }
            if upload.state == .completing {
                // Its rows stay for another round: whoever completes it right now looks for them.
                try await store.endCompletion(of: id, at: position)
                return .unknown
            }
            // They have served their time: who asks again for the completion finds the head.
            let parts = try await store.parts(of: id, at: position).map(\.key)
            await gateway.cleaner.submit(.rows(parts + [row]), in: store)
        }
        let key = RowKey(table: .heads, position: position)
        guard let value = try await context.tables.read(key).value else { return .none }
        guard store.head(value, at: key) != nil else { return .unknown }
        guard let version = try await store.version(completedFrom: id, at: position) else {
            return .none
        }
        return try await need(
            segment, reference, in: VersionID(position: position, write: version.write), store)
    }
}
