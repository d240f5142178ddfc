import CyxCore
import CyxOverlay
import CyxTransport

/// Drives the overlay's lookup machines over a frozen population, one event per answer, failure or
/// loss of patience.
struct LookupRun {
    /// What an operation is for.
    enum Purpose {
        /// Finding the k closest to a random key.
        case explore
        /// The same over disjoint paths, then storing at all of them.
        case publish
        /// Ends when somebody who keeps the record answers.
        case retrieve
    }

    struct Operation {
        var purpose: Purpose
        var origin: Int
        var lookup: Lookup
        /// The origin has measured nothing before: the slowest case.
        var times: AnswerTimes
        var askedAt: [Int: Int64] = [:]
        var started: Int64
        /// When it reached its purpose; nil while it has not.
        var finished: Int64?
        var storesLeft = 0
        /// Peers that keep what was stored.
        var holders: Set<Int> = []
        var isOver = false
    }

    /// How peers answer that somebody else runs, and whom a lookup believes.
    struct Deviation {
        var isLiar: (Int) -> Bool
        /// Contacts that a liar names instead.
        var answer: [PeerContact]
        /// Whether an asker takes a liar's word for what it looks for, as if records were unsigned.
        var isBelieved: Bool
    }

    private enum Kind: UInt8 {
        case begin, answer, failure, stall, stored, storeFailed
    }

    var population: Population
    private(set) var network: NetworkModel
    private(set) var operations: [Operation] = []
    private var heap = ProtocolHeap()
    private var generator: SeededGenerator
    var deviation: Deviation?
    /// Who keeps the record of a key; set by publishing.
    private var holders: [Digest: Set<Int>] = [:]

    /// A request without an answer fails after so long (`MembershipTimings.production`).
    private static let timeout = MembershipTimings.production.probeTimeout.nanoseconds
    /// Operations start so far apart, on average: many run at once.
    private static let pace: Int64 = 5_000_000

    init(population: Population, model: RoundTripModel, loss: Double, seed: UInt64) {
        self.population = population
        // Not the population's own stream: keys drawn from it could be IDs.
        generator = SeededGenerator(seed: ~seed)
        network = NetworkModel(model, peers: population.count, generator: &generator)
        network.loss = loss
    }

    var events: Int { heap.processed }

    mutating func randomLivePeer() -> Int {
        while true {
            let index = Int.random(in: 0..<population.count, using: &generator)
            if !population.isDead[index], deviation?.isLiar(index) != true { return index }
        }
    }

    mutating func randomKey() -> Digest { generator.digest() }

    /// Runs one operation per element of `keys`, all to their ends. `sample`: how many members at
    /// random their origins know besides what is in their routing tables.
    mutating func run(
        _ purpose: Purpose, keys: [Digest], paths: Int = 1, asksRegion: Bool = false,
        sample: Int = 0
    ) -> [Operation] {
        operations = []
        heap = ProtocolHeap()
        for (number, key) in keys.enumerated() {
            let origin = randomLivePeer()
            let table = population.table(of: origin)
            let seeds =
                table.closest(
                    to: key, count: population.parameters.answerSize, verifiedOnly: false)
                + closestKnown(to: key, of: sample)
            let start = Int64(number) * Self.pace
            operations.append(
                Operation(
                    purpose: purpose, origin: origin,
                    lookup: Lookup(
                        target: key, local: population.ids[origin], seeds: seeds,
                        parameters: population.parameters, paths: paths,
                        region: asksRegion ? table.neighbourhood : nil),
                    times: AnswerTimes(initial: population.parameters.patience),
                    started: start))
            heap.schedule(at: start, kind: Kind.begin.rawValue, subject: number)
        }
        while let event = heap.next() { handle(event) }
        if purpose == .publish {
            for operation in operations { holders[operation.lookup.target] = operation.holders }
        }
        return operations
    }

