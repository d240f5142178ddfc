package import CyxCore
internal import CyxTransport

/// Following the rows of a bucket: all of them once, then what has changed (`ChangeLog`, A9).
extension TableService {
    /// Registers that are read at once where a quorum does not agree on them.
    private static let readsAtOnce = 32

    private enum Step {
        case page(ChangePage)
        /// Try again, with that cursor.
        case again(ScanCursor)
        case failed(String)
    }

    package func changes(
        _ table: TableID, position: Digest, since cursor: ScanCursor?
    ) async throws(TableError) -> ChangePage {
        precondition(table.isRegister, "only changes of registers are logged")
        var cursor = cursor ?? ScanCursor()
        var budget = OperationBudget(now: environment.now(), timings: configuration.timings)
        while true {
            let certificate = try await locate(position, &budget)
            let members = Set(certificate.view.members)
            cursor.logs = cursor.logs.filter { members.contains($0.key) }
            let step =
                cursor.walk == nil
                ? try await readLogs(table, position, cursor, certificate)
                : try await walkOn(table, position, cursor, certificate)
            switch step {
            case .page(let page): return page
            case .again(let next):
                cursor = next
                continue
            case .failed(let reason): budget.reason = reason
            }
            if isOver(certificate.view.id) { continue }
            try await pause(&budget)
        }
    }

    /// Those of a view whose logs were read, as far as they can be reached.
    private func followed(_ view: View, _ cursor: ScanCursor) -> [PeerID] {
        let known = Set(cursor.logs.keys.map(\.peer))
        return reachable(view).filter { known.contains($0) }
    }

    // MARK: Changes

    private func readLogs(
        _ table: TableID, _ position: Digest, _ cursor: ScanCursor,
        _ certificate: ViewCertificate
    ) async throws(TableError) -> Step {
        let view = certificate.view
        let known = followed(view, cursor)
        guard known.count >= view.quorum else { return .again(ScanCursor()) }
        let request = RowRequest(
            view: ViewReference(view.id), operation: .changes, key: StorageKey.rowBound(position),
            scanTable: UInt32(table.rawValue), scanLimit: UInt32(TableMessageLimits.pageRows),
            since: cursor.logs.sorted { $0.key.peer < $1.key.peer }.map {
                FollowedLog(peer: $0.key.peer.digest.bytes, sequence: $0.value)
            })
        let spare = known.count - view.quorum
        let call = await ask(
            known, .tableRows, request.protobufBytes(), as: RowReply.self, atFirst: view.quorum
        ) { answers in
            let done = answers.count { $0.reply.status == .done }
            return done >= view.quorum || answers.count - done > spare ? .finish : .goOn
        }
        await learn(from: call, view: certificate, around: request.key)
        let answers = call.answers.filter { $0.reply.status == .done }
        var next = cursor
        guard answers.count >= view.quorum else {
            let stale = Set(call.answers.filter { $0.reply.status == .stale }.map(\.peer))
            next.logs = cursor.logs.filter { !stale.contains($0.key.peer) }
            return stale.isEmpty ? .failed(describe(call, view)) : .again(next)
        }
        for answer in answers {
            guard let rank = view.rank(of: answer.peer) else { continue }
            next.logs[view.members[rank]] = answer.reply.sequence
        }
        var copies: [[UInt8]: [RegisterRecord]] = [:]
        for page in answers.map({ TableService.byKey($0.reply) }) {
            for (key, row) in page {
                copies[key, default: []] += [TableService.record(row)].compactMap(\.self)
            }
        }
        let broken = configuration.brokenRules
        let rows = try await states(
            copies.mapValues { records in
                RegisterProposer.settledState(
                    records, in: view.id, quorum: view.quorum, without: broken)
            }, table, position)
        return .page(
            ChangePage(
                rows: rows, stretch: nil, cursor: next,
                isComplete: answers.allSatisfy(\.reply.isComplete)))
    }

    private static func record(_ row: ScannedRow) -> RegisterRecord? {
        do {
            return row.row.isEmpty ? nil : try RegisterRecord(bytes: row.row)
        } catch {
            return nil
        }
    }

    /// Each row of a page once, however often a member names it.
    private static func byKey(_ page: RowReply) -> [[UInt8]: ScannedRow] {
        Dictionary(page.scanned.map { ($0.key, $0) }, uniquingKeysWith: { $1 })
    }

