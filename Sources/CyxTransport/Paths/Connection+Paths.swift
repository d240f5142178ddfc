internal import CyxCore
internal import CyxCrypto

/// How a packet came in.
struct Arrival {
    var number: UInt64
    var source: SocketAddress
    var destination: ConnectionID
    var size: Int
}

/// What is to be thought of the path in use.
enum PathStanding {
    case direct, relayed
    /// It has stopped to answer.
    case doubtful
}

/// Paths that come and go under a connection (RFC 9000 §8.2 and §9). Either end may move: peers
/// are no clients and servers, and both may sit behind a NAT.
extension Connection {
    /// Paths known besides the one in use.
    static let otherPathsMax = 4
    /// How long the peer may take to use an address that it sent from, before it is forgotten with
    /// the connection ID that was set aside for it.
    static let offerLife: Int64 = 5_000_000_000
    /// How long an address is not followed again after the peer turned out to be elsewhere.
    static let refusal: Int64 = 5_000_000_000
    /// Probe timeouts on a path that we moved to after which we return.
    static let followProbesMax = 2
    /// Probe timeouts in a row after which another path is worth looking for: seven times as long
    /// as an answer should take, and well before the peer counts as gone.
    static let doubtfulProbes = 3

    mutating func pollStanding() -> PathStanding {
        if probeCount >= Connection.doubtfulProbes { return .doubtful }
        return path.remote.isVirtual ? .relayed : .direct
    }

    // MARK: What arrives

    /// An authentic packet came that was not taken before.
    @inline(__always)
    mutating func packetArrived(_ arrival: Arrival, isNewest: Bool, now: Int64) {
        if arrival.source.isSame(path.remote) {
            path.received(arrival.size)
            if isNewest { path.localID = arrival.destination }
        } else {
            let index = otherPath(for: arrival)
            otherPaths[index].received(arrival.size)
            otherPaths[index].expiry = now + Connection.offerLife
        }
    }

    /// An authentic packet came, perhaps not for the first time. One that was made after the peer
    /// seemed to move, and that comes from where it was, shows that it is still there: somebody
    /// else was faster with a copy (RFC 9000 §9.3.3).
    mutating func checkDetour(_ arrival: Arrival, now: Int64) {
        guard let doubtfulMove, arrival.number >= doubtfulMove,
            let index = indexOfPath(to: arrival.source), otherPaths[index].purpose == .previous
        else { return }
        leaveDetour(to: index, now: now)
    }

    /// Returns to where the peer was, and asks there whether that is right: if it is not, the
    /// detour was none.
    private mutating func leaveDetour(to index: Int, now: Int64) {
        doubtfulMove = nil
        let isKnown = otherPaths[index].challenge == nil
        usePath(at: index)
        path.challenge = isKnown ? nil : newChallenge(now: now)
        isPathFrameDue = true
        otherPaths[index].purpose = isKnown ? .offered : .previous
        otherPaths[index].challenge = nil
        otherPaths[index].refusedUntil = now + Connection.refusal
        if isKnown { pathValidated() }
    }

    /// A packet with the highest number yet asks for more than a sign of life.
    @inline(__always)
    mutating func peerUsed(_ arrival: Arrival, now: Int64) {
        guard phase == .established else { return }
        if arrival.source.isSame(path.remote) {
            if awaitsPeer { peerFollowed() }
            return
        }
        // What the peer sent before it heard of our move says nothing of a move of its own.
        guard !awaitsPeer else { return }
        follow(arrival, now: now)
    }

    private func indexOfPath(to remote: SocketAddress) -> Int? {
        otherPaths.firstIndex { $0.remote == remote }
    }

    /// The path that a packet came on, entered if it is new.
    private mutating func otherPath(for arrival: Arrival) -> Int {
        indexOfPath(to: arrival.source)
            ?? addPath(to: arrival.source, localID: arrival.destination)
    }

