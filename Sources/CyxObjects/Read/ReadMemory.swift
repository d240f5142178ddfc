package import CyxCore
internal import Synchronization

/// Who has how much of the memory for reads, and in which order those who wait get theirs. A machine.
package struct ReadLedger: Sendable {
    let capacity: Int
    package private(set) var used = 0
    /// First come, first served; each read waits for one window at a time.
    private var waiting: [(ticket: UInt64, bytes: Int)] = []
    private var lastTicket: UInt64 = 0

    package init(capacity: Int) {
        self.capacity = capacity
    }

    /// Up to here reads take as much as makes them fast; what is beyond is for those who have nothing.
    private var plenty: Int { capacity / 4 * 3 }

    package var isScarce: Bool { used > plenty || !waiting.isEmpty }

    /// What has to be given back for all who wait to go on, and for half of it to be free then: or each
    /// window would have to be waited for.
    package var lacking: Int {
        guard !waiting.isEmpty else { return 0 }
        return waiting.reduce(used - capacity / 2) { $0 + $1.bytes }
    }

    private func hasRoom(for bytes: Int) -> Bool { used == 0 || used + bytes <= capacity }

    /// Takes what a read cannot go on without; false if it has to wait.
    package mutating func take(_ bytes: Int) -> Bool {
        guard waiting.isEmpty, hasRoom(for: bytes) else { return false }
        used += bytes
        return true
    }

    /// Takes what a read may want next.
    package mutating func takeAhead(_ bytes: Int) -> Bool {
        guard waiting.isEmpty, used + bytes <= plenty else { return false }
        used += bytes
        return true
    }

    package mutating func wait(for bytes: Int) -> UInt64 {
        lastTicket += 1
        waiting.append((lastTicket, bytes))
        return lastTicket
    }

    package mutating func leave(_ ticket: UInt64) { waiting.removeAll { $0.ticket == ticket } }

    package mutating func giveBack(_ bytes: Int) { used -= bytes }

    /// Those of the waiting who have theirs now. Nobody overtakes: or large windows would wait for ever.
    package mutating func due() -> [UInt64] {
        var due: [UInt64] = []
        for (ticket, bytes) in waiting {
            guard hasRoom(for: bytes) else { break }
            used += bytes
            due.append(ticket)
        }
        waiting.removeFirst(due.count)
        return due
    }
}

