internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// A register of an account's own, which the account's gateways read and change as a whole: what is
/// in it is little and seldom changes.
///
/// Whoever runs one of the account's gateways has its seed, so that the row needs no other lock than
/// the account's own. Gateways that have a delegation only (decisions §E) cannot open it, and get a
/// copy of what they need in a row of their own (`SealedGrants`).
struct AccountRegister<Message: ProtobufMessage>: Sendable {
    let table: TableID
    /// What the row's place is derived from, beside the account.
    let label: String
    /// What it holds, for errors.
    let contents: String

    func row(of account: AccountID) -> RowKey {
        let position = OwnedPosition.bound(
            BLAKE3.hash(Array("\(label)\0".utf8) + account.digest.bytes), to: account)
        return RowKey(table: table, position: position)
    }

    func open(
        _ value: [UInt8], at row: RowKey, _ keys: AccountKeys
    ) throws(ObjectError) -> Message {
        do {
            return try Rows.open(Message.self, value, at: row, key: keys.rowKey)
        } catch { throw .dataLost("\(contents) of the account cannot be read: \(error)") }
    }
}

/// Registers as they were read a while ago: one of each kind.
struct AccountRegisterCache {
    var entries: [TableID: (value: any ProtobufMessage, read: Instant)] = [:]
    /// How often one was changed from here: what a read that began before found is not kept.
    var changes: UInt64 = 0
}

extension ObjectGateway {
    /// What the register holds now, or held at most `ObjectTimings.bucketCache` ago.
    func read<Message>(_ register: AccountRegister<Message>) async throws -> Message {
        try requireWholeKeys()
        let now = context.environment.now()
        if let known = registers.entries[register.table],
            now - known.read < context.timings.bucketCache, let value = known.value as? Message
        {
            return value
        }
        let row = register.row(of: keys.account)
        let changes = registers.changes
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(row)
        }
        let value = try state.value.map { try register.open($0, at: row, keys) } ?? Message()
        if changes == registers.changes { registers.entries[register.table] = (value, now) }
        return value
    }

    /// Has the next reader look for himself.
    func forget<Message>(_ register: AccountRegister<Message>) {
        registers.changes &+= 1
        registers.entries[register.table] = nil
    }

    /// Changes the register; what `change` throws is thrown, and nothing changes.
    func change<Message>(
        _ register: AccountRegister<Message>,
        _ change: @escaping @Sendable (inout Message) throws -> Void
    ) async throws {
        try requireWholeKeys()
        let (row, keys, random) = (
            register.row(of: keys.account), keys, context.environment.random
        )
        let result = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Result<Void, any Error>) in
                do {
                    var value =
                        try state.value.map { try register.open($0, at: row, keys) } ?? Message()
                    try change(&value)
                    let sealed = Rows.seal(
                        value, at: row, keys: (keys.rowKey, keys.signer), random: random)
                    return (.set(sealed), .success(()))
                } catch { return (.abandon, .failure(error)) }
            }
        }
        forget(register)
        try result.get()
    }
}