    private mutating func addPath(to remote: SocketAddress, localID: ConnectionID) -> Int {
        if otherPaths.count >= Connection.otherPathsMax {
            // One at most is the previous one.
            dropPath(
                at: otherPaths.firstIndex { $0.purpose == .offered }
                    ?? (otherPaths[0].purpose == .previous ? 1 : 0))
        }
        otherPaths.append(
            Path(
                remote: remote, issued: path.issued, localID: localID,
                initialRoundTrip: timings.initialRoundTrip.nanoseconds,
                datagramSizeMax: limits.datagramSizeMax, algorithm: setup.congestion))
        return otherPaths.count - 1
    }

    // MARK: The peer moves

    /// The peer sends from another address: a new NAT binding, or a move of its own, which brings
    /// a fresh connection ID; or somebody forwards its packets faster than the network does.
    private mutating func follow(_ arrival: Arrival, now: Int64) {
        let index = otherPath(for: arrival)
        guard otherPaths[index].refusedUntil <= now else { return }
        let isPassive = arrival.destination == path.localID
        otherPaths[index].localID = arrival.destination
        if !isPassive { takeFreshID(at: index) }
        usePath(at: index)
        if !setup.defences.contains(.pathValidation) { path.isValidated = true }
        if path.isValidated {
            // It came back: what it left was a detour.
            otherPaths[index].challenge = nil
            if isPassive { otherPaths[index].refusedUntil = now + Connection.refusal }
            keepPrevious(index, if: false)
            return pathValidated()
        }
        if path.challenge == nil { path.challenge = newChallenge(now: now) }
        isPathFrameDue = true
        let old = keepPrevious(index, if: otherPaths[index].isValidated)
        // Only a packet from there, made after the move, tells the peer from who copies it
        // (RFC 9000 §9.3.3). A NAT says nothing of the move, so the peer is made to send one.
        guard let old, setup.defences.contains(.oldPathChallenge) else { return }
        doubtfulMove = arrival.number
        if isPassive { otherPaths[old].challenge = newChallenge(now: now) }
    }

    /// Remembers the path just left as the one to return to, in place of any other; or forgets
    /// it. Returns where it is now.
    @discardableResult
    private mutating func keepPrevious(_ index: Int, if isWorthIt: Bool) -> Int? {
        let remote = otherPaths[index].remote
        otherPaths[index].purpose = isWorthIt ? .previous : .offered
        guard isWorthIt else { return nil }
        while let other = otherPaths.firstIndex(where: {
            $0.purpose == .previous && $0.remote != remote
        }) {
            dropPath(at: other)
        }
        return indexOfPath(to: remote)
    }

    /// Makes another path the one in use; the old one takes its place in the list.
    private mutating func usePath(at index: Int) {
        let oldToken = path.issued.token
        doubtfulMove = nil
        var next = otherPaths[index]
        if next.remote.ip == path.remote.ip {
            next.inherit(from: path)
        } else {
            sent.leavePath()
            path.mtu.leave()
        }
        swap(&path, &next)
        otherPaths[index] = next
        probeCount = 0
        ecn.pathChanged()
        if path.issued.token != oldToken { noteToken(old: oldToken, new: path.issued.token) }
    }

    private mutating func pathValidated() {
        if path.remote.ip != idsAddress.ip {
            // A reset answers only where its ID was meant for, and IDs that both addresses have
            // seen would link them (RFC 9000 §9.5).
            idsAddress = path.remote
            localIDs.retireAll()
            routeChanges.append(.idsMissing)
        }
        if path.remote != reportedAddress {
            reportedAddress = path.remote
            events.append(.moved(path.remote))
        }
        // The old one is still asked, or still heard from, before it is forgotten.
        guard !awaitsPeer else { return }
        for index in otherPaths.indices where otherPaths[index].refusedUntil != .min {
            // Remembered as what it is.
            if otherPaths[index].purpose == .previous { otherPaths[index].purpose = .offered }
        }
        dropPaths { $0.purpose == .previous && $0.challenge == nil }
    }

    // MARK: We move

