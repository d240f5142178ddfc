import CyxCore
import CyxCrypto
import CyxObjects
import CyxTables
import SimulationHarness

/// What a member may lie about in what it writes; a seed draws some of it.
enum MemberLie: String, CaseIterable, Sendable {
    /// Holders that never signed that they hold anything, so that a segment looks whole.
    case forgedReceipts = "forged receipts"
    /// So many of them that nothing else fits the row.
    case stuffedHolders = "stuffed holders"
    case forgedRows = "forged heads and cores"
    /// That honest peers failed their audits.
    case forgedStandings = "forged standings"
    /// That heads and cores are not there any more.
    case removedRows = "removed rows"
    /// What heads said before, in their owner's words.
    case oldRows = "rows put back"
    /// That nobody holds what others hold.
    case struckHolders = "struck holders"
}

/// A member of the network that is no custodian and has nobody's keys but its own: it writes what it
/// likes, unchecked by its own tables.
struct LyingMember {
    /// Elements that it brings at a time, at first, and how often it goes on with one row: more than a
    /// row takes. Where there is no room for so many it goes on with fewer, down to one.
    private static let stuffing = (elements: 200, times: 60, shrinking: 4)
    /// Rows that it stuffs.
    private static let stuffedMax = 3
    private static let operationsMax = 3

    private let world: ObjectWorld
    private let clients: ObjectClients
    private let peer: ObjectPeer
    private let kinds: [MemberLie]
    private let key: SigningKey
    private var generator: SeededGenerator
    private var operations: [SimulatedOperation] = []
    private var next: Instant
    private var stuffed = 0
    private(set) var counts: [String: Int] = [:]

    /// Nil if the seed draws none.
    init?(world: ObjectWorld, clients: ObjectClients, favouring favourites: [MemberLie]) {
        // A stream of its own: worlds without one are what they were.
        var generator = SeededGenerator(seed: world.world.seed ^ 0x11a5)
        var kinds = favourites
        if kinds.isEmpty, Bool.random(using: &generator) {
            kinds = MemberLie.allCases.filter { _ in Bool.random(using: &generator) }
        }
        guard !kinds.isEmpty else { return nil }
        self.generator = generator
        self.kinds = kinds
        self.world = world
        self.clients = clients
        key = SigningKey(seed: [UInt8](repeating: 13, count: 32))
        peer = world.addPeer(storing: false, lying: true)
        next = world.world.now
    }

    /// Begins another lie when it is time.
    mutating func step() {
        let now = world.world.now
        guard next <= now, let tables = peer.tables else { return }
        operations.removeAll(where: \.isOver)
        next = now + .milliseconds(Int64.random(in: 100...900, using: &generator))
        guard operations.count < Self.operationsMax,
            let kind = kinds.randomElement(using: &generator)
        else { return }
        let forger = Forger(key: key, tables: tables, forgeries: world.forgeries)
        guard let lie = lie(kind, forger) else { return }
        counts[kind.rawValue, default: 0] += 1
        let clients = clients
        let task = world.world.spawn(peer.machine) {
            do {
                try await lie()
                clients.with { $0.count("lies taken") }
            } catch {
                clients.with { $0.count("lies refused") }
            }
        }
        operations.append(SimulatedOperation(task, on: peer.machine))
    }

    private typealias Lie = @Sendable () async throws -> Void

    private mutating func lie(_ kind: MemberLie, _ forger: Forger) -> Lie? {
        let victims = world.storers.compactMap { peer in
            peer.isUp
                ? peer.store.map { Forger.Victim(key: peer.verifyingKey, store: $0) } : nil
        }
        var generator = SeededGenerator(seed: generator.next())
        switch kind {
        case .forgedReceipts:
            guard let (segment, other) = pick(.segments, &generator),
                let lie = Forger.ReceiptLie.allCases.randomElement(using: &generator)
            else { return nil }
            return { [generator] in
                var generator = generator
                let id = SegmentID(segment.position)
                let elements = try await forger.receipts(
                    lie, of: id, other: SegmentID(other.position), victims, &generator)
                try await forger.tables.merge(ObjectRows.holders(id), elements)
            }
        case .stuffedHolders:
            guard stuffed < Self.stuffedMax, let (segment, _) = pick(.segments, &generator) else {
                return nil
            }
            stuffed += 1
            return { [generator] in
                var generator = generator
                let id = SegmentID(segment.position)
                var count = Self.stuffing.elements
                for _ in 0..<Self.stuffing.times where count > 0 {
                    let elements = forger.stuffing(count, for: id, victims, &generator)
                    do throws(TableError) {
                        try await forger.tables.merge(ObjectRows.holders(id), elements)
                    } catch .tooLarge {
                        count /= Self.stuffing.shrinking
                    }
                }
            }
        case .forgedRows:
            let table: TableID = Bool.random(using: &generator) ? .heads : .segments
            guard let (row, other) = pick(table, &generator),
                let lie = Forger.RowLie.allCases.randomElement(using: &generator)
            else { return nil }
            return { [generator] in
                var generator = generator
                try await forger.replace(row, lie, other: other, &generator)
            }
        case .removedRows:
            let table: TableID = Bool.random(using: &generator) ? .heads : .segments
            guard let (row, _) = pick(table, &generator) else { return nil }
            return { try await forger.remove(row) }
        case .oldRows:
            guard let (row, _) = pick(.heads, &generator) else { return nil }
            return { try await forger.putBack(row) }
        case .struckHolders:
            guard let (segment, _) = pick(.segments, &generator) else { return nil }
            return { try await forger.strike(SegmentID(segment.position)) }
        case .forgedStandings:
            guard let victim = victims.randomElement(using: &generator) else { return nil }
            return { try await forger.slander(victim) }
        }
    }

    /// A row of that table, and another one if there is any.
    private func pick(
        _ table: TableID, _ generator: inout SeededGenerator
    ) -> (row: RowKey, other: RowKey)? {
        guard let disk = world.storers.filter(\.isUp).randomElement(using: &generator)?.machine.disk
        else { return nil }
        let rows = disk.entries(in: "tables", StorageKey.allRows)
            .compactMap { StorageKey.decodeRow($0.key) }
            .filter { $0.table == table && $0.suffix.isEmpty }
        guard let row = rows.randomElement(using: &generator),
            let other = rows.randomElement(using: &generator)
        else { return nil }
        return (row, other)
    }
}