    /// What registers hold, those of which that is not known (nil) after reading them. Whatever else a
    /// member names than was asked for is left out.
    private func states(
        _ found: [[UInt8]: RegisterState?], _ table: TableID, _ position: Digest
    ) async throws(TableError) -> [(key: RowKey, state: RegisterState)] {
        var rows: [(key: RowKey, state: RegisterState)] = []
        var unsettled: [RowKey] = []
        for key in found.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard let rowKey = StorageKey.decodeRow(key), rowKey.table == table,
                (rowKey.position ^ position).leadingZeroBitCount >= ChangeLog.prefixBits
            else { continue }
            if let state = found[key] ?? nil {
                rows.append((rowKey, try checked(rowKey, state)))
            } else {
                unsettled.append(rowKey)
            }
        }
        guard !unsettled.isEmpty else { return rows }
        let read = await withTaskGroup(
            of: (RowKey, Result<RegisterState, TableError>).self
        ) { group in
            var results: [(RowKey, Result<RegisterState, TableError>)] = []
            for (index, key) in unsettled.enumerated() {
                if index >= TableService.readsAtOnce, let done = await group.next() {
                    results.append(done)
                }
                group.addTask { (key, await self.readResult(key)) }
            }
            for await done in group { results.append(done) }
            return results
        }
        for (key, result) in read { rows.append((key, try result.get())) }
        return rows.sorted { StorageKey.precedes($0.key, $1.key) }
    }

    private func readResult(_ key: RowKey) async -> Result<RegisterState, TableError> {
        do throws(TableError) {
            return .success(try await read(key))
        } catch {
            return .failure(error)
        }
    }

    // MARK: All rows

    /// The next rows of all, from the very members whose logs are to be followed. One gives the rows,
    /// the others what they have accepted.
    private func walkOn(
        _ table: TableID, _ position: Digest, _ cursor: ScanCursor,
        _ certificate: ViewCertificate
    ) async throws(TableError) -> Step {
        let view = certificate.view
        guard let walk = cursor.walk else { preconditionFailure("a walk is under way") }
        let isFirst = walk.after == nil
        let asked = isFirst ? reachable(view) : followed(view, cursor)
        guard asked.count >= view.quorum, let giver = quickestFirst(asked).first else {
            return .again(ScanCursor())
        }
        let range = StorageKey.rows(withPrefixOf: position)
        let request = RowRequest(
            view: ViewReference(view.id), operation: .scan,
            key: walk.after.map { StorageKey.next(after: StorageKey.row($0)) } ?? range.from,
            scanEnd: range.to, scanTable: UInt32(table.rawValue), scanLimit: UInt32(walk.rowsMax),
            scanValuesOf: giver.digest.bytes)
        let call = await ask(
            asked, .tableRows, request.protobufBytes(), as: RowReply.self
        ) { answers in
            let done = answers.filter { $0.reply.status == .done }
            if answers.count - done.count > asked.count - view.quorum { return .finish }
            guard done.count >= view.quorum, done.contains(where: { $0.peer == giver }) else {
                return .goOn
            }
            return .finishSoon
        }
        await learn(from: call, view: certificate, around: request.key)
        let answers = call.answers.filter { $0.reply.status == .done }
        guard answers.count >= view.quorum,
            let given = answers.first(where: { $0.peer == giver })?.reply
        else { return .failed(describe(call, view)) }
        var next = cursor
        next.logs = [:]
        for answer in answers {
            guard let rank = view.rank(of: answer.peer) else { continue }
            let member = view.members[rank]
            next.logs[member] = isFirst ? answer.reply.sequence : cursor.logs[member]
        }
        let through = TableService.frontier(answers.map(\.reply))
        let found = laidOver(answers.map(\.reply), given, view, through)
        let rows = try await states(found, table, position).filter { $0.state.value != nil }
        let last = through.flatMap { StorageKey.decodeRow($0) }
        next.walk = last.map {
            ScanCursor.Walk(
                after: $0,
                rowsMax: min(max(found.count * 5 / 4, 64), TableMessageLimits.pageRows))
        }
        return .page(
            ChangePage(
                rows: rows, stretch: .init(after: walk.after, through: last), cursor: next,
                // What changed at these members since the walk began comes after it.
                isComplete: false))
    }

    /// The last key that all of several pages reach; nil: all reach the end.
    static func frontier(_ pages: [RowReply]) -> [UInt8]? {
        pages.filter { !$0.isComplete }.compactMap(\.scanned.last?.key).min {
            $0.lexicographicallyPrecedes($1)
        }
    }

    /// What the rows of several pages hold, as far as a quorum agrees on it readably; else nil.
    private func laidOver(
        _ pages: [RowReply], _ given: RowReply, _ view: View, _ through: [UInt8]?
    ) -> [[UInt8]: RegisterState?] {
        func isWithin(_ key: [UInt8]) -> Bool {
            through.map { !$0.lexicographicallyPrecedes(key) } ?? true
        }
        var values: [[UInt8]: RegisterRecord] = [:]
        for row in given.scanned where isWithin(row.key) {
            values[row.key] = TableService.record(row)
        }
        let accepted = values.mapValues(\.accepted.bytes)
        var agreeing: [[UInt8]: Int] = [:]
        for page in pages {
            for (key, row) in TableService.byKey(page) where isWithin(key) {
                let isSame = row.isReadable && TableService.accepted(row) == accepted[key]
                agreeing[key, default: 0] += isSame ? 1 : 0
            }
        }
        var found: [[UInt8]: RegisterState?] = [:]
        for (key, count) in agreeing {
            let state = count >= view.quorum ? values[key]?.state : nil
            found.updateValue(state, forKey: key)
        }
        return found
    }

    /// The accepted ballot of a row that came whole or, shorter, with nothing else.
    private static func accepted(_ row: ScannedRow) -> [UInt8] {
        let size = RegisterVersion.byteCount
        return row.row.count == size ? row.row : Array(row.row.dropFirst(size).prefix(size))
    }
}