    /// Tries another address of the peer's, and uses it once it has answered: `moved` follows, or
    /// `migrationFailed`. False if there is nothing to try, or no connection ID to try it with
    /// until the peer has given us more.
    mutating func migrate(to address: SocketAddress, now: Int64) -> Bool {
        guard phase == .established, isConfirmed, address != path.remote else { return false }
        let known = indexOfPath(to: address)
        guard known != nil || !remoteIDs.spares.isEmpty else { return false }
        let index = known ?? addPath(to: address, localID: path.localID)
        // The path to return to has to stay one.
        guard otherPaths[index].purpose != .previous else { return false }
        takeFreshID(at: index)
        // A move under the old ID would look like a changed NAT binding, and be undone.
        guard otherPaths[index].issued.sequence != path.issued.sequence else { return false }
        otherPaths[index].purpose = .migration
        otherPaths[index].isValidated = false
        otherPaths[index].challenge = newChallenge(now: now)
        isPathFrameDue = true
        return true
    }

    /// Packets that are linked to another address by their ID would tell who follows whom.
    private mutating func takeFreshID(at index: Int) {
        guard otherPaths[index].issued.sequence == path.issued.sequence,
            let fresh = remoteIDs.take()
        else { return }
        otherPaths[index].issued = fresh
    }

    private mutating func peerFollowed() {
        awaitsPeer = false
        dropPaths { $0.purpose == .previous }
    }

    /// Nothing is acknowledged on the path that we moved to: back, while the peer still sends to
    /// where we were.
    mutating func returnIfUnfollowed(now: Int64) {
        guard awaitsPeer, probeCount >= Connection.followProbesMax else { return }
        awaitsPeer = false
        let failed = path.remote
        returnToPrevious(now: now)
        events.append(.migrationFailed(failed))
    }

    private mutating func returnToPrevious(now: Int64) {
        guard let index = otherPaths.firstIndex(where: { $0.purpose == .previous }) else { return }
        usePath(at: index)
        path.refusedUntil = .min
        path.challenge = path.isValidated ? nil : newChallenge(now: now)
        isPathFrameDue = true
        dropPath(at: index)
        isPingDue = true
        if reportedAddress != path.remote {
            reportedAddress = path.remote
            events.append(.moved(path.remote))
        }
    }

    // MARK: Challenges

    /// RFC 9000 §8.2.4: of the path in use or of one that nothing is known about, whichever waits
    /// longer.
    private func newChallenge(now: Int64) -> PathChallenge {
        let unknown = RoundTripTime(initial: timings.initialRoundTrip.nanoseconds)
        return PathChallenge(
            probeTimeout: max(
                roundTrip.probeTimeout(maximumAcknowledgmentDelay: peerAckDelayMax),
                unknown.probeTimeout(maximumAcknowledgmentDelay: peerAckDelayMax)),
            now: now)
    }

    mutating func handleChallenge(_ data: UInt64, _ arrival: Arrival, now: Int64) {
        isPathFrameDue = true
        guard arrival.source != path.remote else {
            path.response = data
            return
        }
        let index = otherPath(for: arrival)
        otherPaths[index].response = data
        // Whoever probes may move: then it is known already whether the address can be used.
        guard otherPaths[index].purpose == .offered, !otherPaths[index].isValidated,
            otherPaths[index].challenge == nil
        else { return }
        if arrival.destination != path.localID { takeFreshID(at: index) }
        otherPaths[index].challenge = newChallenge(now: now)
    }

    mutating func handleResponse(_ data: UInt64, _ arrival: Arrival, now: Int64) {
        if path.challenge?.data.contains(data) == true {
            path.challenge = nil
            path.isValidated = true
            return pathValidated()
        }
        guard
            let index = otherPaths.firstIndex(where: {
                $0.challenge?.data.contains(data) == true
            })
        else { return }
        if otherPaths[index].purpose == .previous {
            // Asked whether the peer is still there: not if it answers from elsewhere.
            guard arrival.source == otherPaths[index].remote else { return }
            otherPaths[index].challenge = nil
            return leaveDetour(to: index, now: now)
        }
        otherPaths[index].challenge = nil
        otherPaths[index].isValidated = true
        if otherPaths[index].purpose == .migration {
            usePath(at: index)
            keepPrevious(index, if: true)
            awaitsPeer = true
            isPingDue = true
            pathValidated()
        }
    }