    /// The closest of so many random members, some of which are dead.
    private mutating func closestKnown(to key: Digest, of sample: Int) -> [PeerContact] {
        let known = (0..<sample).map { _ in
            let peer = Int.random(in: 0..<population.count, using: &generator)
            return (distance: population.ids[peer].digest ^ key, peer: peer)
        }
        return known.sorted { $0.distance < $1.distance }
            .prefix(population.parameters.answerSize).map { population.contact($0.peer) }
    }

    private mutating func handle(_ event: ProtocolEvent) {
        let number = Int(event.subject)
        let peer = Int(event.peer)
        guard !operations[number].isOver, let kind = Kind(rawValue: event.kind) else { return }
        switch kind {
        case .begin: break
        case .answer: answered(number, by: peer, at: event.time)
        case .failure: operations[number].lookup.handleFailure(of: population.ids[peer])
        case .stall: operations[number].lookup.handleStall(of: population.ids[peer])
        case .stored, .storeFailed:
            if kind == .stored { operations[number].holders.insert(peer) }
            operations[number].storesLeft -= 1
            if operations[number].storesLeft == 0 { finish(number, at: event.time, reached: true) }
            return
        }
        if !operations[number].isOver { advance(number, at: event.time) }
    }

    private mutating func answered(_ number: Int, by peer: Int, at time: Int64) {
        if let asked = operations[number].askedAt[peer] {
            operations[number].times.record(.nanoseconds(time - asked))
        }
        let target = operations[number].lookup.target
        let isLiar = deviation?.isLiar(peer) == true
        if operations[number].purpose == .retrieve {
            if isLiar, deviation?.isBelieved == true {
                return finish(number, at: time, reached: false)
            }
            if !isLiar, holders[target]?.contains(peer) == true {
                return finish(number, at: time, reached: true)
            }
        }
        let contacts: [PeerContact]
        if isLiar, let deviation {
            contacts = deviation.answer
        } else {
            contacts = population.table(of: peer).closest(
                to: target, count: population.parameters.answerSize, verifiedOnly: true)
        }
        operations[number].lookup.handleAnswer(from: population.ids[peer], contacts: contacts)
    }

    /// Sends what the machine asks for; ends the operation when there is nothing to wait for.
    private mutating func advance(_ number: Int, at time: Int64) {
        let origin = operations[number].origin
        let patience = operations[number].times.patience.nanoseconds
        for contact in operations[number].lookup.next() {
            guard let peer = population.index(of: contact.peer), !population.isDead[peer] else {
                let peer = population.index(of: contact.peer) ?? 0
                schedule(.stall, number, peer, at: time + patience)
                schedule(.failure, number, peer, at: time + Self.timeout)
                continue
            }
            let delay = network.answerTime(origin, peer, isFirst: true, &generator)
            operations[number].askedAt[peer] = time
            if delay > patience { schedule(.stall, number, peer, at: time + patience) }
            schedule(
                delay < Self.timeout ? .answer : .failure, number, peer,
                at: time + min(delay, Self.timeout))
        }
        guard operations[number].lookup.isFinished else { return }
        switch operations[number].purpose {
        case .explore: finish(number, at: time, reached: true)
        case .retrieve: finish(number, at: time, reached: false)
        case .publish: store(number, at: time)
        }
    }

    private mutating func store(_ number: Int, at time: Int64) {
        guard operations[number].storesLeft == 0 else { return }
        for contact in operations[number].lookup.result {
            guard let peer = population.index(of: contact.peer) else { continue }
            operations[number].storesLeft += 1
            let delay = network.answerTime(
                operations[number].origin, peer, isFirst: false, &generator)
            schedule(.stored, number, peer, at: time + delay)
        }
        if operations[number].storesLeft == 0 { finish(number, at: time, reached: false) }
    }

    private mutating func schedule(_ kind: Kind, _ number: Int, _ peer: Int, at time: Int64) {
        heap.schedule(at: time, kind: kind.rawValue, subject: number, peer: peer)
    }

    private mutating func finish(_ number: Int, at time: Int64, reached: Bool) {
        operations[number].isOver = true
        if reached { operations[number].finished = time }
    }
}
