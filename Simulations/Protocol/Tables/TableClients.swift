import CyxCore
import CyxTables
import SimulationHarness
import Synchronization

/// Clients of a world of tables: they change and read a few rows from everywhere at once and note
/// what they were told.
final class TableClients: Sendable {
    private struct Element {
        /// What was last told to be in effect.
        var acknowledged: UInt64 = 0
        var attempted: UInt64 = 0
        /// The highest that anyone was told.
        var read: UInt64 = 0
        var isBusy = false
    }

    private struct State {
        var generator: SeededGenerator
        var evidence = TableEvidence()
        var elements = [Element](repeating: Element(), count: TableClients.elements)
        var operations: [SimulatedOperation] = []
        var counts: [String: Int] = [:]
        /// What is known of each register by following it, and how far.
        var followed: [Int: Followed] = [:]
    }

    private struct Followed {
        var value: [UInt8]?
        var cursor: ScanCursor?
    }

    /// Registers that are changed all the time, and others that are left alone between changes for as
    /// long as it takes to forget one that was deleted.
    private static let busyRows = 2
    static let rows = 4
    /// One operation of so many is on one of the latter.
    private static let quietShare = 16
    /// Elements of the one merge row, each with one writer at a time.
    private static let elements = 3
    private static let operationsMax = 8
    /// Operations that begin within one step of the run.
    private static let startsMax = 2
    private static let mergeElement: [[UInt8]] = (0..<UInt8(elements)).map { [$0] }

    private let world: TableWorld
    private let histories: [RegisterHistory]
    private let state: Mutex<State>

    init(world: TableWorld) {
        self.world = world
        histories = (0..<Self.rows).map { _ in RegisterHistory() }
        state = Mutex(State(generator: world.world.generator()))
    }

    var counts: [String: Int] { state.withLock { $0.counts } }

    func withEvidence<Value>(_ body: (inout TableEvidence) -> sending Value) -> sending Value {
        state.withLock { body(&$0.evidence) }
    }

    // MARK: Operations

    /// Starts operations until as many are under way as may be.
    func step() {
        let running = world.running
        guard !running.isEmpty else { return }
        state.withLock { $0.operations.removeAll(where: \.isOver) }
        for _ in 0..<Self.startsMax {
            let draw = state.withLock { state -> (peer: Int, kind: Int, row: Int)? in
                guard state.operations.count < Self.operationsMax else { return nil }
                return (
                    Int.random(in: 0..<running.count, using: &state.generator),
                    Int.random(in: 0..<20, using: &state.generator),
                    Self.drawRow(using: &state.generator)
                )
            }
            guard let draw, let tables = running[draw.peer].tables else { return }
            let machine = running[draw.peer].machine
            switch draw.kind {
            case ..<6: start(machine) { try await self.update(draw.row, tables) }
            case ..<9: start(machine) { try await self.delete(draw.row, tables) }
            case ..<14: start(machine) { try await self.read(draw.row, tables) }
            case ..<15: start(machine) { try await self.scan(tables) }
            case ..<18: start(machine) { try await self.merge(draw.row, tables) }
            case ..<19: start(machine) { try await self.readMerge(tables) }
            default: start(machine) { try await self.follow(draw.row, tables) }
            }
        }
    }

    private static func drawRow(using generator: inout SeededGenerator) -> Int {
        Int.random(in: 0..<quietShare, using: &generator) == 0
            ? Int.random(in: busyRows..<rows, using: &generator)
            : Int.random(in: 0..<busyRows, using: &generator)
    }

    private func start(
        _ machine: SimulatedPeer, _ body: @escaping @Sendable () async throws -> Void
    ) {
        let task = world.world.spawn(machine) {
            do {
                try await body()
                self.state.withLock { $0.counts["operations done", default: 0] += 1 }
            } catch {
                self.state.withLock { $0.counts["operations failed", default: 0] += 1 }
            }
        }
        state.withLock {
            $0.operations.append(SimulatedOperation(task, on: machine))
        }
    }

    private func update(_ row: Int, _ tables: TableService) async throws {
        let history = histories[row]
        let (operation, value) = history.invoke(isUpdate: true)
        let served = withEvidence { $0.servedEpoch(around: row) }
        let state = try await tables.update(TableWorld.key(TableWorld.registers, row)) { state in
            history.see(operation, Self.number(state.value))
            return .set(Self.bytes(value))
        }
        history.finish(operation)
        withEvidence {
            $0.acknowledge(
                .init(key: row, version: state.version, servedAtCall: served), in: world)
        }
    }

    private func delete(_ row: Int, _ tables: TableService) async throws {
        let history = histories[row]
        let operation = history.invokeDeletion(isBlind: false)
        let served = withEvidence { $0.servedEpoch(around: row) }
        let state = try await tables.update(TableWorld.key(TableWorld.registers, row)) { state in
            history.see(operation, Self.number(state.value))
            return .delete
        }
        history.finish(operation)
        withEvidence {
            $0.acknowledge(
                .init(key: row, version: state.version, servedAtCall: served), in: world)
        }
    }

