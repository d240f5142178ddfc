import CyxCore
import CyxTables
import Synchronization

/// Tables that never fail unless told to: one shared map, every operation an instant.
final class FakeTables: Tables {
    struct State {
        var registers: [RowKey: (value: [UInt8]?, counter: UInt64)] = [:]
        var merges: [RowKey: [[UInt8]: [UInt8]?]] = [:]
        var writes: [RowKey] = []
        /// Rows of one page for who follows a table.
        var followedPage = 1000
        /// Cursors that were told when fewer writes had been made tell nothing any more.
        var followedFloor = 0
        /// Called before an operation; what it returns is thrown.
        var fault: (@Sendable (RowKey, _ isWrite: Bool) -> TableError?)?
        /// Awaited before an operation.
        var stall: (@Sendable (RowKey, _ isWrite: Bool) async -> Void)?
        /// Awaited between what a read of a register finds and its answer.
        var lag: (@Sendable (RowKey) async -> Void)?
        /// Custodians of every row, in rank order.
        var custodians: [PeerID] = []
        /// Whose merges find rows too full for them.
        var withoutRoom: Set<PeerID> = []
        /// Partitions whose rows others need from each peer.
        var held = 0
        var validate: @Sendable (RowKey, [UInt8]?, [UInt8]) -> String? = { _, _, _ in nil }
    }

    final class Shared: Sendable {
        let state = Mutex(State())
    }

    let shared: Shared
    private let local: PeerID

    init(_ shared: Shared, _ local: PeerID) {
        self.shared = shared
        self.local = local
    }

    private func check(_ key: RowKey, isWrite: Bool) async throws(TableError) {
        await shared.state.withLock { $0.stall }?(key, isWrite)
        let fault = shared.state.withLock { $0.fault }
        if let error = fault?(key, isWrite) { throw error }
    }

    private static func register(_ entry: (value: [UInt8]?, counter: UInt64)?) -> RegisterState {
        guard let entry else { return RegisterState(value: nil, version: .none) }
        var version = RegisterVersion.none
        version.counter = entry.counter
        return RegisterState(value: entry.value, version: version)
    }

    func read(_ key: RowKey) async throws(TableError) -> RegisterState {
        precondition(key.table.isRegister)
        try await check(key, isWrite: false)
        let found = shared.state.withLock { FakeTables.register($0.registers[key]) }
        await shared.state.withLock { $0.lag }?(key)
        return found
    }

