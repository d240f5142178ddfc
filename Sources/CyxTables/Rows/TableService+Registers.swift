internal import CyxCore
internal import CyxTransport

/// Reading and changing registers at a quorum of their view (CASPaxos, A6).
extension TableService {
    package func read(_ key: RowKey) async throws(TableError) -> RegisterState {
        try check(key)
        precondition(key.table.isRegister, "a register's table has an even number")
        return try await read(key, within: configuration.timings.operationTimeout)
    }

    func read(_ key: RowKey, within time: Duration) async throws(TableError) -> RegisterState {
        if let state = try await readOnce(key) { return state }
        do {
            return try await propose(key, isRead: true, within: time) { _ in .abandon }.state
        } catch .contended {
            throw .unavailable("a row changes too fast to be read")
        }
    }

    /// A one-round read; nil when the replies leave open what was chosen.
    private func readOnce(_ key: RowKey) async throws(TableError) -> RegisterState? {
        var budget = OperationBudget(now: environment.now(), timings: configuration.timings)
        let certificate = try await locate(key.position, &budget)
        let call = await askForRegister(key, certificate)
        let broken = configuration.brokenRules
        guard let state = TableService.settled(call.answers, in: certificate.view, broken) else {
            return nil
        }
        return try checked(key, state)
    }

    /// What a quorum has of a register, and a little more if that differs.
    private func askForRegister(
        _ key: RowKey, _ certificate: ViewCertificate
    ) async -> QuorumCall<RowReply> {
        let view = certificate.view
        let request = RowRequest(
            view: ViewReference(view.id), operation: .read, key: StorageKey.row(key))
        let broken = configuration.brokenRules
        let call = await ask(
            reachable(view), .tableRows, request.protobufBytes(), as: RowReply.self,
            atFirst: view.quorum
        ) { answers in
            if TableService.settled(answers, in: view, broken) != nil { return .finish }
            return answers.count { $0.reply.status == .done } >= view.quorum ? .finishSoon : .goOn
        }
        await learn(from: call, view: certificate, around: request.key)
        return call
    }

    /// A read by who may not propose: what a quorum agrees on, or else what a custodian makes of it.
    private func readWithoutRound(
        _ key: RowKey, _ certificate: ViewCertificate
    ) async throws(TableError) -> Outcome {
        let view = certificate.view
        let call = await askForRegister(key, certificate)
        if let state = TableService.settled(call.answers, in: view, configuration.brokenRules) {
            return .done(DecidedChange(state: try checked(key, state), call: 0))
        }
        let copies = call.answers.count { $0.reply.status == .done }
        guard copies >= view.quorum else { return try failure(call, certificate) }
        return try await askToRead(key, certificate)
    }

