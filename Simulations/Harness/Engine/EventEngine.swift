package import CyxCore
internal import Synchronization

/// The one clock, the one event heap and the one queue of ready jobs of a simulated world.
///
/// Everything runs on the thread that calls `run`: ready jobs first in, first out, until there are
/// none, then the earliest event. The lock is never contended; it is there because executors must
/// be `Sendable`.
package final class EventEngine: Sendable {
    typealias Body = @Sendable () -> Void

    private enum Ready {
        case job(UnownedJob, SimulatedExecutor)
        case body(Body, SimulatedExecutor)
    }

    private struct Slot {
        var sequence: UInt64
        var owner: SimulatedExecutor?
        var body: Body?
        var kind: EventKind
        var isolated: Bool
        var digest: UInt64
    }

    private struct State {
        var heap = EventHeap()
        var slots: [Slot] = []
        var freeSlots: [Int] = []
        var sequence: UInt64 = 0
        var tombstones = 0
        var ready: [Ready] = []
        var trace = TraceHash()
        var events: UInt64 = 0
        var jobs: UInt64 = 0
        var lines: (@Sendable (String) -> Void)?
    }

    /// Ready jobs that may run without virtual time passing before it counts as a livelock.
    private static let jobsPerInstantLimit: UInt64 = 20_000_000
    /// Below so many cancelled entries the heap is not worth compacting.
    private static let compactionFloor = 1024

    private let state = Mutex(State())
    private let clock = Atomic<Int64>(0)
    private let current = Atomic<UInt64>(0)
    private let isRunning = Atomic<Bool>(false)

    package init() {}

    package var now: Instant { Instant(nanoseconds: clock.load(ordering: .relaxed)) }
    package var trace: TraceHash { state.withLock { $0.trace } }
    package var eventCount: UInt64 { state.withLock { $0.events } }
    package var jobCount: UInt64 { state.withLock { $0.jobs } }

    /// The executor whose code runs right now, or 0.
    var currentExecutor: UInt64 { current.load(ordering: .relaxed) }

    /// Receives one line per event from now on: `time peer kind digest`.
    package func writeTrace(_ line: (@Sendable (String) -> Void)?) {
        state.withLock { $0.lines = line }
    }

    // MARK: Scheduling

    /// Runs `body` at `time`. It is dropped if `owner` has died by then. `isolated`: as code of
    /// `owner`'s executor, otherwise as code of some other thread.
    @discardableResult
    func schedule(
        at time: Instant, kind: EventKind, owner: SimulatedExecutor?, isolated: Bool = true,
        digest: UInt64 = 0, _ body: @escaping Body
    ) -> TimerID {
        state.withLock { state in
            state.sequence += 1
            let slot = Slot(
                sequence: state.sequence, owner: owner, body: body, kind: kind,
                isolated: isolated, digest: digest)
            let index: Int
            if let free = state.freeSlots.popLast() {
                index = free
                state.slots[index] = slot
            } else {
                index = state.slots.count
                state.slots.append(slot)
            }
            let due = max(time.nanoseconds, clock.load(ordering: .relaxed))
            state.heap.insert(EventKey(time: due, sequence: state.sequence, slot: index))
            return TimerID(UInt64(index) << 40 | (state.sequence & 0xFF_FFFF_FFFF))
        }
    }

    func cancel(_ timer: TimerID) {
        // The closure may own things whose release runs code: release it outside the lock.
        let dropped: Body? = state.withLock { state in
            let index = Int(timer.value >> 40)
            guard index < state.slots.count,
                state.slots[index].sequence & 0xFF_FFFF_FFFF == timer.value & 0xFF_FFFF_FFFF,
                let body = state.slots[index].body
            else { return nil }
            Self.release(index, in: &state)
            state.tombstones += 1
            if state.tombstones > Self.compactionFloor, state.tombstones > state.heap.count / 2 {
                let slots = state.slots
                state.heap.compact { slots[$0.slot].sequence == $0.sequence }
                state.tombstones = 0
            }
            return body
        }
        _ = dropped
    }

    private static func release(_ index: Int, in state: inout State) {
        state.slots[index].body = nil
        state.slots[index].owner = nil
        state.slots[index].sequence = 0
        state.freeSlots.append(index)
    }

    func enqueue(_ job: UnownedJob, on executor: SimulatedExecutor) {
        state.withLock { $0.ready.append(.job(job, executor)) }
    }

    func enqueue(_ body: @escaping Body, on executor: SimulatedExecutor) {
        state.withLock { $0.ready.append(.body(body, executor)) }
    }

    /// Drops every event of `executor`; its queued jobs are skipped when their turn comes.
    func dropEvents(of executor: SimulatedExecutor) {
        let dropped: [Body] = state.withLock { state in
            var bodies: [Body] = []
            for index in state.slots.indices where state.slots[index].owner === executor {
                if let body = state.slots[index].body { bodies.append(body) }
                Self.release(index, in: &state)
                state.tombstones += 1
            }
            return bodies
        }
        _ = dropped
    }

    /// Drops everything that is pending, so that a finished world frees what its closures own.
    func shutDown() {
        let (slots, ready) = state.withLock { state in
            defer {
                state.slots = []
                state.freeSlots = []
                state.heap = EventHeap()
                state.ready = []
            }
            return (state.slots, state.ready)
        }
        _ = (slots, ready)
    }

    // MARK: Running

    /// Folds something that is not an event, such as a fault or a checker's finding.
    package func record(_ kind: EventKind, _ digest: UInt64) {
        state.withLock { state in
            state.trace.fold(UInt64(kind.rawValue))
            state.trace.fold(digest)
        }
    }

    /// Runs until virtual time reaches `deadline` or `isDone` holds, which is asked after each
    /// event; returns whether it held.
    func run(until deadline: Instant, isDone: () -> Bool) -> Bool {
        let wasRunning = isRunning.exchange(true, ordering: .relaxed)
        precondition(!wasRunning, "a simulated world is run from within itself")
        defer { isRunning.store(false, ordering: .relaxed) }
        drain()
        while !isDone() {
            guard step(notAfter: deadline) else {
                let reached = max(clock.load(ordering: .relaxed), deadline.nanoseconds)
                clock.store(reached, ordering: .relaxed)
                return isDone()
            }
            drain()
        }
        return true
    }

    private func step(notAfter deadline: Instant) -> Bool {
        let next: (Slot, Body, (@Sendable (String) -> Void)?)? = state.withLock { state in
            while let key = state.heap.first, key.time <= deadline.nanoseconds {
                _ = state.heap.removeFirst()
                let slot = state.slots[key.slot]
                guard slot.sequence == key.sequence, let body = slot.body else {
                    state.tombstones -= 1
                    continue
                }
                Self.release(key.slot, in: &state)
                clock.store(key.time, ordering: .relaxed)
                state.events += 1
                state.trace.fold(UInt64(bitPattern: key.time))
                state.trace.fold((slot.owner?.peerIndex ?? 0) << 8 | UInt64(slot.kind.rawValue))
                state.trace.fold(slot.digest ^ state.jobs)
                return (slot, body, state.lines)
            }
            return nil
        }
        guard let (slot, body, lines) = next else { return false }
        if let lines {
            let peer = slot.owner.map { String($0.peerIndex) } ?? "-"
            lines("\(now.nanoseconds) \(peer) \(slot.kind) \(String(slot.digest, radix: 16))")
        }
        if let owner = slot.owner {
            guard owner.isAlive else { return true }
            current.store(slot.isolated ? owner.identity : 0, ordering: .relaxed)
        }
        body()
        current.store(0, ordering: .relaxed)
        return true
    }

    private func drain() {
        var batch: [Ready] = []
        var count: UInt64 = 0
        while true {
            state.withLock { state in
                state.jobs += UInt64(batch.count)
                batch.removeAll(keepingCapacity: true)
                swap(&batch, &state.ready)
            }
            guard !batch.isEmpty else { return }
            count += UInt64(batch.count)
            precondition(count < Self.jobsPerInstantLimit, "livelock: jobs run, time stands still")
            for ready in batch {
                switch ready {
                case .job(let job, let executor):
                    guard executor.isAlive else { continue }
                    current.store(executor.identity, ordering: .relaxed)
                    job.runSynchronously(
                        isolatedTo: executor.asUnownedSerialExecutor(),
                        taskExecutor: executor.asUnownedTaskExecutor())
                case .body(let body, let executor):
                    guard executor.isAlive else { continue }
                    current.store(executor.identity, ordering: .relaxed)
                    body()
                }
            }
            current.store(0, ordering: .relaxed)
        }
    }
}