    func decide(
        _ key: RowKey, _ change: @escaping @Sendable (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        precondition(key.table.isRegister)
        try await check(key, isWrite: true)
        let result: Result<RegisterState, TableError> = shared.state.withLock { state in
            let current = FakeTables.register(state.registers[key])
            let value: [UInt8]?
            switch change(current) {
            case .abandon, .reaccept: return .success(current)
            case .delete: value = nil
            case .set(let bytes):
                guard bytes.count <= RowLimits.valueBytes else { return .failure(.tooLarge) }
                if let reason = state.validate(key, nil, bytes) {
                    return .failure(.rejected(reason))
                }
                value = bytes
            }
            let next = (value: value, counter: current.version.counter + 1)
            state.registers[key] = next
            state.writes.append(key)
            return .success(FakeTables.register(next))
        }
        return DecidedChange(state: try result.get(), call: 0)
    }

    func readMerge(_ key: RowKey) async throws(TableError) -> [MergeElement] {
        precondition(!key.table.isRegister)
        try await check(key, isWrite: false)
        return shared.state.withLock { state in
            (state.merges[key] ?? [:]).filter { $0.value != nil }
                .map { MergeElement(element: $0.key, value: $0.value) }
                .sorted { $0.element.lexicographicallyPrecedes($1.element) }
        }
    }

    func merge(_ key: RowKey, _ elements: [MergeElement]) async throws(TableError) {
        precondition(!key.table.isRegister)
        try await check(key, isWrite: true)
        if shared.state.withLock({ $0.withoutRoom.contains(local) }) { throw .tooLarge }
        let refusal: String? = shared.state.withLock { state in
            for element in elements {
                if let value = element.value,
                    let reason = state.validate(key, element.element, value)
                {
                    return reason
                }
            }
            state.writes.append(key)
            for element in elements {
                state.merges[key, default: [:]].updateValue(element.value, forKey: element.element)
            }
            return nil
        }
        if let refusal { throw .rejected(refusal) }
    }

    private static func precedes(_ first: RowKey, _ second: RowKey) -> Bool {
        first.position == second.position
            ? first.suffix.lexicographicallyPrecedes(second.suffix)
            : first.position < second.position
    }

    func scan(
        _ table: TableID, position: Digest, prefixBits: Int, after: RowKey?, limit: Int
    ) async throws(TableError) -> [(key: RowKey, state: RegisterState)] {
        try await check(RowKey(table: table, position: position), isWrite: false)
        return shared.state.withLock { state in
            let difference = { (key: RowKey) in (key.position ^ position).leadingZeroBitCount }
            let keys = state.registers.keys.filter { key in
                key.table == table && difference(key) >= prefixBits
                    && state.registers[key]?.value != nil
                    && (after.map { FakeTables.precedes($0, key) } ?? true)
            }
            return keys.sorted(by: FakeTables.precedes).prefix(limit).map {
                ($0, FakeTables.register(state.registers[$0]))
            }
        }
    }

    private static let member = ViewMember(peer: PeerID(.zero), store: StoreID(.zero))

    func changes(
        _ table: TableID, position: Digest, since cursor: ScanCursor?
    ) async throws(TableError) -> ChangePage {
        try await check(RowKey(table: table, position: position), isWrite: false)
        return shared.state.withLock { state in
            var cursor = cursor ?? ScanCursor()
            let read = cursor.logs[FakeTables.member].map(Int.init)
            if let read, read < state.followedFloor { cursor = ScanCursor() }
            let isOwn = { (key: RowKey) in
                key.table == table && (key.position ^ position).leadingZeroBitCount >= 32
            }
            guard let walk = cursor.walk else {
                let since = state.writes.dropFirst(read ?? 0)
                let page = since.prefix(state.followedPage)
                let keys = Set(page.filter(isOwn)).sorted(by: FakeTables.precedes)
                cursor.logs[FakeTables.member] = UInt64(page.endIndex)
                return ChangePage(
                    rows: keys.map { ($0, FakeTables.register(state.registers[$0])) },
                    stretch: nil, cursor: cursor, isComplete: page.count == since.count)
            }
            if walk.after == nil { cursor.logs[FakeTables.member] = UInt64(state.writes.count) }
            let keys = state.registers.keys.filter { key in
                isOwn(key) && state.registers[key]?.value != nil
                    && (walk.after.map { FakeTables.precedes($0, key) } ?? true)
            }.sorted(by: FakeTables.precedes)
            let page = keys.prefix(state.followedPage)
            let through = page.count < keys.count ? page.last : nil
            cursor.walk = through.map { .init(after: $0) }
            return ChangePage(
                rows: page.map { ($0, FakeTables.register(state.registers[$0])) },
                stretch: .init(after: walk.after, through: through), cursor: cursor,
                isComplete: false)
        }
    }

    func localRows(
        _ table: TableID, after: RowKey?, limit: Int
    ) async throws(TableError) -> [RowKey] {
        shared.state.withLock { state in
            let keys = Array(state.registers.keys) + Array(state.merges.keys)
            return Array(
                keys.filter { key in
                    key.table == table && (after.map { FakeTables.precedes($0, key) } ?? true)
                }.sorted(by: FakeTables.precedes).prefix(limit))
        }
    }

    /// What all have, for custodians, whatever `fault` says of the others.
    func localRow(_ key: RowKey) async throws(TableError) -> LocalRow? {
        shared.state.withLock { state in
            guard state.custodians.contains(local) else { return nil }
            if key.table.isRegister { return .register(FakeTables.register(state.registers[key])) }
            let row = state.merges[key, default: [:]].compactMap { element in
                element.value.map { MergeElement(element: element.key, value: $0) }
            }
            return .merge(row.sorted { $0.element.lexicographicallyPrecedes($1.element) })
        }
    }

    func custodians(of position: Digest) async throws(TableError) -> [PeerID] {
        shared.state.withLock { $0.custodians }
    }

    func custody() async -> UInt64 { 0 }

    func health() async -> TablesHealth {
        TablesHealth(
            partitions: 1, fullPartitions: 1, unavailablePartitions: 0, survives: 2,
            held: shared.state.withLock { $0.held })
    }
}