/// One bound for the memory of all reads of a process: windows that are fetched, decoded or on their
/// way to whoever reads.
///
/// A read takes a window's bytes before it fetches it and waits for them in turn; it fetches ahead
/// only while there is plenty. Where others wait, a read whose client has asked for nothing for a
/// while puts down what it holds, and fetches it again should the client go on: clients that do not
/// read cost what was handed out to them, and keep nobody from reading.
package final class ReadMemory: Sendable {
    package static let defaultBytes = 256 << 20
    /// A quarter has to hold the largest window of one chunk, as it is fetched, and one that is sent.
    package static let leastBytes = 64 << 20
    /// A read that was asked for nothing for so long stands still.
    static let stillTime = Duration.seconds(1)
    /// How often it is looked for such, while somebody waits.
    static let lookInterval = Duration.milliseconds(250)

    private struct Reader {
        var putDown: @Sendable () -> Void
        /// Nil while it reads.
        var stillSince: Instant?
        /// What it could put down.
        var bytes = 0
    }

    private struct State {
        var ledger: ReadLedger
        var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
        /// Reads that hold something, as many as are under way.
        var readers: [UInt64: Reader] = [:]
        var lastReader: UInt64 = 0
        var lastLook: Instant?
    }

    private let environment: Environment
    private let state: Mutex<State>
    private let waits: Counter
    private let putDowns: Counter

    package init(bytes: Int, environment: Environment) {
        self.environment = environment
        state = Mutex(State(ledger: ReadLedger(capacity: max(bytes, ReadMemory.leastBytes))))
        waits = environment.metrics.counter("cyxcloud_read_memory_waits_total")
        putDowns = environment.metrics.counter("cyxcloud_reads_put_down_total")
    }

    /// Memory that was taken; given back when nobody has this any longer.
    final class Grant: Sendable {
        private let memory: ReadMemory
        private let bytes: Mutex<Int>

        fileprivate init(_ memory: ReadMemory, _ bytes: Int) {
            self.memory = memory
            self.bytes = Mutex(bytes)
        }

        /// Keeps so much of it, where it has more.
        func shrink(to kept: Int) {
            let rest = bytes.withLock { bytes in
                defer { bytes = min(bytes, kept) }
                return bytes - min(bytes, kept)
            }
            if rest > 0 { memory.giveBack(rest) }
        }

        deinit { shrink(to: 0) }
    }

    var isScarce: Bool { state.withLock { $0.ledger.isScarce } }

    /// What is taken at the moment.
    package var usedBytes: Int { state.withLock { $0.ledger.used } }

    /// For what nobody has asked for yet; nil where it is needed otherwise.
    func takeAhead(_ bytes: Int) -> Grant? {
        state.withLock { $0.ledger.takeAhead(bytes) } ? Grant(self, bytes) : nil
    }

    /// Waits for its turn; nil if the task was cancelled before that.
    func take(_ wanted: Int) async -> Grant? {
        let bytes = state.withLock { min(wanted, $0.ledger.capacity) }
        if state.withLock({ $0.ledger.take(bytes) }) { return Grant(self, bytes) }
        waits.add()
        let isTaken = await withTaskGroup(of: Bool.self) { group in
            group.addTask { await self.wait(for: bytes) }
            group.addTask {
                await self.lookForStillReaders()
                return false
            }
            var isTaken = false
            for await result in group {
                isTaken = isTaken || result
                group.cancelAll()
            }
            return isTaken
        }
        return isTaken ? Grant(self, bytes) : nil
    }

    private func wait(for bytes: Int) async -> Bool {
        let ticket = Mutex<UInt64?>(nil)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waiters = state.withLock { state in
                    guard !Task.isCancelled else { return [(continuation, false)] }
                    let number = state.ledger.wait(for: bytes)
                    ticket.withLock { $0 = number }
                    state.waiters[number] = continuation
                    // There may be room since it was refused.
                    return served(&state)
                }
                for (waiter, isTaken) in waiters { waiter.resume(returning: isTaken) }
            }
        } onCancel: {
            let waiters = state.withLock { state in
                guard let number = ticket.withLock({ $0 }),
                    let continuation = state.waiters.removeValue(forKey: number)
                else { return [(CheckedContinuation<Bool, Never>, Bool)]() }
                state.ledger.leave(number)
                // Whoever came after it may need less.
                return [(continuation, false)] + served(&state)
            }
            for (waiter, isTaken) in waiters { waiter.resume(returning: isTaken) }
        }
    }

    private func served(_ state: inout State) -> [(CheckedContinuation<Bool, Never>, Bool)] {
        state.ledger.due().compactMap { ticket in
            state.waiters.removeValue(forKey: ticket).map { ($0, true) }
        }
    }

    private func giveBack(_ bytes: Int) {
        let waiters = state.withLock { state in
            state.ledger.giveBack(bytes)
            return served(&state)
        }
        for (waiter, isTaken) in waiters { waiter.resume(returning: isTaken) }
    }

    // MARK: Reads that stand still

    /// A read's entry, which it keeps as long as it lasts.
    final class Place: Sendable {
        private let memory: ReadMemory
        private let number: UInt64

        fileprivate init(_ memory: ReadMemory, _ number: UInt64) {
            self.memory = memory
            self.number = number
        }

        func goesOn() { memory.state.withLock { $0.readers[number]?.stillSince = nil } }

        /// `bytes`: what it could put down.
        func standsStill(holding bytes: Int) {
            let now = memory.environment.now()
            memory.state.withLock { state in
                state.readers[number]?.stillSince = now
                state.readers[number]?.bytes = bytes
            }
        }

        deinit { memory.state.withLock { $0.readers[number] = nil } }
    }

    /// `putDown`: called from anywhere when others need what the read holds.
    func enter(_ putDown: @escaping @Sendable () -> Void) -> Place {
        let number = state.withLock { state in
            state.lastReader += 1
            state.readers[state.lastReader] = Reader(putDown: putDown)
            return state.lastReader
        }
        return Place(self, number)
    }

    private func lookForStillReaders() async {
        do {
            while true {
                for putDown in stillReaders() {
                    putDowns.add()
                    putDown()
                }
                try await environment.sleep(for: ReadMemory.lookInterval)
            }
        } catch {
            // Whoever waited has its bytes, or is gone.
        }
    }

    /// Those that have stood still the longest, as many as it takes. All who wait look: one at a time is
    /// enough.
    private func stillReaders() -> [@Sendable () -> Void] {
        let now = environment.now()
        return state.withLock { state in
            if let last = state.lastLook, now - last < ReadMemory.lookInterval { return [] }
            state.lastLook = now
            let still = state.readers.compactMap { number, reader in
                reader.stillSince.map { (since: $0, number: number, bytes: reader.bytes) }
            }.filter { $0.bytes > 0 && now - $0.since >= ReadMemory.stillTime }
            var missing = state.ledger.lacking
            var found: [@Sendable () -> Void] = []
            for reader in still.sorted(by: { ($0.since, $0.number) < ($1.since, $1.number) }) {
                guard missing > 0 else { break }
                missing -= reader.bytes
                state.readers[reader.number]?.bytes = 0
                if let putDown = state.readers[reader.number]?.putDown { found.append(putDown) }
            }
            return found
        }
    }
}
