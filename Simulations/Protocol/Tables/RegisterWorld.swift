import CyxCore
import CyxTables
import SimulationHarness

/// One register of five members and its proposers as machines alone, in any order of single
/// messages, with changes of view in between: some ten thousand such worlds run in a second, for
/// rules that only a rare order of messages needs.
struct RegisterWorld {
    private static let members = 5
    private static let quorum = 3
    private static let events = 120
    private static let operationsMax = 4
    private static let viewChangesMax: UInt32 = 3

    private enum Phase {
        case read([RegisterRecord])
        case prepare(RegisterVersion, [RegisterPromise])
        case accept(RegisterRecord, accepted: Int)
    }

    private struct Operation {
        var number: Int
        /// What it writes; nil: it reads.
        var value: Int?
        var isCreation = false
        var proposer: RegisterProposer
        var phase: Phase
        /// Members that the phase has not asked yet.
        var unasked: [Int]
    }

    private let broken: Set<TableRule>
    private let history = RegisterHistory()
    private var generator: SeededGenerator
    private var records = [RegisterRecord](repeating: RegisterRecord(), count: members)
    private var epoch: UInt32 = 1
    /// Whether the first operation creates the register, and is the only one to give it a first value.
    private let isCreated: Bool
    private var operations: [Operation] = []
    private var proposers: UInt64 = 0

    /// Whether some order of the operations of a seed's run explains what they saw.
    static func isLinearizable(seed: UInt64, without broken: Set<TableRule>) -> Bool {
        var world = RegisterWorld(seed: seed, without: broken)
        return world.run()
    }

    private init(seed: UInt64, without broken: Set<TableRule>) {
        generator = SeededGenerator(seed: seed)
        self.broken = broken
        isCreated = Bool.random(using: &generator)
    }

    private var view: ViewID {
        guard let whole = Partition(depth: 0, index: 0) else { preconditionFailure("depth 0") }
        return ViewID(partition: whole, generation: 0, epoch: epoch)
    }

    private mutating func run() -> Bool {
        if isCreated { create() }
        for _ in 0..<Self.events {
            switch Int.random(in: 0..<40, using: &generator) {
            case 0 where epoch <= Self.viewChangesMax: changeView()
            case 1..<6 where operations.count < Self.operationsMax: begin()
            default: advance(loses: 0.3)
            }
        }
        operations.removeAll()
        // Whatever is left behind shows in reads from one quorum after another.
        for _ in 0..<4 {
            begin(reads: true)
            while !operations.isEmpty { advance(loses: 0) }
        }
        return history.isLinearizable
    }

    /// Gives the register its first value without asking for promises.
    private mutating func create() {
        let (number, value) = history.invoke(isUpdate: true)
        // Its ballots are above those of the others, or below.
        let name: UInt64 = Bool.random(using: &generator) ? .max : 0
        var proposer = RegisterProposer(proposer: PeerID(Digest(name, 0, 0, 0)))
        let ballot = proposer.nextBallot(in: view, nonce: generator.next())
        let record = proposer.create(Self.bytes(value), ballot: ballot)
        history.see(number, RegisterHistory.initial)
        operations.append(
            Operation(
                number: number, value: value, isCreation: true, proposer: proposer,
                phase: .accept(record, accepted: 0), unasked: shuffledMembers()))
    }

    private mutating func begin(reads: Bool = false) {
        let isRead = reads || Int.random(in: 0..<3, using: &generator) == 0
        let (number, value) = history.invoke(isUpdate: !isRead)
        proposers += 1
        let proposer = RegisterProposer(proposer: PeerID(Digest(proposers, 0, 0, 0)))
        var operation = Operation(
            number: number, value: isRead ? nil : value, proposer: proposer, phase: .read([]),
            unasked: shuffledMembers())
        if !isRead { prepare(&operation) }
        operations.append(operation)
    }

    private mutating func shuffledMembers() -> [Int] {
        Array(0..<Self.members).shuffled(using: &generator)
    }

    private mutating func prepare(_ operation: inout Operation) {
        let ballot = operation.proposer.nextBallot(in: view, nonce: generator.next())
        operation.phase = .prepare(ballot, [])
        operation.unasked = shuffledMembers()
    }

