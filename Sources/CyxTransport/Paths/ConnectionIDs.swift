/// A connection ID with its number in the order in which its owner gave it out, and the token by
/// which a reset for it is known.
struct IssuedID: Equatable, Sendable {
    /// Connection IDs that one end may have open at a time: one in use and two to change to. Both
    /// ends know it, so it is no parameter (RFC 9000 §18.2, active_connection_id_limit).
    static let activeMax = 3

    var sequence: UInt64
    var id: ConnectionID
    /// Only the one of the handshake's first flight has none yet.
    var token: StatelessResetToken?
}

/// The connection IDs that we gave to the peer and that it has not retired (RFC 9000 §5.1.1).
struct LocalIDs: Sendable {
    /// IDs of ours that may be open at a time, with those that the peer has yet to give up. One
    /// that moves often and never does gets no more.
    static let entriesMax = 4 * IssuedID.activeMax

    private(set) var entries: [IssuedID]
    private var nextSequence: UInt64 = 1
    /// The peer is asked to give up those before.
    private(set) var retirePriorTo: UInt64 = 0

    init(first: ConnectionID) { entries = [IssuedID(sequence: 0, id: first)] }

    /// IDs that the peer has room for.
    var missing: Int {
        let current = entries.count { $0.sequence >= retirePriorTo }
        return min(IssuedID.activeMax - current, LocalIDs.entriesMax - entries.count)
    }

    /// All that were given out so far are to be replaced.
    mutating func retireAll() { retirePriorTo = nextSequence }

    /// Takes a fresh ID in; returns its number.
    mutating func add(_ id: ConnectionID, _ token: StatelessResetToken) -> UInt64 {
        defer { nextSequence += 1 }
        entries.append(IssuedID(sequence: nextSequence, id: id, token: token))
        return nextSequence
    }

    /// An ID that the peer should know, and may use.
    func entry(_ sequence: UInt64) -> IssuedID? {
        entries.first { $0.sequence == sequence && sequence >= retirePriorTo }
    }

    /// The peer will not use it any more; it cannot say so in a packet that does
    /// (RFC 9000 §19.16). Nil if that was known.
    mutating func retire(
        _ sequence: UInt64, within destination: ConnectionID
    ) throws(TransportError) -> ConnectionID? {
        guard sequence < nextSequence else { throw .protocolViolation }
        guard let index = entries.firstIndex(where: { $0.sequence == sequence }) else {
            return nil
        }
        guard entries[index].id != destination else { throw .protocolViolation }
        return entries.remove(at: index).id
    }
}

/// The connection IDs that the peer gave to us and that no path uses yet.
struct RemoteIDs: Sendable {
    /// Runs of numbers that a peer may leave between those it gives out.
    static let gapsMax = 16

    private(set) var spares: [IssuedID] = []
    /// The peer wants those before it retired.
    private(set) var retirePriorTo: UInt64 = 0
    /// Numbers that were ever taken up: a repeated frame must not bring a retired one back.
    private var seen: RangeSet

    init() {
        seen = RangeSet()
        seen.insert(0..<1)
    }

    /// Takes a NEW_CONNECTION_ID frame in; `inUse` are the IDs of the paths. Returns the spares
    /// that have to be retired unused.
    mutating func insert(
        _ new: IssuedID, retirePriorTo bound: UInt64, inUse: [IssuedID]
    ) throws(TransportError) -> [UInt64] {
        guard bound <= new.sequence else { throw .frameEncoding }
        func isSame(_ known: IssuedID) -> Bool {
            known.sequence == new.sequence || known.id == new.id
        }
        if let known = spares.first(where: isSame) ?? inUse.first(where: isSame) {
            // The same again, or an ID for two numbers.
            guard known.sequence == new.sequence, known.id == new.id,
                known.token == nil || known.token == new.token
            else { throw .protocolViolation }
            return []
        }
        var retired: [UInt64] = []
        if bound > retirePriorTo {
            retirePriorTo = bound
            retired = spares.map(\.sequence).filter { $0 < bound }
            spares.removeAll { $0.sequence < bound }
        }
        guard new.sequence >= retirePriorTo else { return retired + [new.sequence] }
        guard !seen.contains(new.sequence) else { return retired }
        seen.insert(new.sequence..<new.sequence + 1)
        guard seen.count <= RemoteIDs.gapsMax else { throw .connectionIDLimit }
        spares.append(new)
        // Paths may share one.
        let active = inUse.indices.count { index in
            let sequence = inUse[index].sequence
            return sequence >= retirePriorTo
                && !inUse[..<index].contains { $0.sequence == sequence }
        }
        guard spares.count + active <= IssuedID.activeMax else { throw .connectionIDLimit }
        return retired
    }

    /// An ID that no packet has carried.
    mutating func take() -> IssuedID? {
        spares.isEmpty ? nil : spares.removeFirst()
    }
}
