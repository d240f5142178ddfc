internal import CyxCore
internal import CyxTransport

/// Answering operations on rows, as a member of their view.
extension TableService {
    /// Answers a batch; everything that it changed is durable before any answer leaves.
    func answerRows(_ request: [UInt8], from sender: PeerID) async throws -> [UInt8] {
        try checkServing(sender)
        let (requests, author) = try decode(request, from: sender)
        let pointKeys = requests.filter { !TableService.isOfRange($0) }.map(\.key)
        var replies: [RowReply] = []
        let failures = rows.failures
        do {
            try await rows.load(pointKeys)
            var needsSettling = false
            for request in requests {
                switch request.operation {
                case .scan: replies.append(try await answerScan(request))
                case .changes: replies.append(try await answerChanges(request))
                case .compare: replies.append(try await answerComparison(request))
                default:
                    replies.append(try await answerPoint(request, from: author))
                    needsSettling =
                        needsSettling
                        || !rows.isDurable(request.key)
                            && configuration.keeps(.acceptsDurably)
                }
            }
            if needsSettling { try await rows.settle() }
            if rows.failures != failures {
                throw StoreError.failed(operation: "write", detail: "rolled back")
            }
        } catch let error as StoreError {
            logger.warning("row store failed", [("error", "\(error)")])
            let failed = RowReply(status: .failed, detail: "\(error)")
            replies = requests.map { _ in failed }
        }
        return TablesBatch(items: replies.map { $0.protobufBytes() }).protobufBytes()
    }

    private static func isOfRange(_ request: RowRequest) -> Bool {
        switch request.operation {
        case .scan, .changes, .compare: true
        default: false
        }
    }

    /// Why a request for that view is not answered here; nil: it is (A3). `key` is a row's, or of a
    /// scan the bound that it begins at.
    func refusal(_ reference: ViewReference, key: [UInt8]) -> RowReply? {
        guard let id = reference.id, let position = StorageKey.position(ofBound: key),
            id.partition.contains(position)
        else { return RowReply(status: .rejected, detail: "not a row of that partition") }
        return refusal(id, around: position)
    }

    /// Why operations of that view are not answered here; nil: they are. `position`: around which a
    /// later view is of use to who asks.
    func refusal(_ id: ViewID, around position: Digest?) -> RowReply? {
        if let known = successor(of: id, around: position) {
            return RowReply(status: .otherView, certificate: known.bytes)
        }
        guard let replica = replicas[id.partition], replica.view.id == id,
            isListed(in: replica.view)
        else { return RowReply(status: .behind) }
        return replica.isServing(without: configuration.brokenRules)
            ? nil : RowReply(status: .busy)
    }

    private func answerPoint(
        _ request: RowRequest, from author: Author
    ) async throws(StoreError) -> RowReply {
        while true {
            // From the check to the change nothing is awaited: a seal comes before or after both.
            if let refusal = refusal(request.view ?? ViewReference(), key: request.key) {
                return refusal
            }
            guard let key = StorageKey.decodeRow(request.key) else {
                return RowReply(status: .rejected, detail: "not a row")
            }
            if let cached = rows.cached(request.key) {
                if cached == nil, let refusal = refusalByFloor(request, key) { return refusal }
                let isOfCustodian = isCustodian(author.peer, request)
                if request.operation == .remove {
                    return remove(request, cached?.content, isOfCustodian: isOfCustodian)
                }
                let content = cached?.content ?? .empty(key.table)
                return apply(
                    request, key: key, content: content, author: isOfCustodian ? nil : author)
            }
            try await rows.load([request.key])
        }
    }

    /// `author`: nil if it is a custodian.
    private func apply(
        _ request: RowRequest, key: RowKey, content: StoredRow.Content, author: Author?
    ) -> RowReply {
        if let author, let reason = refusal(request, key, by: author) {
            return RowReply(status: .rejected, detail: reason)
        }
        do {
            switch (request.operation, content) {
            case (.read, .register(let record)):
                return RowReply(status: .done, row: record.bytes)
            case (.read, .merge(let row)):
                return RowReply(status: .done, row: row.bytes)
            case (.prepare, .register(var record)):
                let ballot = try RegisterVersion(bytes: request.ballot)
                guard isInView(ballot, request) else { break }
                return prepare(&record, ballot, request)
            case (.accept, .register(var record)):
                let proposal = try RegisterRecord(bytes: request.row)
                guard isInView(proposal.accepted, request) else { break }
                return accept(&record, proposal, key: key, request)
            case (.merge, .merge(let row)):
                return merge(
                    row, try MergeRow(bytes: request.row), key: key, request, author: author)
            case (.mend, .register(var record)):
                // What another member accepted reaches this one as a late copy of that request
                // would. Of an earlier view it is what one more source of the pull would have given.
                let proposal = try RegisterRecord(bytes: request.row)
                guard !isAfterView(proposal.accepted, request),
                    author == nil || isBeforeGeneration(proposal.accepted, request)
                else { break }
                return accept(&record, proposal, key: key, request)
            case (.mend, .merge(let row)):
                return merge(
                    row, try MergeRow(bytes: request.row), key: key, request, author: author)
            default: break
            }
        } catch {
            return RowReply(status: .rejected, detail: "\(error)")
        }
        return RowReply(status: .rejected, detail: "no such operation on that table")
    }

