internal import Synchronization

/// What clients did to one register and what they saw, to be checked for linearizability
/// (invariant RegisterLinear).
///
/// Every update writes a value of its own, so that a value says which update is in effect.
package final class RegisterHistory: Sendable {
    package struct Operation: Hashable, Sendable {
        /// When it was called, in the history's own count.
        package var invoked: Int
        /// When it returned; nil: never, or with an error, so that it may take effect at any time
        /// from `invoked` on, or not at all.
        package var returned: Int?
        /// Values that the operation saw, one of which it acted on. A read saw one.
        package var seen: Set<Int>
        /// What an update wrote; nil for a read.
        package var written: Int?
        /// Whether it acts on whatever it finds, so that `seen` says nothing.
        package var isBlind = false
    }

    private struct State {
        var operations: [Operation] = []
        var time = 0
    }

    /// The value of a register that was never written.
    package static let initial = 0

    private let state = Mutex(State())

    package init() {}

    package var operations: [Operation] { state.withLock { $0.operations } }

    /// Notes a call; returns its number, and for an update the value that it is to write.
    /// `isBlind`: it writes over whatever it finds.
    package func invoke(
        isUpdate: Bool, isBlind: Bool = false
    ) -> (operation: Int, value: Int) {
        state.withLock { state in
            state.time += 1
            let value = state.operations.count + 1
            state.operations.append(
                Operation(
                    invoked: state.time, returned: nil, seen: [], written: isUpdate ? value : nil,
                    isBlind: isBlind))
            return (value - 1, value)
        }
    }

    /// Notes the call of a deletion, which leaves what a register holds that was never written.
    package func invokeDeletion(isBlind: Bool = true) -> Int {
        let operation = invoke(isUpdate: true, isBlind: isBlind).operation
        state.withLock { $0.operations[operation].written = RegisterHistory.initial }
        return operation
    }

    /// Notes that an update was refused, since it found something that was written.
    package func refuse(_ operation: Int) {
        state.withLock { state in
            let written = state.operations.compactMap(\.written).filter { $0 != 0 }
            state.operations[operation].written = nil
            state.operations[operation].seen = Set(written)
        }
        finish(operation)
    }

    package func see(_ operation: Int, _ value: Int) {
        state.withLock { _ = $0.operations[operation].seen.insert(value) }
    }

    /// Notes that an update certainly did not happen.
    package func withdraw(_ operation: Int) {
        state.withLock { $0.operations[operation].written = nil }
    }

    /// Notes that the call succeeded.
    package func finish(_ operation: Int) {
        state.withLock { state in
            state.time += 1
            state.operations[operation].returned = state.time
        }
    }

    /// Whether some order of the operations explains all that was seen (Wing and Gong 1993, with
    /// Lowe's memory of visited configurations, 2017).
    package var isLinearizable: Bool { isLinearizable(without: []) }

    /// Whether it would be if nobody had seen what these operations did.
    package func isLinearizable(without ignored: Set<Int>) -> Bool {
        // Reads that returned nothing say nothing.
        let operations = operations.enumerated().filter { number, operation in
            !ignored.contains(number) && (operation.written != nil || operation.returned != nil)
        }
        var search = LinearizabilitySearch(operations.map(\.element))
        return search.succeeds()
    }
}

private struct LinearizabilitySearch {
    private struct Configuration: Hashable {
        var done: [UInt64]
        var value: Int
    }

    private let operations: [RegisterHistory.Operation]
    private var visited: Set<Configuration> = []

    init(_ operations: [RegisterHistory.Operation]) {
        self.operations = operations.sorted { $0.invoked < $1.invoked }
    }

    mutating func succeeds() -> Bool {
        let words = (operations.count + 63) / 64
        var stack = [
            Configuration(
                done: [UInt64](repeating: 0, count: words), value: RegisterHistory.initial)
        ]
        while let configuration = stack.popLast() {
            guard visited.insert(configuration).inserted else { continue }
            guard let deadline = firstReturn(configuration) else { return true }
            for (index, operation) in operations.enumerated() {
                // Whatever was called after an unfinished one returned comes after it.
                if operation.invoked > deadline { break }
                guard !isDone(configuration, index),
                    operation.isBlind || operation.seen.contains(configuration.value)
                else { continue }
                var next = configuration
                next.done[index / 64] |= 1 << UInt64(index % 64)
                next.value = operation.written ?? configuration.value
                stack.append(next)
            }
        }
        return false
    }

    private func isDone(_ configuration: Configuration, _ index: Int) -> Bool {
        configuration.done[index / 64] >> UInt64(index % 64) & 1 == 1
    }

    /// When the first operation that still must take effect returned; nil: none is left.
    private func firstReturn(_ configuration: Configuration) -> Int? {
        var first: Int?
        for (index, operation) in operations.enumerated() {
            guard let returned = operation.returned, !isDone(configuration, index) else {
                continue
            }
            first = min(first ?? returned, returned)
        }
        return first
    }
}
