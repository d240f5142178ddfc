package import CyxCore
package import CyxCrypto
package import CyxStorage
package import CyxTransport

/// The storage side of a peer: takes shard files, proves what it took, gives ranges back.
package actor ShardHolder {
    /// Trees of recently read files that are kept decoded.
    static let cachedTrees = 64
    /// Dropped uploads that are remembered.
    static let droppedUploads = 1024

    private struct DroppedUpload: Hashable {
        var shard: ShardID
        var writer: PeerID
    }

    let environment: Environment
    let messaging: any PeerMessaging
    let store: ShardStore
    let signing: SigningKey
    let timings: ObjectTimings
    let serving: ServingState
    let logger: Logger
    let storedBytes: Counter
    let servedBytes: Counter
    var uploads = UploadTable()
    /// Files that were given up lately, and by whom: what was on its way then comes too late.
    private var dropped = BoundedCache<DroppedUpload, Bool>(capacity: ShardHolder.droppedUploads)
    var audits = AuditLimiter()
    var isAuditing = false
    var files = BoundedCache<ShardID, StoredFile>(capacity: ShardHolder.cachedTrees)

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    /// `signing`: the peer's identity key.
    package init(
        environment: Environment, messaging: any PeerMessaging, store: ShardStore,
        signing: SigningKey, timings: ObjectTimings, serving: ServingState = ServingState()
    ) {
        self.environment = environment
        self.messaging = messaging
        self.store = store
        self.signing = signing
        self.timings = timings
        self.serving = serving
        logger = environment.logger.labelled("holder")
        storedBytes = environment.metrics.counter("cyxcloud_shard_bytes_stored_total")
        servedBytes = environment.metrics.counter("cyxcloud_shard_bytes_served_total")
    }

    /// Answers requests from now on.
    package nonisolated func start() {
        answer(.appendShard) { try await $0.append($2, from: $1) }
        answer(.readShard) { holder, _, request in try await holder.read(request) }
        answer(.auditShard) { try await $0.audit($2, from: $1) }
        answer(.deleteSegment) { holder, _, request in try await holder.deleteSegment(request) }
        answer(.dropUpload) { try await $0.dropUpload($2, from: $1) }
    }

    /// Answers `method`, unless the peer has stopped serving.
    private nonisolated func answer(
        _ method: RPCMethod,
        _ body: @escaping @Sendable (ShardHolder, PeerID, [UInt8]) async throws -> [UInt8]
    ) {
        messaging.handle(method) { remote, request in
            if let words = self.serving.suspension { throw ShardRefusal.suspended.failure(words) }
            return try await body(self, remote.peer, request)
        }
    }

    /// Drops files that were begun and never finished.
    package func run() async throws {
        while true {
            try await environment.sleep(for: timings.unfinishedUpload / 8)
            let limit = environment.now() - timings.unfinishedUpload
            for shard in uploads.expire(before: limit) { await removePieces(of: shard) }
        }
    }

    // MARK: Writing

    private func append(_ bytes: [UInt8], from writer: PeerID) async throws -> [UInt8] {
        guard let request = Self.decoded(AppendShardRequest.self, bytes),
            let shard = ShardID(segment: request.segment, index: request.index),
            request.offset <= UInt64(max(0, ShardFile.bytes - request.data.count))
        else { throw ShardRefusal.malformed.failure("append") }
        guard dropped[DroppedUpload(shard: shard, writer: writer)] == nil else {
            throw ShardRefusal.notFound.failure("the upload was dropped")
        }
        if let answer = try await answerForFinished(shard, request) { return answer }
        let offset = Int(request.offset)
        let progress: UploadTable.Progress
        switch uploads.claim(shard, offset: offset, writer: writer, now: environment.now()) {
        case .granted(let soFar): progress = soFar
        case .refused(let refusal): throw refusal.failure("append at \(offset)")
        }
        do throws(RPCFailure) {
            var step = try await take(request, shard, progress)
            step.progress.epoch = try await put(step)
            storedBytes.add(UInt64(request.data.count))
            guard uploads.wrote(shard, step.progress) else {
                throw ShardRefusal.notFound.failure("the upload was dropped")
            }
            guard let receipt = step.receipt else {
                return AppendShardResponse().protobufBytes()
            }
            uploads.remove(shard)
            files.remove(shard)
            return AppendShardResponse(receipt: receipt).protobufBytes()
        } catch {
            await removePieces(of: shard)
            uploads.remove(shard)
            throw error
        }
    }

    private struct Step: Sendable {
        var progress: UploadTable.Progress
        var puts: [(key: ShardKey, bytes: [UInt8])]
        /// Not to be shown before `puts` are durable.
        var receipt: StoreReceipt?
    }

    /// Hashes and cuts into pieces, and with a core checks the whole, in one visit to the pool.
    private func take(
        _ request: AppendShardRequest, _ shard: ShardID, _ before: UploadTable.Progress
    ) async throws(RPCFailure) -> Step {
        let nonce = environment.random.bytes(StoreReceipt.nonceBytes)
        let storeID = store.storeID
        let stored = environment.wallTime()
        return try await environment.blocking.run { [signing] () throws(RPCFailure) in
            var progress = before
            let first = progress.storedPieces
            let isLast = !request.core.isEmpty
            let pieces = progress.take(request.data, isLast: isLast)
            var puts = pieces.enumerated().map { number, bytes in
                (key: ShardFile.key(shard, first + UInt32(number)), bytes: bytes)
            }
            guard isLast else { return Step(progress: progress, puts: puts) }
            let tree = progress.tree.finalize()
            let shape: SegmentShape
            do {
                shape = try SegmentShape.verified(request.core, of: shard.segment).shape
            } catch { throw ShardRefusal.malformed.failure("core") }
            guard shard.index < shape.roots.count, shape.roots[shard.index] == tree.root,
                shape.fileBytes == progress.byteCount
            else { throw ShardRefusal.wrongRoot.failure("finish") }
            let record = ShardRecord(
                core: request.core, tree: Digests.join(tree.groups),
                fileBytes: UInt64(progress.byteCount), storedMs: stored.milliseconds)
            puts.append((ShardFile.record(shard), record.protobufBytes()))
            let receipt = StoreReceipt.signed(
                shard, root: tree.root, fileBytes: progress.byteCount, store: storeID, nonce: nonce,
                by: signing)
            return Step(progress: progress, puts: puts, receipt: receipt)
        }
    }

    /// Puts a step's pieces. Only the last step waits for a flush, which covers the whole file: what
    /// a crash takes before was never acknowledged.
    private func put(_ step: Step) async throws(RPCFailure) -> WriteEpoch {
        do {
            return try await store.put(
                step.puts, durable: step.receipt != nil, since: step.progress.epoch)
        } catch { throw ShardHolder.refusal(error) }
    }

    /// What to say about a file that is finished already: a receipt to who asks for nothing else,
    /// a refusal to who would write it again, unless it has gone bad. Nil: write on.
    private func answerForFinished(
        _ shard: ShardID, _ request: AppendShardRequest
    ) async throws -> [UInt8]? {
        guard request.offset == 0 || request.data.isEmpty, uploads.uploads[shard] == nil,
            let file = try await finishedFile(shard)
        else { return nil }
        guard await isIntact(file) else {
            files.remove(shard)
            await removePieces(of: shard)
            return nil
        }
        guard request.data.isEmpty, !request.core.isEmpty else {
            throw ShardRefusal.exists.failure("append")
        }
        // A put that failed may have left a file that can be read and is not durable.
        do throws(StoreError) {
            try await store.put([])
        } catch { throw ShardHolder.refusal(error) }
        let receipt = StoreReceipt.signed(
            shard, root: file.tree.root, fileBytes: file.fileBytes, store: store.storeID,
            nonce: environment.random.bytes(StoreReceipt.nonceBytes), by: signing)
        return AppendShardResponse(receipt: receipt).protobufBytes()
    }

    // MARK: Removing

    private func deleteSegment(_ bytes: [UInt8]) async throws -> [UInt8] {
        guard let request = Self.decoded(DeleteSegmentRequest.self, bytes),
            let statement = SegmentDeletion(verifying: request.statement)
        else { throw ShardRefusal.malformed.failure("delete") }
        uploads.drop(statement.segment)
        do throws(StoreError) {
            let keys = try await store.list(statement.segment).map(\.key)
            for key in keys where key.chunk == ShardFile.recordNumber {
                let shard = ShardID(segment: statement.segment, index: Int(key.index))
                if let record = try await record(of: shard),
                    let core = SegmentShape.owner(record.core, of: statement.segment),
                    core != statement.account
                {
                    throw .failed(operation: "delete", detail: "the segment is another's")
                }
                files.remove(shard)
            }
            if !keys.isEmpty {
                var note = ByteWriter(capacity: 8 + request.statement.count)
                note.write(UInt64(bitPattern: environment.wallTime().milliseconds))
                note.write(request.statement)
                try await store.setNotes(
                    [(ShardFile.deletionNote(statement.segment), note.bytes)], durable: false)
            }
            // Also what was put since they were listed goes.
            try await store.trash(statement.segment, .ordered)
            return DeleteSegmentResponse(deleted: UInt32(keys.count)).protobufBytes()
        } catch { throw ShardHolder.refusal(error) }
    }

    private func dropUpload(_ bytes: [UInt8], from writer: PeerID) async throws -> [UInt8] {
        guard let request = Self.decoded(DropUploadRequest.self, bytes),
            let shard = ShardID(segment: request.segment, index: request.index)
        else { throw ShardRefusal.malformed.failure("drop") }
        dropped[DroppedUpload(shard: shard, writer: writer)] = true
        if uploads.uploads[shard]?.writer == writer, uploads.drop(shard) {
            await removePieces(of: shard)
        }
        return DropUploadResponse().protobufBytes()
    }

    /// Moves a segment's files to the trash.
    func trash(_ segment: SegmentID, _ reason: TrashReason) async throws(StoreError) {
        for key in try await store.list(segment) where key.key.chunk == ShardFile.recordNumber {
            files.remove(ShardID(segment: segment, index: Int(key.key.index)))
        }
        try await store.trash(segment, reason)
    }

    /// Removes the pieces of a file that was never finished and that nobody is writing: this peer
    /// was restarted meanwhile. Nothing of it was ever acknowledged.
    func dropAbandoned(_ shard: ShardID) async {
        guard uploads.uploads[shard] == nil,
            case .granted = uploads.claim(
                shard, offset: 0, writer: messaging.localPeer, now: environment.now())
        else { return }
        // The claim keeps writers off until the pieces are gone.
        do throws(StoreError) {
            if try await record(of: shard) == nil { await removePieces(of: shard) }
        } catch {
            logger.debug("an abandoned file was left", [("error", "\(error)")])
        }
        uploads.remove(shard)
    }

    func removePieces(of shard: ShardID) async {
        do throws(StoreError) {
            let keys = try await store.list(shard.segment).map(\.key)
            try await store.delete(keys.filter { $0.index == UInt8(shard.index) })
        } catch {
            logger.warning("a shard file could not be removed", [("error", "\(error)")])
        }
    }

    static func refusal(_ error: StoreError) -> RPCFailure {
        switch error {
        case .noSpace: ShardRefusal.noSpace.failure("no space left")
        default: ShardRefusal.storeFailed.failure("\(error)")
        }
    }

    static func decoded<Message: ProtobufMessage>(
        _ type: Message.Type, _ bytes: [UInt8]
    ) -> Message? {
        do { return try Message(protobuf: bytes) } catch { return nil }
    }
}