    private func isInView(_ ballot: RegisterVersion, _ request: RowRequest) -> Bool {
        ballot.generation == request.view?.generation && ballot.epoch == request.view?.epoch
    }

    private func isAfterView(_ ballot: RegisterVersion, _ request: RowRequest) -> Bool {
        guard let view = request.view else { return true }
        return (ballot.generation, ballot.epoch) > (view.generation, view.epoch)
    }

    /// Who is no custodian gives back what was before the members' own time (A5), and nothing since.
    private func isBeforeGeneration(_ ballot: RegisterVersion, _ request: RowRequest) -> Bool {
        ballot.generation < request.view?.generation ?? 0
    }

    private func prepare(
        _ record: inout RegisterRecord, _ ballot: RegisterVersion, _ request: RowRequest
    ) -> RowReply {
        switch record.prepare(ballot, inOrder: configuration.keeps(.ordersBallots)) {
        case .refused(let promised): return RowReply(status: .refused, ballot: promised.bytes)
        case .promised(let record, let wasClean):
            change(request, .register(record))
            return RowReply(
                status: .done, row: record.bytes, wasClean: wasClean, floor: floorBytes(request))
        }
    }

    private func accept(
        _ record: inout RegisterRecord, _ proposal: RegisterRecord, key: RowKey,
        _ request: RowRequest
    ) -> RowReply {
        if let value = proposal.value, let reason = configuration.validate(key, nil, value) {
            return RowReply(status: .rejected, detail: reason)
        }
        let inOrder = configuration.keeps(.ordersBallots)
        if let promised = record.accept(proposal, inOrder: inOrder) {
            return RowReply(status: .refused, ballot: promised.bytes)
        }
        change(request, .register(record))
        return RowReply(status: .done)
    }

    private func merge(
        _ row: MergeRow, _ addition: MergeRow, key: RowKey, _ request: RowRequest,
        author: Author?
    ) -> RowReply {
        if let author, let reason = refusal(of: addition, to: row, key, request, by: author) {
            return RowReply(status: .rejected, detail: reason)
        }
        // Bytes up to which `addition` may make the row grow, if fewer than rows may have.
        let room = author == nil ? nil : configuration.openRowBytes[key.table]
        let now = environment.wallTime()
        for item in addition.items {
            let entry = item.entry
            guard isPlausible(entry.stamp, now: now) else {
                return RowReply(status: .rejected, detail: "a stamp more than 10 s ahead")
            }
            if let value = entry.value,
                let reason = configuration.validate(key, item.element, value)
            {
                return RowReply(status: .rejected, detail: reason)
            }
            _ = observe(entry.stamp)
        }
        let twoPhase = configuration.twoPhaseTables.contains(key.table)
        let superseding = row.conflict(with: addition, twoPhase: twoPhase)
        var merged = row
        guard merged.absorb(addition, twoPhase: twoPhase) else {
            return RowReply(status: .done, stamp: superseding?.value ?? 0)
        }
        guard merged.items.count <= RowLimits.mergeElements,
            merged.byteCount <= RowLimits.valueBytes,
            merged.byteCount <= max(row.byteCount, room ?? RowLimits.valueBytes)
        else { return RowReply(status: .tooLarge) }
        change(request, .merge(merged))
        return RowReply(status: .done, stamp: superseding?.value ?? 0)
    }

    private func change(_ request: RowRequest, _ content: StoredRow.Content) {
        guard let id = request.view?.id else { return }
        stage(request.key, content, in: id)
    }

    /// Changes a row in memory as of `view`. The first change since the view before was sealed
    /// sets the frozen state aside, in the same batch.
    func stage(_ key: [UInt8], _ content: StoredRow.Content, in view: ViewID) {
        var extra: [KeyValueWrite] = []
        if let frozen = replicas[view.partition]?.frozen, frozen.isSource {
            let before = rows.cached(key) ?? nil
            if before.map({ !$0.wasWritten(after: frozen.view) }) ?? true {
                // An empty value: the row was absent.
                let copy = StorageKey.frozen(frozen.view, row: key)
                extra.append(.put(key: copy, value: before?.bytes ?? []))
            }
        }
        comparisons.noteChange(
            of: key, in: view.partition, from: (rows.cached(key) ?? nil)?.content, to: content,
            now: environment.now())
        sweep.noteChange(
            key, in: view,
            isRemovable: TableService.isRemovable(content, key, configuration.twoPhaseTables),
            now: environment.now())
        let row = StoredRow(generation: view.generation, epoch: view.epoch, content: content)
        rows.stage(key, row, extra: extra)
    }
}
