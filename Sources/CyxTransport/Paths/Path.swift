internal import CyxCore

/// One way to the peer: an address, the connection ID that packets there carry, and what is known
/// about the network between (RFC 9000 §9). Whatever is measured per path belongs in here, so
/// that it starts anew, or comes back, with the path.
struct Path: Sendable {
    /// What a path that is not in use is for.
    enum Purpose: Sendable {
        /// The peer sent from there.
        case offered
        /// We want to use it, if it answers.
        case migration
        /// Was in use, and may have to be again.
        case previous
    }

    /// Bytes that may be sent to an address that was not validated, per byte that came from it
    /// (RFC 9000 §8).
    static let amplificationMax = 3

    private(set) var remote: SocketAddress
    /// What packets on this path are addressed to; the peer chose it.
    var issued: IssuedID
    /// What the peer addresses packets on this path to.
    var localID: ConnectionID
    var roundTrip: RoundTripTime
    var congestion: CongestionController
    /// Measures for BBR; nil with other controllers.
    var delivery: DeliverySampler?
    var pacer: Pacer
    /// The peer has shown that it receives what is sent here (RFC 9000 §8.2).
    var isValidated = false
    /// Bytes of datagrams from and to the address, until it is validated.
    private(set) var bytesReceived = 0
    private(set) var bytesSent = 0
    /// What changes its size goes through `updateMTU`.
    var mtu: PathMTU
    var reordering = Reordering()

    var purpose = Purpose.offered
    /// Asks the peer whether it is there.
    var challenge: PathChallenge?
    /// What the peer asked us.
    var response: UInt64?
    /// Until then, the peer has to do more than to send from there to be followed.
    var refusedUntil: Int64 = .min
    /// When it may be forgotten if it is only offered.
    var expiry: Int64 = 0

    init(
        remote: SocketAddress, issued: IssuedID, localID: ConnectionID, initialRoundTrip: Int64,
        datagramSizeMax: Int, algorithm: CongestionAlgorithm
    ) {
        self.remote = remote
        self.issued = issued
        self.localID = localID
        roundTrip = RoundTripTime(initial: initialRoundTrip)
        mtu =
            remote.isVirtual
            ? PathMTU(fixed: PacketFormat.relayedDatagramSize)
            : PathMTU(maximum: datagramSizeMax)
        congestion = CongestionController(
            algorithm, packetSize: mtu.size, seed: issued.id.value)
        if algorithm == .bbr { delivery = DeliverySampler() }
        pacer = Pacer(packetSize: mtu.size)
    }

    /// The size of datagrams on this path.
    var datagramSize: Int { mtu.size }

    /// Lets `change` have the size of datagrams, which congestion control counts in.
    mutating func updateMTU(_ change: (inout PathMTU) -> Void) {
        change(&mtu)
        guard pacer.packetSize != mtu.size else { return }
        congestion.packetSize = mtu.size
        pacer.packetSize = mtu.size
    }

    /// Takes over what was measured on a path to the same host: a changed port is mostly a
    /// changed NAT binding and not another network (RFC 9000 §9.4).
    mutating func inherit(from other: Path) {
        var next = other
        next.remote = remote
        next.issued = issued
        next.localID = localID
        next.isValidated = isValidated
        next.bytesReceived = bytesReceived
        next.bytesSent = bytesSent
        next.purpose = purpose
        next.challenge = challenge
        next.response = response
        next.refusedUntil = refusedUntil
        next.expiry = expiry
        self = next
    }

    mutating func received(_ byteCount: Int) {
        if !isValidated { bytesReceived += byteCount }
    }

    mutating func sent(_ byteCount: Int) {
        if !isValidated { bytesSent += byteCount }
    }

    /// Bytes that may be sent now.
    var allowance: Int {
        isValidated ? .max : max(0, bytesReceived * Path.amplificationMax - bytesSent)
    }
}

/// A question to an address (RFC 9000 §8.2.1): random data that only who receives it can repeat.
struct PathChallenge: Sendable {
    /// Each with data of its own, so that a late answer to an early one counts as well.
    static let attemptsMax: Int64 = 3

    private(set) var data: [UInt64] = []
    var isDue = true
    private(set) var nextAttempt: Int64
    /// The address does not answer (RFC 9000 §8.2.4: three probe timeouts).
    let deadline: Int64
    private let interval: Int64

    init(probeTimeout: Int64, now: Int64) {
        interval = probeTimeout
        nextAttempt = now + probeTimeout
        deadline = now + probeTimeout * PathChallenge.attemptsMax
    }

    mutating func sent(_ value: UInt64, now: Int64) {
        data.append(value)
        isDue = false
        nextAttempt = now + interval
    }

    /// There was no leave to send it: the next attempt may have.
    mutating func postpone(now: Int64) {
        isDue = false
        nextAttempt = now + interval
    }

    var nextDeadline: Int64 { isDue ? deadline : min(nextAttempt, deadline) }
}

/// The path in use, as the rest of the connection sees it.
extension Connection {
    var address: SocketAddress { path.remote }

    var remoteID: ConnectionID {
        @inline(__always) get { path.issued.id }
        set { path.issued.id = newValue }
    }

    var remoteResetToken: StatelessResetToken? { path.issued.token }

    var roundTrip: RoundTripTime {
        @inline(__always) _read { yield path.roundTrip }
        @inline(__always) _modify { yield &path.roundTrip }
    }

    var congestion: CongestionController {
        @inline(__always) _read { yield path.congestion }
        @inline(__always) _modify { yield &path.congestion }
    }
}