    var pathDeadline: Int64? {
        guard path.challenge != nil || !otherPaths.isEmpty else { return nil }
        var deadline = path.challenge?.nextDeadline ?? .max
        for other in otherPaths {
            if let challenge = other.challenge {
                deadline = min(deadline, challenge.nextDeadline)
            } else if other.purpose == .offered {
                deadline = min(deadline, max(other.expiry, other.refusedUntil))
            }
        }
        return deadline == .max ? nil : deadline
    }

    mutating func pathTimeout(now: Int64) {
        if let challenge = path.challenge {
            if now >= challenge.deadline {
                path.challenge = nil
                returnToPrevious(now: now)
            } else if now >= challenge.nextAttempt {
                path.challenge?.isDue = true
                isPathFrameDue = true
            }
        }
        for index in otherPaths.indices.reversed() {
            guard let challenge = otherPaths[index].challenge else {
                let other = otherPaths[index]
                if other.purpose == .offered, now >= max(other.expiry, other.refusedUntil) {
                    dropPath(at: index)
                }
                continue
            }
            if now >= challenge.deadline {
                otherPaths[index].challenge = nil
                pathUnanswered(at: index)
            } else if now >= challenge.nextAttempt {
                otherPaths[index].challenge?.isDue = true
                isPathFrameDue = true
            }
        }
    }

    private mutating func pathUnanswered(at index: Int) {
        switch otherPaths[index].purpose {
        case .offered: dropPath(at: index)
        case .migration:
            events.append(.migrationFailed(otherPaths[index].remote))
            dropPath(at: index)
        case .previous:
            // As long as the new one has not answered either, there is nothing better.
            if path.isValidated { dropPath(at: index) }
        }
    }

    // MARK: Connection IDs

    mutating func dropPaths(where isUnwanted: (Path) -> Bool) {
        for index in otherPaths.indices.reversed() where isUnwanted(otherPaths[index]) {
            dropPath(at: index)
        }
    }

    private mutating func dropPath(at index: Int) {
        let sequence = otherPaths.remove(at: index).issued.sequence
        let isInUse =
            path.issued.sequence == sequence
            || otherPaths.contains { $0.issued.sequence == sequence }
        if !isInUse { control.add(.retireConnectionID(sequence)) }
    }

    mutating func handleNewID(_ frame: NewConnectionIDFrame) throws(TransportError) {
        let inUse = [path.issued] + otherPaths.map(\.issued)
        let retired = try remoteIDs.insert(
            IssuedID(
                sequence: frame.sequence, id: frame.id,
                token: StatelessResetToken(first: frame.token)),
            retirePriorTo: frame.retirePriorTo, inUse: inUse)
        for sequence in retired { control.add(.retireConnectionID(sequence)) }
        let bound = remoteIDs.retirePriorTo
        let old = inUse.filter { $0.sequence < bound }
        guard !old.isEmpty else { return }
        if path.issued.sequence < bound {
            guard let fresh = remoteIDs.take() else { throw .connectionIDLimit }
            noteToken(old: path.issued.token, new: fresh.token)
            path.issued = fresh
        }
        for index in otherPaths.indices where otherPaths[index].issued.sequence < bound {
            otherPaths[index].issued = path.issued
        }
        for sequence in Set(old.map(\.sequence)).sorted() {
            control.add(.retireConnectionID(sequence))
        }
    }

    mutating func handleRetire(_ sequence: UInt64, _ arrival: Arrival) throws(TransportError) {
        guard let id = try localIDs.retire(sequence, within: arrival.destination) else { return }
        routeChanges.append(.retired(id))
        routeChanges.append(.idsMissing)
    }

    /// A fresh ID for the peer, from the endpoint.
    mutating func provide(_ id: ConnectionID, _ token: StatelessResetToken) {
        control.add(.newConnectionID(localIDs.add(id, token)))
    }

    private mutating func noteToken(old: StatelessResetToken?, new: StatelessResetToken?) {
        routeChanges.append(.token(old: old, new: new))
    }
}

/// What a connection has its endpoint do about how datagrams find it.
enum RouteChange {
    /// The peer has room for more of our connection IDs.
    case idsMissing
    case retired(ConnectionID)
    /// Resets are known by another token now.
    case token(old: StatelessResetToken?, new: StatelessResetToken?)
}
