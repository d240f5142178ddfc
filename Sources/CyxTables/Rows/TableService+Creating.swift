internal import CyxCore
internal import CyxTransport

/// First values of registers whose names are fresh (`RegisterProposer.create`).
extension TableService {
    package func create(_ key: RowKey, _ value: [UInt8]) async throws(TableError) {
        try check(key)
        precondition(key.table.isRegister, "a register's table has an even number")
        func change(_ state: RegisterState) -> RegisterChange {
            state.value == nil ? .set(value) : .abandon
        }
        let time = configuration.timings.operationTimeout
        guard !configuration.rowGuard.errandTables.contains(key.table) else {
            _ = try await decideByErrand(key, within: time, change)
            return
        }
        var budget = OperationBudget(
            now: environment.now(), timings: configuration.timings, within: time)
        let certificate = try await locate(key.position, &budget)
        let view = certificate.view
        var proposer = RegisterProposer(proposer: localPeer, now: environment.wallTime())
        proposer.observe(knownFloor(view.partition), in: view.id)
        let ballot = proposer.nextBallot(in: view.id, nonce: environment.random.next())
        let record = proposer.create(value, ballot: ballot)
        guard try await accept(record, key, certificate, &proposer) != nil else { return }
        // Nobody has promised anything about this ballot: what this peer removes after a failure has
        // to be above it, or a copy that comes late would stand.
        noteBallot(ballot, view.partition)
        _ = try await goOn(key, &proposer, isRead: false, within: time, change)
    }
}
