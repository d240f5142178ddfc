internal import CyxCore

/// How many packets arrived with each mark (RFC 9000 §19.3.2).
struct ECNCounts: Equatable, Sendable {
    var ect0: UInt64 = 0
    var ect1: UInt64 = 0
    var ce: UInt64 = 0

    var isEmpty: Bool { self == ECNCounts() }

    @inline(__always)
    mutating func add(_ mark: ECNCodepoint) {
        switch mark {
        case .notECT: break
        case .ect0: ect0 += 1
        case .ect1: ect1 += 1
        case .ce: ce += 1
        }
    }
}

/// Whether our packets are marked, and whether the peer's counts of the marks hold water
/// (RFC 9000 §13.4.2 and A.4). A path that clears or invents marks, or loses what has one, is used
/// without.
struct ECNValidation: Sendable {
    /// Marked packets after which the peer's word is awaited (A.4; a batch is marked as a whole).
    static let testPackets: UInt64 = 10

    enum State: Sendable {
        /// The first packets on a path are marked.
        case testing
        /// They are out; nothing is known.
        case unknown
        case capable
        case failed
    }

    private(set) var state = State.testing
    /// Packets sent with ECT(0), on this path and all before it, as the peer counts them.
    private var sent: UInt64 = 0
    private var sentBefore: UInt64 = 0
    private var lost: UInt64 = 0
    /// What the peer counted, and the largest packet number that it spoke of with that.
    private var counts = ECNCounts()
    private var largest: UInt64?

    /// How the next packets are marked.
    var mark: ECNCodepoint {
        @inline(__always) get { state == .testing || state == .capable ? .ect0 : .notECT }
    }

    /// Another path is in use, which has to prove itself.
    mutating func pathChanged() {
        state = .testing
        sentBefore = sent
        lost = 0
    }

    /// A marked packet went out.
    @inline(__always)
    mutating func packetSent() {
        sent += 1
        if state == .testing, sent - sentBefore >= ECNValidation.testPackets { state = .unknown }
    }

    /// A marked packet was lost. Where all are, it may be for their mark.
    mutating func packetLost() {
        lost += 1
        if state == .unknown, lost >= sent - sentBefore { state = .failed }
    }

    /// Checks the counts of an ACK frame that newly acknowledges `marked` marked packets
    /// (§13.4.2.1); true if they tell of new congestion. A frame that is older than the last one
    /// proves nothing.
    mutating func acknowledged(
        largest: UInt64, counts new: ECNCounts?, marked: UInt64
    ) -> Bool {
        guard state != .failed, self.largest.map({ largest > $0 }) ?? true else { return false }
        guard let new else {
            if marked > 0 { state = .failed }
            return false
        }
        self.largest = largest
        let old = counts
        guard new.ect0 >= old.ect0, new.ce >= old.ce, new.ect1 == 0,
            new.ect0 <= sent, new.ce <= sent - new.ect0,
            new.ect0 - old.ect0 + (new.ce - old.ce) >= marked
        else {
            state = .failed
            return false
        }
        counts = new
        if marked > 0 { state = .capable }
        return new.ce > old.ce
    }
}