    /// Lets one message of one operation arrive, or be lost.
    private mutating func advance(loses: Double) {
        guard !operations.isEmpty else { return }
        let index = Int.random(in: 0..<operations.count, using: &generator)
        // Others get a chance to come upon a register that is only just being created.
        if operations[index].isCreation, Int.random(in: 0..<8, using: &generator) > 0 { return }
        var operation = operations.remove(at: index)
        guard let member = operation.unasked.popLast() else {
            prepare(&operation)
            operations.append(operation)
            return
        }
        let isLost = Double.random(in: 0..<1, using: &generator) < loses
        if isLost || !deliver(&operation, to: member) { operations.append(operation) }
    }

    /// Whether the operation has ended by it.
    private mutating func deliver(_ operation: inout Operation, to member: Int) -> Bool {
        switch operation.phase {
        case .read(let before):
            let replies = before + [records[member]]
            operation.phase = .read(replies)
            guard replies.count >= Self.quorum else { return false }
            let settled = RegisterProposer.settledState(
                replies, in: view, quorum: Self.quorum, without: broken)
            if let settled { return finish(operation, saw: settled) }
            if operation.unasked.isEmpty { prepare(&operation) }
            return false
        case .prepare(let ballot, let before):
            switch records[member].prepare(ballot) {
            case .refused(let promised):
                operation.proposer.observe(promised, in: view)
                prepare(&operation)
                return false
            case .promised(let record, let wasClean):
                let promises = before + [RegisterPromise(record: record, wasClean: wasClean)]
                operation.phase = .prepare(ballot, promises)
                return promises.count >= Self.quorum && propose(&operation, ballot, promises)
            }
        case .accept(let record, let accepted):
            if let promised = records[member].accept(record) {
                operation.proposer.observe(promised, in: view)
                prepare(&operation)
                return false
            }
            operation.phase = .accept(record, accepted: accepted + 1)
            guard accepted + 1 >= Self.quorum else { return false }
            return finish(operation, saw: record.state)
        }
    }

    private mutating func propose(
        _ operation: inout Operation, _ ballot: RegisterVersion, _ promises: [RegisterPromise]
    ) -> Bool {
        var isIdle = false
        let tried = operation
        let step = operation.proposer.step(
            promises, ballot: ballot, in: view, quorum: Self.quorum
        ) { state in
            guard let value = tried.value, mayWrite(tried, over: state) else {
                isIdle = true
                return .abandon
            }
            history.see(tried.number, Self.number(state.value))
            return .set(Self.bytes(value))
        }
        if isIdle, operation.value != nil {
            // It goes on as a read.
            operation.value = nil
            history.withdraw(operation.number)
        }
        switch step {
        case .settled(let state, _): return finish(operation, saw: state)
        case .accept(let record, _):
            operation.phase = .accept(record, accepted: 0)
            operation.unasked = shuffledMembers()
            return false
        case .unknowable: return true
        }
    }

    private func mayWrite(_ operation: Operation, over state: RegisterState) -> Bool {
        !isCreated || operation.isCreation == (state.value == nil)
            || broken.contains(.createsFreshNames) && !operation.isCreation
    }

    private func finish(_ operation: Operation, saw state: RegisterState) -> Bool {
        if operation.value == nil { history.see(operation.number, Self.number(state.value)) }
        history.finish(operation.number)
        return true
    }

    private static func number(_ bytes: [UInt8]?) -> Int {
        (bytes ?? []).reduce(RegisterHistory.initial) { $0 << 8 | Int($1) }
    }

    private static func bytes(_ number: Int) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 255)]
    }

    /// Seals all members; those that stay take over what a quorum with them has, one newcomer what
    /// any quorum has (A3). What was under way begins anew in the next view.
    private mutating func changeView() {
        let frozen = records
        let newcomer = Int.random(in: 0..<Self.members, using: &generator)
        for member in 0..<Self.members {
            var sources = shuffledMembers().filter { $0 != member || member == newcomer }
            records[member] = member == newcomer ? RegisterRecord() : frozen[member]
            sources = Array(sources.prefix(Self.quorum - (member == newcomer ? 0 : 1)))
            for source in sources {
                records[member].absorb(
                    frozen[source], withPromise: !broken.contains(.pullsPromises))
            }
        }
        epoch += 1
        for index in operations.indices {
            var operation = operations[index]
            if operation.value == nil {
                operation.phase = .read([])
                operation.unasked = shuffledMembers()
            } else {
                prepare(&operation)
            }
            operations[index] = operation
        }
    }
}
