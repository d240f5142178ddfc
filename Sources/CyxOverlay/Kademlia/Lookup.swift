package import CyxCore
package import CyxTransport

/// One iterative lookup (Kademlia §2.3): asks ever closer contacts for their closest contacts. It
/// ends only when the k closest that live have all answered, or at its bound of requests; fewer
/// would let one lying answer cut it short.
package struct Lookup: Sendable {
    private enum Progress: Sendable {
        case heardOf, asked, answered, failed
    }

    private struct Candidate: Sendable {
        var contact: PeerContact
        var distance: Digest
        var progress = Progress.heardOf
        var hops: Int
    }

    package let target: Digest
    private let local: PeerID
    private let parameters: KademliaParameters
    private var candidates: [Candidate] = []
    private var known: Set<PeerID>
    private var concurrency: Int
    private var inFlight = 0
    package private(set) var requests = 0

    /// Candidates that are kept, closest first: enough that 30 % dead ones do not exhaust them.
    private var candidateLimit: Int { parameters.bucketSize * 8 }

    package init(
        target: Digest, local: PeerID, seeds: [PeerContact], parameters: KademliaParameters
    ) {
        self.target = target
        self.local = local
        self.parameters = parameters
        known = [local]
        concurrency = parameters.concurrency.least
        add(seeds, hops: 0)
    }

    /// The next contacts to ask, within the concurrency; empty when answers must come first.
    package mutating func next() -> [PeerContact] {
        var asked: [PeerContact] = []
        while inFlight < concurrency, requests < parameters.lookupRequests {
            let live = candidates.indices.filter { candidates[$0].progress != .failed }
            let window = live.prefix(parameters.bucketSize)
            guard let index = window.first(where: { candidates[$0].progress == .heardOf })
            else { break }
            candidates[index].progress = .asked
            inFlight += 1
            requests += 1
            asked.append(candidates[index].contact)
        }
        return asked
    }

    package var isFinished: Bool { inFlight == 0 }

    package mutating func handleAnswer(from peer: PeerID, contacts: [PeerContact]) {
        guard let index = settle(peer, as: .answered) else { return }
        let best = candidates.first { $0.progress != .failed }?.distance
        add(Array(contacts.prefix(parameters.answerSize)), hops: candidates[index].hops + 1)
        let isCloser = candidates.first { $0.progress != .failed }?.distance != best
        adapt(progressed: isCloser)
    }

    package mutating func handleFailure(of peer: PeerID) {
        guard settle(peer, as: .failed) != nil else { return }
        adapt(progressed: false)
    }

    /// The k closest that answered, closest first.
    package var result: [PeerContact] {
        candidates.filter { $0.progress == .answered }.prefix(parameters.bucketSize)
            .map(\.contact)
    }

    /// How many peers stood between this one and the closest result: 0 if it was known already.
    package var hops: Int { candidates.first { $0.progress == .answered }?.hops ?? 0 }

    private mutating func settle(_ peer: PeerID, as progress: Progress) -> Int? {
        guard
            let index = candidates.firstIndex(where: {
                $0.contact.peer == peer && $0.progress == .asked
            })
        else { return nil }
        candidates[index].progress = progress
        inFlight -= 1
        return index
    }

    /// Answers that bring nothing closer widen the search, one that does narrows it again.
    private mutating func adapt(progressed: Bool) {
        concurrency =
            progressed
            ? parameters.concurrency.least : min(parameters.concurrency.most, concurrency + 1)
    }

    private mutating func add(_ contacts: [PeerContact], hops: Int) {
        for contact in contacts where known.insert(contact.peer).inserted {
            let distance = contact.peer.digest ^ target
            var low = 0
            var high = candidates.count
            while low < high {
                let middle = (low + high) / 2
                if candidates[middle].distance < distance {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            candidates.insert(Candidate(contact: contact, distance: distance, hops: hops), at: low)
        }
        while candidates.count > candidateLimit, candidates.last?.progress == .heardOf {
            candidates.removeLast()
        }
    }
}
