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
    func runErrand(_ request: RowRequest, _ certificate: ViewCertificate) async -> ErrandOutcome {
        let view = certificate.view
        let deadline = environment.now() + configuration.timings.operationTimeout
        var reason = "no custodian answered"
        for peer in quickestFirst(reachable(view)) where environment.now() < deadline {
            let call = await ask(
                [peer], .tableErrands, request.protobufBytes(), as: RowReply.self
            ) { _ in .goOn }
            guard let reply = call.answers.first?.reply else { continue }
            switch reply.status {
            case .done: return .done(reply)
            case .rejected: return .rejected(reply.detail)
            case .otherView: adopt(reply.certificate, for: view.partition)
            case .behind: install(certificate, at: peer)
            default: reason = reply.detail
            }
            if isOutdated(certificate) {
                enterKnownView(view.partition)
                return .moved
            }
        }
        // Perhaps all of them have been replaced.
        await ask(about: view.partition)
        return isOutdated(certificate) ? .moved : .failed(reason)
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

    func resolution(_ key: RowKey, _ certificate: ViewCertificate) -> RowRequest {
        RowRequest(
            view: ViewReference(certificate.view.id), operation: .resolve,
            key: StorageKey.row(key))
    }

    // MARK: Running

    /// Answers a batch of errands, each as soon as the slowest is done: they come alone, as a rule.
    func answerErrands(_ request: [UInt8], from sender: PeerID) async throws -> [UInt8] {
        try checkServing()
        let requests = try decode(request, from: sender).requests
        let replies = await withTaskGroup(
            of: (Int, RowReply).self, returning: [RowReply].self
        ) { group in
            for (index, request) in requests.enumerated() {
                group.addTask { (index, await self.answerErrand(request)) }
            }
            var replies = requests.map { _ in RowReply(status: .failed) }
            for await (index, reply) in group { replies[index] = reply }
            return replies
        }
        return TablesBatch(items: replies.map { $0.protobufBytes() }).protobufBytes()
    }

    private func answerErrand(_ request: RowRequest) async -> RowReply {
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
            default: return RowReply(status: .rejected, detail: "not an errand")
            }
        } catch {
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

    /// A state as it travels.
    private static func record(of state: RegisterState) -> RegisterRecord {
        var record = RegisterRecord()
        record.changed = state.version
        record.value = state.value
        return record
    }
}
