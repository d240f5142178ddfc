internal import CyxCore
internal import CyxTransport

/// Errands: what only custodians may do with a row, done by one of them for a peer that asks.
///
/// Custodians are trusted to keep their rows, so that the word of one is enough. It goes about the
/// errand as about an operation of its own, with a quorum of the others.
extension TableService {
    /// The part of a call's time that a custodian spends on an errand: who asked is still there then.
    private var errandTime: Duration { configuration.timings.callTimeout * 3 / 4 }

    // MARK: Asking

    enum ErrandOutcome {
        case done(RowReply)
        /// A later view is known now.
        case moved
        case rejected(String)
        /// No custodian could do it. Changes may take effect yet.
        case failed(String)
    }

    /// Asks one custodian after the other, the quickest first, until one has done it.
    func runErrand(
        _ request: RowRequest, _ certificate: ViewCertificate, permit: [UInt8]? = nil
    ) async -> ErrandOutcome {
        let view = certificate.view
        let deadline = environment.now() + configuration.timings.operationTimeout
        var reason = "no custodian answered"
        for peer in quickestFirst(reachable(view)) where environment.now() < deadline {
            let call = await ask(
                [peer], .tableErrands, request.protobufBytes(), as: RowReply.self,
                permit: permit
            ) { _ in .goOn }
            guard let reply = call.answers.first?.reply else { continue }
            switch reply.status {
            case .done: return .done(reply)
            case .rejected: return .rejected(reply.detail)
            case .otherView: adopt(reply.certificate, for: view.partition)
            case .behind: install(certificate, at: peer)
            default: reason = reply.detail
            }
            if isOver(view.id) {
                enterKnownView(view.partition)
                return .moved
            }
        }
        // Perhaps all of them have been replaced.
        await ask(about: view.partition)
        return isOver(view.id) ? .moved : .failed(reason)
    }

    /// What a register holds, read by a custodian.
    func askToRead(
        _ key: RowKey, _ certificate: ViewCertificate
    ) async throws(TableError) -> Outcome {
        switch await runErrand(resolution(key, certificate), certificate) {
        case .done(let reply):
            guard let record = TableService.record(reply) else {
                return .failed("a custodian's answer is not a row")
            }
            return .done(DecidedChange(state: try checked(key, record.state), call: 0))
        case .moved: return .moved
        case .rejected(let reason): throw .rejected(reason)
        case .failed(let reason): return .failed(reason)
        }
    }

