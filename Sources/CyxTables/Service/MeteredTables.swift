package import CyxCore
internal import Synchronization

/// Tables whose operations are counted and timed for `/metrics`.
package final class MeteredTables: Tables {
    private let inner: any Tables
    private let environment: Environment
    private let read: OperationMeter
    private let update: OperationMeter
    private let create: OperationMeter
    private let readMerge: OperationMeter
    private let merge: OperationMeter
    private let scan: OperationMeter
    private let changes: OperationMeter
    private let conflicts: Counter

    package init(_ inner: any Tables, environment: Environment) {
        self.inner = inner
        self.environment = environment
        let metrics = environment.metrics
        read = OperationMeter("read", metrics)
        update = OperationMeter("update", metrics)
        create = OperationMeter("create", metrics)
        readMerge = OperationMeter("read_merge", metrics)
        merge = OperationMeter("merge", metrics)
        scan = OperationMeter("scan", metrics)
        changes = OperationMeter("changes", metrics)
        conflicts = metrics.counter("cyxcloud_table_cas_conflicts_total")
    }

    private func measure<Value>(
        _ meter: OperationMeter, _ body: () async throws(TableError) -> Value
    ) async throws(TableError) -> Value {
        let start = environment.now()
        do throws(TableError) {
            let value = try await body()
            meter.note(nil, took: environment.now() - start)
            return value
        } catch {
            meter.note(error, took: environment.now() - start)
            throw error
        }
    }

    package func read(_ key: RowKey) async throws(TableError) -> RegisterState {
        try await measure(read) { () async throws(TableError) in try await inner.read(key) }
    }

    package func decide(
        _ key: RowKey, _ change: @escaping @Sendable (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        // Run again, the change has met another writer's.
        let runs = Atomic<UInt64>(0)
        let decided = try await measure(update) { () async throws(TableError) in
            try await inner.decide(key) { state in
                runs.wrappingAdd(1, ordering: .relaxed)
                return change(state)
            }
        }
        let count = runs.load(ordering: .relaxed)
        if count > 1 { conflicts.add(count - 1) }
        return decided
    }

    package func create(_ key: RowKey, _ value: [UInt8]) async throws(TableError) {
        try await measure(create) { () async throws(TableError) in
            try await inner.create(key, value)
        }
    }

    package func readMerge(_ key: RowKey) async throws(TableError) -> [MergeElement] {
        try await measure(readMerge) { () async throws(TableError) in
            try await inner.readMerge(key)
        }
    }

    package func merge(_ key: RowKey, _ elements: [MergeElement]) async throws(TableError) {
        try await measure(merge) { () async throws(TableError) in
            try await inner.merge(key, elements)
        }
    }

    package func scan(
        _ table: TableID, position: Digest, prefixBits: Int, after: RowKey?, limit: Int
    ) async throws(TableError) -> [(key: RowKey, state: RegisterState)] {
        try await measure(scan) { () async throws(TableError) in
            try await inner.scan(
                table, position: position, prefixBits: prefixBits, after: after, limit: limit)
        }
    }

    package func changes(
        _ table: TableID, position: Digest, since cursor: ScanCursor?
    ) async throws(TableError) -> ChangePage {
        try await measure(changes) { () async throws(TableError) in
            try await inner.changes(table, position: position, since: cursor)
        }
    }

    package func localRows(
        _ table: TableID, after: RowKey?, limit: Int
    ) async throws(TableError) -> [RowKey] {
        try await inner.localRows(table, after: after, limit: limit)
    }

    package func localRow(_ key: RowKey) async throws(TableError) -> LocalRow? {
        try await inner.localRow(key)
    }

    package func custodians(of position: Digest) async throws(TableError) -> [PeerID] {
        try await inner.custodians(of: position)
    }

    package func health() async -> TablesHealth { await inner.health() }
    package func custody() async -> UInt64 { await inner.custody() }
}

/// The counters of one kind of operation.
private struct OperationMeter: Sendable {
    private let durations: Histogram
    private let done: Counter
    private let unavailable: Counter
    private let contended: Counter
    private let rejected: Counter

    init(_ operation: String, _ metrics: MetricsRegistry) {
        func counter(_ result: String) -> Counter {
            metrics.counter(
                "cyxcloud_table_operations_total", [("op", operation), ("result", result)])
        }
        durations = metrics.histogram(
            "cyxcloud_table_operation_duration_seconds", [("op", operation)])
        done = counter("done")
        unavailable = counter("unavailable")
        contended = counter("contended")
        rejected = counter("rejected")
    }

    func note(_ error: TableError?, took: Duration) {
        switch error {
        case nil: done.add()
        case .unavailable: unavailable.add()
        case .contended: contended.add()
        case .rejected, .tooLarge: rejected.add()
        case .cancelled: return
        }
        durations.observe(took.inSeconds)
    }
}
