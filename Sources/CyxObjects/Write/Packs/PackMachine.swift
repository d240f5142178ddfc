/// Which small bodies go together into one segment. A machine.
///
/// Group commit (DeWitt et al., "Implementation techniques for main memory database systems", 1984),
/// without a timer: a body goes at once while fewer than `packs` packs are being stored, and whatever
/// comes meanwhile waits and goes together when one of them is done, or when it fills a pack. So a
/// single client never waits, nobody waits longer than one pack takes, and the more come, the more
/// share the shards, rows and signatures that each segment costs.
package struct PackMachine: Sendable {
    package struct Limits: Hashable, Sendable {
        /// Larger bodies get segments of their own: what these cost is little beside the bytes.
        package var bodyBytes = 256 << 10
        package var packBodies = 64
        /// Bodies of one pack together. It stays as long as one of them is needed, so this also
        /// bounds the space that deleted neighbours of an object take.
        package var packBytes = 1 << 20
        /// Packs that are being stored at once.
        package var packs = 2
        /// The same where each further one is full, so that it would gain nothing by waiting: one that
        /// takes long, for a holder that does not answer, holds few others up.
        package var fullPacks = 16
        /// Bodies that wait; those beyond get segments of their own.
        package var waitingBytes = 16 << 20

        package init() {}
    }

    /// One body.
    package struct Ticket: Hashable, Sendable {
        private let number: UInt64

        fileprivate init(_ number: UInt64) { self.number = number }
    }

    package struct Pack: Hashable, Sendable {
        fileprivate let number: UInt64
        /// In the order of their chunks.
        package let bodies: [Ticket]
    }

    package enum Departure: Hashable, Sendable {
        /// It waited: nothing of it is anywhere.
        case forgotten
        /// Its pack is being stored: what is stored in its name has to be taken back afterwards.
        case leavesTrace
        /// It was told already how it went.
        case tooLate
    }

    private let limits: Limits
    private var nextNumber: UInt64 = 0
    private var waiting: [(ticket: Ticket, bytes: Int)] = []
    private var waitingBytes = 0
    /// Packs that are being stored, by number; those of their bodies that were not told yet, and
    /// whether these have left.
    private var underWay: [UInt64: [Ticket: Bool]] = [:]

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    private mutating func number() -> UInt64 {
        nextNumber += 1
        return nextNumber
    }

    /// A body has come. Nil when it is too large, or too much waits: then it is not for packs.
    package mutating func arrive(bytes: Int) -> Ticket? {
        guard bytes <= limits.bodyBytes, waitingBytes + bytes <= limits.waitingBytes else {
            return nil
        }
        let ticket = Ticket(number())
        waiting.append((ticket, bytes))
        waitingBytes += bytes
        return ticket
    }

    /// The pack that begins now; nil when none does.
    package mutating func begin() -> Pack? {
        guard underWay.count < limits.fullPacks, !waiting.isEmpty else { return nil }
        var bytes = 0
        let taken = waiting.prefix(limits.packBodies).prefix { body in
            bytes += body.bytes
            return bytes <= limits.packBytes
        }
        precondition(!taken.isEmpty, "a body that is taken fits a pack")
        let isFull = taken.count < waiting.count || taken.count == limits.packBodies
        guard isFull || underWay.count < limits.packs else { return nil }
        let pack = Pack(number: number(), bodies: taken.map(\.ticket))
        waitingBytes -= taken.reduce(0) { $0 + $1.bytes }
        waiting.removeFirst(taken.count)
        underWay[pack.number] = Dictionary(uniqueKeysWithValues: pack.bodies.map { ($0, false) })
        return pack
    }

    /// Whoever brought a body does not wait for it any more.
    package mutating func leave(_ ticket: Ticket) -> Departure {
        if let place = waiting.firstIndex(where: { $0.ticket == ticket }) {
            waitingBytes -= waiting.remove(at: place).bytes
            return .forgotten
        }
        for number in underWay.keys where underWay[number]?[ticket] == false {
            underWay[number]?[ticket] = true
            return .leavesTrace
        }
        return .tooLate
    }

    /// The pack is stored, or failed: who is to be told, and whose traces have to be removed.
    package mutating func decide(_ pack: Pack) -> (told: [Ticket], left: [Ticket]) {
        guard let bodies = underWay.updateValue([:], forKey: pack.number) else {
            preconditionFailure("a pack that is not under way is decided")
        }
        return (
            pack.bodies.filter { bodies[$0] == false }, pack.bodies.filter { bodies[$0] == true }
        )
    }

    /// Nothing is done for the pack any more: another may begin.
    package mutating func end(_ pack: Pack) {
        let bodies = underWay.removeValue(forKey: pack.number)
        precondition(bodies?.isEmpty == true, "a pack is decided before it ends")
    }
}