    /// A compare-and-set of a register that only custodians propose for (`RowGuard.errandTables`).
    ///
    /// A custodian whose answer is lost may have made the change, or make it yet: it is known by the
    /// value, which callers give a nonce where that matters.
    func decideByErrand(
        _ key: RowKey, within time: Duration, _ change: (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        var budget = OperationBudget(
            now: environment.now(), timings: configuration.timings, within: time)
        var calls = 0
        // What was tried and may have been made, or be made yet.
        var doubts: [(base: RegisterVersion, value: [UInt8]?, call: Int)] = []
        while true {
            let certificate = try await locate(key.position, &budget)
            if certificate.view.contains(localPeer) {
                let before = calls
                do throws(TableError) {
                    var decided = try await propose(key, isRead: false, within: time) { state in
                        let next = change(state)
                        switch next {
                        case .set(let value): doubts.append((state.version, value, calls))
                        case .delete: doubts.append((state.version, nil, calls))
                        case .abandon, .reaccept: break
                        }
                        calls += 1
                        return next
                    }
                    decided.call += before
                    return decided
                } catch {
                    // Whoever has lost its seat goes on as one who has none.
                    guard case .unavailable(let reason) = error, isOver(certificate.view.id) else {
                        throw error
                    }
                    budget.reason = reason
                    try await pause(&budget)
                    continue
                }
            }
            let present = try await read(key, within: time)
            if let made = doubts.first(where: {
                present.version != $0.base && present.value == $0.value
            }) {
                return DecidedChange(state: present, call: made.call)
            }
            let next: [UInt8]?
            switch change(present) {
            case .set(let value): next = value
            case .delete: next = nil
            case .abandon, .reaccept: return DecidedChange(state: present, call: calls)
            }
            switch try await askToChange(key, from: present, to: next, certificate) {
            case .made(let state): return DecidedChange(state: state, call: calls)
            case .moved: doubts.append((present.version, next, calls))
            case .failed(let reason):
                doubts.append((present.version, next, calls))
                budget.reason = reason
            case .changedSince:
                do throws(TableError) {
                    try budget.countContention()
                } catch {
                    if doubts.isEmpty { throw error }
                    throw .unavailable("whether a change took effect is not known")
                }
            }
            calls += 1
            try await pause(&budget)
        }
    }

    private enum ChangeOutcome {
        case made(RegisterState)
        case changedSince
        case moved
        case failed(String)
    }

    private func askToChange(
        _ key: RowKey, from present: RegisterState, to next: [UInt8]?,
        _ certificate: ViewCertificate
    ) async throws(TableError) -> ChangeOutcome {
        guard next?.count ?? 0 <= RowLimits.valueBytes else { throw .tooLarge }
        var record = RegisterRecord()
        record.value = next
        let request = RowRequest(
            view: ViewReference(certificate.view.id), operation: .propose,
            key: StorageKey.row(key), ballot: present.version.bytes, row: record.bytes)
        let change = RowChange(
            key: key, sender: localPeer, present: present.value, next: next)
        let permit = configuration.rowGuard.permit(change, environment.wallTime())
        switch await runErrand(request, certificate, permit: permit) {
        case .done(let reply):
            guard let record = TableService.record(reply) else {
                return .failed("a custodian's answer is not a row")
            }
            return reply.isComplete ? .made(record.state) : .changedSince
        case .moved: return .moved
        case .rejected(let reason): throw .rejected(reason)
        case .failed(let reason): return .failed(reason)
        }
    }

    func resolution(_ key: RowKey, _ certificate: ViewCertificate) -> RowRequest {
        RowRequest(
            view: ViewReference(certificate.view.id), operation: .resolve,
            key: StorageKey.row(key))
    }

    // MARK: Running

    /// Answers a batch of errands, each as soon as the slowest is done: they come alone, as a rule.
    func answerErrands(_ request: [UInt8], from sender: PeerID) async throws -> [UInt8] {
        try checkServing(sender)
        let (requests, author) = try decode(request, from: sender)
        let replies = await withTaskGroup(
            of: (Int, RowReply).self, returning: [RowReply].self
        ) { group in
            for (index, request) in requests.enumerated() {
                group.addTask { (index, await self.answerErrand(request, author)) }
            }
            var replies = requests.map { _ in RowReply(status: .failed) }
            for await (index, reply) in group { replies[index] = reply }
            return replies
        }
        return TablesBatch(items: replies.map { $0.protobufBytes() }).protobufBytes()
    }

    private func answerErrand(_ request: RowRequest, _ author: Author) async -> RowReply {
        if let refusal = refusal(request.view ?? ViewReference(), key: request.key) {
            return refusal
        }
        guard let key = StorageKey.decodeRow(request.key) else {
            return RowReply(status: .rejected, detail: "not a row")
        }
        guard errands < TableMessageLimits.errands else {
            return RowReply(status: .busy, detail: "too many errands")
        }
        errands += 1
        defer { errands -= 1 }
        do throws(TableError) {
            switch request.operation {
            case .resolve: return try await resolve(key)
            case .propose: return try await change(key, as: request, for: author)
            default: return RowReply(status: .rejected, detail: "not an errand")
            }
        } catch {
            // Whoever has lost its seat meanwhile cannot, and its successors can.
            if let refusal = refusal(request.view ?? ViewReference(), key: request.key) {
                return refusal
            }
            if case .rejected(let reason) = error {
                return RowReply(status: .rejected, detail: reason)
            }
            return RowReply(status: .failed, detail: "\(error)")
        }
    }

    private func resolve(_ key: RowKey) async throws(TableError) -> RowReply {
        guard key.table.isRegister else {
            let row = try await readMergeRow(key, within: errandTime)
            return RowReply(status: .done, row: row.bytes)
        }
        let state = try await read(key, within: errandTime)
        return RowReply(status: .done, row: TableService.record(of: state).bytes)
    }

    private enum Finding {
        case made
        case changedSince
        case refused(String)
    }

    /// Whose the row is may change before the change is made: each round looks again.
    private func change(
        _ key: RowKey, as request: RowRequest, for author: Author
    ) async throws(TableError) -> RowReply {
        guard configuration.rowGuard.errandTables.contains(key.table) else {
            throw .rejected("who may change the row proposes for it")
        }
        let expected: RegisterVersion
        let next: [UInt8]?
        do {
            expected = try RegisterVersion(bytes: request.ballot)
            next = try RegisterRecord(bytes: request.row).value
        } catch { throw .rejected("\(error)") }
        var findings: [Finding] = []
        let isOfCustodian = isCustodian(author.peer, request)
        let decided = try await propose(key, isRead: false, within: errandTime) { state in
            let change = RowChange(
                key: key, sender: author.peer, authorities: author.authorities,
                present: state.value, next: next)
            if state.version != expected {
                findings.append(.changedSince)
            } else if !isOfCustodian, let reason = configuration.rowGuard.refusal(change) {
                findings.append(.refused(reason))
            } else {
                findings.append(.made)
                return next.map { .set($0) } ?? .delete
            }
            return .abandon
        }
        var reply = RowReply(
            status: .done, row: TableService.record(of: decided.state).bytes)
        switch findings[decided.call] {
        case .made: reply.isComplete = true
        case .changedSince: break
        case .refused(let reason): throw .rejected(reason)
        }
        return reply
    }

    /// A state as it travels.
    private static func record(of state: RegisterState) -> RegisterRecord {
        var record = RegisterRecord()
        record.changed = state.version
        record.value = state.value
        return record
    }
}
