package import CyxCore
package import CyxTransport

/// One iterative lookup (Kademlia §2.3): asks ever closer contacts for their closest contacts. It
/// ends only when the k closest that live and are not silent for long have all answered, or at its
/// bound of requests; fewer would let one lying answer cut it short.
///
/// Against peers that lie: networks are bounded among the contacts that are asked and returned,
/// with a `region` everybody within that distance is asked as well, with several `paths` no peer's
/// answer reaches more than one of them, and contacts named by somebody whose other contacts do
/// not answer come last.
package struct Lookup: Sendable {
    private enum Progress: Sendable {
        case heardOf, asked, stalled, answered, failed
    }

    private struct Candidate: Sendable {
        var contact: PeerContact
        var distance: Digest
        var progress = Progress.heardOf
        var path: UInt8
        var hops: UInt16
        /// Whose answer named it, as an index of `sponsors`; 0 stands for this peer's own table.
        var sponsor: UInt16
    }

    private struct Path: Sendable {
        var concurrency: Int
        /// Requests under way that have not been given up waiting for.
        var inFlight = 0
    }

    package let target: Digest
    private let local: PeerID
    private let parameters: KademliaParameters
    private let region: Digest?
    /// Closest first. A peer is on one path only: the first that heard of it.
    private var candidates: [Candidate] = []
    private var paths: [Path]
    private var sponsors: [(answered: Int, failed: Int)] = [(0, 0)]
    private var networks: NetworkCount
    package private(set) var requests = 0

    /// Candidates that are kept, closest first: enough that 30 % dead ones do not exhaust them.
    private var candidateLimit: Int {
        max(parameters.bucketSize * 8, region == nil ? 0 : parameters.regionSize * 4) * paths.count
    }

    /// `paths` is 1 for reading what proves itself, `KademliaParameters.paths` before writing.
    package init(
        target: Digest, local: PeerID, seeds: [PeerContact], parameters: KademliaParameters,
        paths: Int = 1, region: Digest? = nil
    ) {
        precondition((1...16).contains(paths), "a lookup has 1 to 16 paths")
        self.target = target
        self.local = local
        self.parameters = parameters
        self.region = region
        let limits = parameters.diversityLimits
        networks = NetworkCount(limit: limits.lookup, wideFactor: limits.wideFactor)
        self.paths = [Path](
            repeating: Path(concurrency: parameters.concurrency.least), count: paths)
        for (number, seed) in seeds.enumerated() {
            add(seed, path: UInt8(number % paths), hops: 0, sponsor: 0)
        }
    }

    // MARK: Asking

    /// The next contacts to ask, within the concurrency; empty when answers must come first.
    package mutating func next() -> [PeerContact] {
        var asked: [PeerContact] = []
        for path in paths.indices {
            while paths[path].inFlight < paths[path].concurrency,
                requests < parameters.lookupRequests, let index = nextToAsk(on: UInt8(path))
            {
                candidates[index].progress = .asked
                paths[path].inFlight += 1
                requests += 1
                asked.append(candidates[index].contact)
            }
        }
        return asked
    }

    /// The closest that is still to be asked of the k closest and of all in the region. Of a region
    /// the outer half must count k/2 as well, which is what to expect there: whoever crowds a key to
    /// be all of its k closest does not get rid of those who know the peers behind.
    private mutating func nextToAsk(on path: UInt8) -> Int? {
        networks.reset()
        var taken = 0
        var outer = 0
        let inner = region?.half
        for index in candidates.indices where candidates[index].path == path {
            let candidate = candidates[index]
            guard candidate.progress != .failed, candidate.progress != .stalled,
                candidate.progress != .heardOf || isTrusted(candidate.sponsor)
            else { continue }
            let isInRegion = region.map { candidate.distance <= $0 } ?? false
            let isSampled = inner == nil || outer >= parameters.bucketSize / 2
            if taken >= parameters.regionSize { return nil }
            if !isInRegion, taken >= parameters.bucketSize, isSampled { return nil }
            guard admit(candidate.contact.address) else { continue }
            taken += 1
            if let inner, candidate.distance > inner { outer += 1 }
            if candidate.progress == .heardOf { return index }
        }
        return nil
    }

    private mutating func admit(_ address: SocketAddress) -> Bool {
        parameters.diversity != .networks || networks.admit(address)
    }

    private func isTrusted(_ sponsor: UInt16) -> Bool {
        let record = sponsors[Int(sponsor)]
        return sponsor == 0 || record.failed < record.answered + parameters.sponsorFailures
    }

    /// Whether nothing is under way that is worth waiting for; true before the first `next` too.
    package var isFinished: Bool { paths.allSatisfy { $0.inFlight == 0 } }

    // MARK: Answers

    package mutating func handleAnswer(from peer: PeerID, contacts: [PeerContact]) {
        guard let index = settle(peer, as: .answered) else { return }
        let (path, hops) = (candidates[index].path, candidates[index].hops)
        sponsors[Int(candidates[index].sponsor)].answered += 1
        let best = closestOpen(on: path)
        sponsors.append((0, 0))
        let sponsor = UInt16(clamping: sponsors.count - 1)
        for contact in contacts.prefix(parameters.answerSize) {
            add(contact, path: path, hops: hops &+ 1, sponsor: sponsor)
        }
        trim()
        adapt(path, progressed: closestOpen(on: path) != best)
    }

    package mutating func handleFailure(of peer: PeerID) {
        guard let index = settle(peer, as: .failed) else { return }
        sponsors[Int(candidates[index].sponsor)].failed += 1
        adapt(candidates[index].path, progressed: false)
    }

    /// `peer` has been silent for longer than is worth waiting: others are asked in its place.
    package mutating func handleStall(of peer: PeerID) {
        guard let index = place(of: peer.digest ^ target), candidates[index].progress == .asked
        else { return }
        candidates[index].progress = .stalled
        paths[Int(candidates[index].path)].inFlight -= 1
        adapt(candidates[index].path, progressed: false)
    }

    /// The closest that answered, closest first: k of them, or all of the region.
    package var result: [PeerContact] {
        var found: [PeerContact] = []
        var networks = networks
        networks.reset()
        for candidate in candidates where candidate.progress == .answered {
            let isInRegion = region.map { candidate.distance <= $0 } ?? false
            if found.count >= (isInRegion ? parameters.regionSize : parameters.bucketSize) { break }
            guard parameters.diversity != .networks || networks.admit(candidate.contact.address)
            else { continue }
            found.append(candidate.contact)
        }
        return found
    }

    /// How many peers stood between this one and the closest result: 0 if it was known already.
    package var hops: Int { Int(candidates.first { $0.progress == .answered }?.hops ?? 0) }

    private mutating func settle(_ peer: PeerID, as progress: Progress) -> Int? {
        guard let index = place(of: peer.digest ^ target) else { return nil }
        switch candidates[index].progress {
        case .asked: paths[Int(candidates[index].path)].inFlight -= 1
        case .stalled: break
        case .heardOf, .answered, .failed: return nil
        }
        candidates[index].progress = progress
        return index
    }

    private func closestOpen(on path: UInt8) -> Digest? {
        candidates.first { $0.path == path && $0.progress != .failed }?.distance
    }

    /// Answers that bring nothing closer widen the search quickly: what is left is to hear of all of
    /// the k closest. One that does narrows it again.
    private mutating func adapt(_ path: UInt8, progressed: Bool) {
        let concurrency = paths[Int(path)].concurrency
        paths[Int(path)].concurrency =
            progressed
            ? max(parameters.concurrency.least, concurrency / 2)
            : min(parameters.concurrency.most, concurrency * 2)
    }

    // MARK: Candidates

    /// Where a candidate at `distance` is or would be.
    private func insertionPlace(_ distance: Digest) -> Int {
        var low = 0
        var high = candidates.count
        while low < high {
            let middle = (low + high) / 2
            if candidates[middle].distance < distance { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func place(of distance: Digest) -> Int? {
        let place = insertionPlace(distance)
        guard place < candidates.count, candidates[place].distance == distance else { return nil }
        return place
    }

    private mutating func add(_ contact: PeerContact, path: UInt8, hops: UInt16, sponsor: UInt16) {
        guard contact.peer != local else { return }
        let distance = contact.peer.digest ^ target
        let place = insertionPlace(distance)
        if place < candidates.count, candidates[place].distance == distance {
            // Somebody better names it too.
            if candidates[place].progress == .heardOf, candidates[place].path == path,
                !isTrusted(candidates[place].sponsor)
            {
                candidates[place].contact = contact
                candidates[place].sponsor = sponsor
            }
            return
        }
        if place >= candidateLimit { return }
        candidates.insert(
            Candidate(
                contact: contact, distance: distance, path: path, hops: hops, sponsor: sponsor),
            at: place)
    }

    private mutating func trim() {
        while candidates.count > candidateLimit, candidates.last?.progress == .heardOf {
            candidates.removeLast()
        }
    }
}

extension Digest {
    /// Half of the number that it stands for.
    fileprivate var half: Digest {
        Digest(
            word0 >> 1, word0 << 63 | word1 >> 1, word1 << 63 | word2 >> 1,
            word2 << 63 | word3 >> 1)
    }
}
