internal import CyxCore

/// One way to the peer: an address, the connection ID that packets there carry, and what is known
/// about the network between (RFC 9000 §9). Whatever is measured per path belongs in here, so
/// that it starts anew, or comes back, with the path.
struct Path: Sendable {
    let remote: SocketAddress
    /// What packets on this path are addressed to; the peer chose it.
    var remoteID: ConnectionID
    var roundTrip: RoundTripTime
    var congestion: Cubic
    /// The peer has shown that it receives what is sent here (RFC 9000 §8.2).
    var isValidated = false
    /// Bytes of datagrams from and to the address, until it is validated.
    private(set) var bytesReceived = 0
    private(set) var bytesSent = 0
    /// What changes its size goes through `updateMTU`.
    var mtu: PathMTU

    init(
        remote: SocketAddress, remoteID: ConnectionID, initialRoundTrip: Int64,
        datagramSizeMax: Int
    ) {
        self.remote = remote
        self.remoteID = remoteID
        roundTrip = RoundTripTime(initial: initialRoundTrip)
        mtu = PathMTU(maximum: datagramSizeMax)
        congestion = Cubic(packetSize: mtu.size)
    }

    /// The size of datagrams on this path.
    var datagramSize: Int { mtu.size }

    /// Lets `change` have the size of datagrams, which congestion control counts in.
    mutating func updateMTU(_ change: (inout PathMTU) -> Void) {
        change(&mtu)
        if congestion.packetSize != mtu.size { congestion.packetSize = mtu.size }
    }

    /// Bytes that may be sent to an address that was not validated, per byte that came from it
    /// (RFC 9000 §8).
    static let amplificationMax = 3

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

/// The path in use, as the rest of the connection sees it.
extension Connection {
    var address: SocketAddress { path.remote }

    var remoteID: ConnectionID {
        @inline(__always) get { path.remoteID }
        set { path.remoteID = newValue }
    }

    var roundTrip: RoundTripTime {
        @inline(__always) _read { yield path.roundTrip }
        @inline(__always) _modify { yield &path.roundTrip }
    }

    var congestion: Cubic {
        @inline(__always) _read { yield path.congestion }
        @inline(__always) _modify { yield &path.congestion }
    }
}
