import CyxCore
import CyxOverlay
import CyxTransport

/// How many events per second the engine carries while every peer of a network keeps its routing
/// table alive: each pings, bucket after bucket, whom it has not heard for longest; who is asked
/// takes note of the asker, and who asked of the answer.
package struct UpkeepFigures: Sendable, Equatable {
    package var peers: Int
    package var events: Int
    package var virtualSeconds: Double
    /// Contacts renewed by an answer.
    package var renewed: Int

    private enum Kind: UInt8 {
        case due, request, answer
    }

    private static let interval: Int64 = 1_000_000_000

    /// `measured` is called with the part that counts; building tables is not part of it.
    package static func measure(
        peers: Int, virtualSeconds: Int, seed: UInt64, measured: (() -> Void) -> Void
    ) -> UpkeepFigures {
        var parameters = KademliaParameters()
        parameters.diversity = .networks
        var population = Population(
            honest: peers, deadShare: 0, parameters: parameters, seed: seed)
        var tables = (0..<peers).map { population.table(of: $0) }
        var generator = SeededGenerator(seed: ~seed)
        let network = NetworkModel(.planetLab, peers: peers, generator: &generator)
        var heap = ProtocolHeap()
        for peer in 0..<peers {
            let start = Int64.random(in: 0..<interval, using: &generator)
            heap.schedule(at: start, kind: Kind.due.rawValue, subject: peer)
        }
        let end = Int64(virtualSeconds) * interval
        var renewed = 0
        measured {
            while let event = heap.next(), event.time < end, let kind = Kind(rawValue: event.kind) {
                let (from, to) = (Int(event.subject), Int(event.peer))
                let now = Instant(nanoseconds: event.time)
                switch kind {
                case .due:
                    let turn = Int(event.time / interval) % tables[from].bucketsInUse
                    heap.schedule(at: event.time + interval, kind: event.kind, subject: from)
                    guard let contact = tables[from].longestSilent(inBucket: turn),
                        let target = population.index(of: contact.peer)
                    else { continue }
                    let half = Int64(network.roundTrip(from, target) * 5e5)
                    heap.schedule(
                        at: event.time + half, kind: Kind.request.rawValue, subject: from,
                        peer: target)
                case .request:
                    tables[to].insert(population.contact(from), answered: false, now: now)
                    let half = Int64(network.roundTrip(from, to) * 5e5)
                    heap.schedule(
                        at: event.time + half, kind: Kind.answer.rawValue, subject: from, peer: to)
                case .answer:
                    tables[from].insert(population.contact(to), answered: true, now: now)
                    renewed += 1
                }
            }
        }
        return UpkeepFigures(
            peers: peers, events: heap.processed, virtualSeconds: Double(virtualSeconds),
            renewed: renewed)
    }
}