    package func decide(
        _ key: RowKey, _ change: @escaping @Sendable (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        try check(key)
        precondition(key.table.isRegister, "a register's table has an even number")
        let time = configuration.timings.operationTimeout
        if configuration.rowGuard.errandTables.contains(key.table) {
            return try await decideByErrand(key, within: time, change)
        }
        return try await propose(key, isRead: false, within: time, change)
    }

    /// Has a quorum accept the value that there is under a new ballot.
    func settle(_ key: RowKey) async throws(TableError) {
        let time = configuration.timings.operationTimeout
        _ = try await propose(key, isRead: false, within: time) { _ in .reaccept }
    }

    /// Rounds until one of them decides.
    func propose(
        _ key: RowKey, isRead: Bool, within time: Duration,
        _ change: (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        var proposer = RegisterProposer(proposer: localPeer, now: environment.wallTime())
        return try await goOn(key, &proposer, isRead: isRead, within: time, change)
    }

    /// The same for an operation that may have tried before.
    func goOn(
        _ key: RowKey, _ proposer: inout RegisterProposer, isRead: Bool, within time: Duration,
        _ change: (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        do throws(TableError) {
            return try await propose(key, &proposer, isRead: isRead, within: time, change)
        } catch {
            guard error == .contended, proposer.isInDoubt else { throw error }
            throw .unavailable(
                "other writers were faster, and whether this change took effect is not known")
        }
    }

    private func propose(
        _ key: RowKey, _ proposer: inout RegisterProposer, isRead: Bool, within time: Duration,
        _ change: (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        var budget = OperationBudget(
            now: environment.now(), timings: configuration.timings, within: time)
        while true {
            let certificate = try await locate(key.position, &budget)
            switch try await attemptInTurn(key, certificate, &proposer, isRead: isRead, change) {
            case .done(let decided): return decided
            case .contended: try budget.countContention()
            case .failed(let reason): budget.reason = reason
            case .moved: continue
            case .unseated: throw .unavailable("this peer is no custodian of the row any more")
            }
            try await pause(&budget)
        }
    }

    /// One attempt while nobody else of this peer makes one. Who had to wait for its turn looks again
    /// first: there may be a later view, and whoever was before a read has usually settled the row.
    private func attemptInTurn(
        _ key: RowKey, _ certificate: ViewCertificate, _ proposer: inout RegisterProposer,
        isRead: Bool, _ change: (RegisterState) -> RegisterChange
    ) async throws(TableError) -> Outcome {
        let hadToWait = await takeTurn(key)
        defer { turns.give(key)?.resume() }
        if isOver(certificate.view.id) { return .moved }
        if isRead, hadToWait, let state = try await readOnce(key) {
            return .done(DecidedChange(state: state, call: 0))
        }
        if isRead, mustAskCustodian(key, certificate.view) {
            return try await readWithoutRound(key, certificate)
        }
        // A view may have ended since the caller looked.
        if !isRead, configuration.rowGuard.errandTables.contains(key.table),
            !certificate.view.contains(localPeer)
        {
            return .unseated
        }
        return try await attempt(key, certificate, &proposer, change)
    }

    /// Waits until no other operation of this peer proposes for the row; returns whether it had to.
    private func takeTurn(_ key: RowKey) async -> Bool {
        guard !turns.take(key) else { return false }
        await withUnsafeContinuation { turns.wait(key, $0) }
        return true
    }

    enum Outcome {
        case done(DecidedChange)
        case contended
        case failed(String)
        /// A later view is known now.
        case moved
        /// Only custodians propose for the row, and this peer is none.
        case unseated
    }

    /// One prepare and one accept in one view.
    private func attempt(
        _ key: RowKey, _ certificate: ViewCertificate, _ proposer: inout RegisterProposer,
        _ change: (RegisterState) -> RegisterChange
    ) async throws(TableError) -> Outcome {
        let view = certificate.view
        if !configuration.keeps(.remembersAttempts) { proposer.forgetAttempts() }
        proposer.observe(knownFloor(view.partition), in: view.id)
        let nonce = configuration.keeps(.drawsNonces) ? environment.random.next() : 0
        let ballot = proposer.nextBallot(in: view.id, nonce: nonce)
        let prepare = await round(
            .prepare, key, certificate, ballot: ballot, row: [], proposer: &proposer)
        let promises = prepare.answers.compactMap { answer -> RegisterPromise? in
            guard answer.reply.status == .done else { return nil }
            return TableService.record(answer.reply).map {
                RegisterPromise(
                    record: $0, wasClean: answer.reply.wasClean,
                    floor: TableService.floor(answer.reply.floor))
            }
        }
        guard promises.count >= view.quorum else { return try failure(prepare, certificate) }
        let step = proposer.step(
            promises, ballot: ballot, in: view.id, quorum: view.quorum
        ) { state in
            change(state)
        }
        switch step {
        case .settled(let state, let call):
            return .done(DecidedChange(state: try checked(key, state), call: call))
        case .unknowable: throw .contended
        case .accept(let record, let call):
            guard let outcome = try await accept(record, key, certificate, &proposer) else {
                return .done(DecidedChange(state: record.state, call: call))
            }
            return outcome
        }
    }

    /// Has a quorum accept `record`; returns what happened if it did not.
    func accept(
        _ record: RegisterRecord, _ key: RowKey, _ certificate: ViewCertificate,
        _ proposer: inout RegisterProposer
    ) async throws(TableError) -> Outcome? {
        if let value = record.value {
            guard value.count <= RowLimits.valueBytes else { throw .tooLarge }
            if let reason = configuration.validate(key, nil, value) { throw .rejected(reason) }
        }
        let call = await round(
            .accept, key, certificate, ballot: record.accepted, row: record.bytes,
            proposer: &proposer)
        let accepted = call.answers.count { $0.reply.status == .done }
        return accepted >= certificate.view.quorum ? nil : try failure(call, certificate)
    }

    private func round(
        _ operation: RowOperation, _ key: RowKey, _ certificate: ViewCertificate,
        ballot: RegisterVersion, row: [UInt8], proposer: inout RegisterProposer
    ) async -> QuorumCall<RowReply> {
        let view = certificate.view
        let request = RowRequest(
            view: ViewReference(view.id), operation: operation, key: StorageKey.row(key),
            ballot: operation == .prepare ? ballot.bytes : [], row: row)
        let call = await askQuorum(request, certificate, permit: permit(for: key, view))
        for answer in call.answers where answer.reply.status == .refused {
            noteFloor(answer.reply, view.partition)
            do {
                proposer.observe(try RegisterVersion(bytes: answer.reply.ballot), in: view.id)
            } catch {
                logger.debug("unreadable ballot", [("peer", "\(answer.peer)")])
            }
        }
        return call
    }

    private func failure(
        _ call: QuorumCall<RowReply>, _ certificate: ViewCertificate
    ) throws(TableError) -> Outcome {
        let view = certificate.view
        if isOver(certificate.view.id) { return .moved }
        // Without a quorum that answers at all, a refusal is not what stands in the way.
        let answered = call.answers.count { TableService.isAnswer($0.reply.status) }
        if answered >= view.quorum,
            call.answers.contains(where: { $0.reply.status == .refused })
        {
            return .contended
        }
        try throwRefusals(call, view)
        return .failed(describe(call, view))
    }

    /// Throws what so many custodians refused for good that a quorum cannot be had.
    func throwRefusals(_ call: QuorumCall<RowReply>, _ view: View) throws(TableError) {
        let final = call.answers.filter {
            $0.reply.status == .rejected || $0.reply.status == .tooLarge
        }
        guard final.count > view.tolerance, let first = final.first else { return }
        if first.reply.status == .tooLarge { throw .tooLarge }
        throw .rejected(first.reply.detail)
    }

    /// Why a quorum did not answer, for people.
    func describe(_ call: QuorumCall<RowReply>, _ view: View) -> String {
        let done = call.answers.count { TableService.isAnswer($0.reply.status) }
        let failed = call.answers.first { $0.reply.status == .failed }
        let detail = failed.map { ": \($0.reply.detail)" } ?? ""
        return "\(done) of \(view.members.count) custodians of partition \(view.partition) "
            + "answered, \(view.quorum) are needed\(detail)"
    }

    private static func isAnswer(_ status: RowStatus) -> Bool {
        status == .done || status == .refused
    }

    static func record(_ reply: RowReply) -> RegisterRecord? {
        do {
            return try RegisterRecord(bytes: reply.row)
        } catch {
            return nil
        }
    }

    private static func settled(
        _ answers: [QuorumCall<RowReply>.Answer], in view: View, _ broken: Set<TableRule>
    ) -> RegisterState? {
        let records = answers.compactMap { $0.reply.status == .done ? record($0.reply) : nil }
        guard records.count >= view.quorum else { return nil }
        return RegisterProposer.settledState(
            records, in: view.id, quorum: view.quorum, without: broken)
    }

    func checked(
        _ key: RowKey, _ state: RegisterState
    ) throws(TableError) -> RegisterState {
        if let value = state.value, let reason = configuration.validate(key, nil, value) {
            throw .rejected(reason)
        }
        return state
    }

    func check(_ key: RowKey) throws(TableError) {
        guard key.suffix.count <= RowLimits.suffixBytes else { throw .tooLarge }
    }

    /// Waits before another attempt, unless the operation's time is up.
    func pause(_ budget: inout OperationBudget) async throws(TableError) {
        let wait = budget.nextPause(using: &random)
        guard environment.now() + wait < budget.deadline else {
            if budget.isContended { throw .contended }
            throw .unavailable(budget.reason)
        }
        do {
            try await environment.sleep(for: wait)
        } catch {
            throw .cancelled
        }
    }
}