    private func read(_ row: Int, _ tables: TableService) async throws {
        let (operation, _) = histories[row].invoke(isUpdate: false)
        let state = try await tables.read(TableWorld.key(TableWorld.registers, row))
        histories[row].see(operation, Self.number(state.value))
        histories[row].finish(operation)
    }

    /// A list shows every row as a read would (ListFresh).
    private func scan(_ tables: TableService) async throws {
        let operations = histories.map { $0.invoke(isUpdate: false).operation }
        let found = try await tables.scan(
            TableWorld.registers, position: .zero, prefixBits: 0, after: nil, limit: 100)
        for row in 0..<histories.count {
            let key = TableWorld.key(TableWorld.registers, row)
            let value = found.first { $0.key == key }?.state.value
            histories[row].see(operations[row], Self.number(value))
            histories[row].finish(operations[row])
        }
        state.withLock { $0.counts["lists answered", default: 0] += 1 }
    }

    /// Whoever is told what has changed knows what a read would show (ListFresh), whichever peer told
    /// it before.
    private func follow(_ row: Int, _ tables: TableService) async throws {
        let (operation, _) = histories[row].invoke(isUpdate: false)
        let key = TableWorld.key(TableWorld.registers, row)
        var followed = state.withLock { $0.followed[row] } ?? Followed()
        while true {
            let page = try await tables.changes(
                TableWorld.registers, position: key.position, since: followed.cursor)
            if page.stretch != nil { followed.value = nil }
            if let found = page.rows.first(where: { $0.key == key }) {
                followed.value = found.state.value
            }
            followed.cursor = page.cursor
            if page.isComplete { break }
        }
        histories[row].see(operation, Self.number(followed.value))
        histories[row].finish(operation)
        state.withLock { [followed] state in
            state.followed[row] = followed
            state.counts["changes followed", default: 0] += 1
        }
    }

    private func merge(_ number: Int, _ tables: TableService) async throws {
        let drawn = state.withLock { state -> (element: Int, value: UInt64)? in
            let element = Int.random(in: 0..<Self.elements, using: &state.generator)
            guard !state.elements[element].isBusy else { return nil }
            state.elements[element].isBusy = true
            state.elements[element].attempted += 1
            return (element, state.elements[element].attempted)
        }
        guard let drawn else { return }
        let element = MergeElement(
            element: Self.mergeElement[drawn.element], value: Self.bytes(Int(drawn.value)))
        do {
            try await tables.merge(TableWorld.key(TableWorld.merges, 0), [element])
            state.withLock { state in
                state.elements[drawn.element].acknowledged = drawn.value
                state.elements[drawn.element].isBusy = false
            }
        } catch {
            state.withLock { $0.elements[drawn.element].isBusy = false }
            throw error
        }
    }

    private func readMerge(_ tables: TableService) async throws {
        let least = state.withLock { $0.elements.map { max($0.acknowledged, $0.read) } }
        let found = try await tables.readMerge(TableWorld.key(TableWorld.merges, 0))
        state.withLock { state in
            state.counts["merge rows read", default: 0] += 1
            for index in 0..<Self.elements {
                let here = found.first { $0.element == Self.mergeElement[index] }?.value
                let value = UInt64(Self.number(here))
                if value < least[index] {
                    state.evidence.violate(
                        "NoResurrection",
                        "an element was \(least[index]) and is \(value) again")
                }
                state.elements[index].read = max(state.elements[index].read, value)
            }
        }
    }

    private static func number(_ bytes: [UInt8]?) -> Int {
        guard let bytes else { return RegisterHistory.initial }
        return bytes.reduce(0) { $0 << 8 | Int($1) }
    }

    private static func bytes(_ number: Int) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    }

    // MARK: Verdict

    /// Reads every row from every peer that runs; false if one of them got no answer.
    func readEverything(limit: Duration) -> Bool {
        let tasks = world.running.flatMap { peer in
            peer.tables.map { tables in
                (0..<histories.count).map { row in
                    world.world.spawn(peer.machine) { try await self.read(row, tables) }
                } + [world.world.spawn(peer.machine) { try await self.readMerge(tables) }]
            } ?? []
        }
        world.world.run(limit: limit) { tasks.allSatisfy { $0.result != nil } }
        return tasks.allSatisfy { task in
            if case .success? = task.result { true } else { false }
        }
    }

    /// Holds what clients saw of each register against all orders that could explain it.
    func judge() {
        for (row, history) in histories.enumerated() where !history.isLinearizable {
            withEvidence {
                $0.violate("RegisterLinear", "no order explains what clients saw of row \(row)")
            }
        }
    }
}
