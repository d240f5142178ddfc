internal import CyxCore
internal import Synchronization

/// Batches of a text's samples on their way. What is wrong further on than the first batch can no
/// longer be answered with a status: JSON says it in a last line, and any other form is cut off.
struct SampleStream: ByteSource {
    private var source: any ByteSource
    private let batcher: Batcher
    private let blocking: any BlockingPool
    private let tellsFaults: Bool
    /// Given back when nobody holds it any more.
    private let slot: SampleSlots.Slot
    private var ready: ArraySlice<[UInt8]> = []
    /// Of what comes behind those.
    private var fault: SampleFault?
    private var hasBegun = false
    private var hasEnded = false

    /// So that a pool's thread changes it in place.
    private final class Batcher: Sendable {
        let machine: Mutex<SampleBatcher>
        init(_ machine: SampleBatcher) { self.machine = Mutex(machine) }
    }

    init(
        _ source: any ByteSource, _ machine: SampleBatcher, tellsFaults: Bool,
        blocking: any BlockingPool, slot: SampleSlots.Slot
    ) {
        self.source = source
        batcher = Batcher(machine)
        self.tellsFaults = tellsFaults
        self.blocking = blocking
        self.slot = slot
    }

    mutating func next() async throws -> [UInt8]? {
        while ready.isEmpty {
            if let fault {
                self.fault = nil
                return try told(fault)
            }
            guard !hasEnded else { return nil }
            try await readOn()
        }
        hasBegun = true
        return ready.removeFirst()
    }

    private func told(_ fault: SampleFault) throws(SampleFault) -> [UInt8] {
        guard hasBegun, tellsFaults else { throw fault }
        let error = JSONValue.object([
            ("code", .string(fault.code)), ("message", .string(fault.message)),
        ])
        return Array((JSONValue.object([("error", error)]).encoded + "\n").utf8)
    }

    private mutating func readOn() async throws {
        let piece = try await source.next()
        let batcher = batcher
        let step = await blocking.run { () -> Step in
            batcher.machine.withLock { machine in
                var step = Step(hasEnded: piece == nil)
                do throws(SampleFault) {
                    if let piece { try machine.take(piece, into: &step.batches) }
                    step.hasEnded = step.hasEnded || machine.isDone
                    if step.hasEnded { try machine.finish(into: &step.batches) }
                } catch {
                    (step.fault, step.hasEnded) = (error, true)
                }
                return step
            }
        }
        ready = step.batches[...]
        fault = step.fault
        hasEnded = step.hasEnded
    }

    private struct Step: Sendable {
        var batches: [[UInt8]] = []
        var fault: SampleFault?
        var hasEnded: Bool
    }
}

/// A source of which the beginning was read already.
struct BegunSource: ByteSource {
    private var first: [UInt8]?
    private var rest: any ByteSource

    init(_ first: [UInt8], _ rest: any ByteSource) {
        self.first = first
        self.rest = rest
    }

    mutating func next() async throws -> [UInt8]? {
        if let first {
            self.first = nil
            return first
        }
        return try await rest.next()
    }
}

/// How many streams of lines a gateway serves at a time, each of which may hold two batches.
final class SampleSlots: Sendable {
    static let capacity = 32
    static let retrySeconds = 2

    private let taken = Atomic<Int>(0)

    final class Slot: Sendable {
        private let slots: SampleSlots
        fileprivate init(_ slots: SampleSlots) { self.slots = slots }
        deinit { slots.taken.subtract(1, ordering: .relaxed) }
    }

    /// Nil where all are taken.
    func take() -> Slot? {
        guard taken.add(1, ordering: .relaxed).newValue <= SampleSlots.capacity else {
            taken.subtract(1, ordering: .relaxed)
            return nil
        }
        return Slot(self)
    }
}
