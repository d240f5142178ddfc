/// An IP address and a UDP port; IPv4 is kept as its IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2).
package struct SocketAddress: Hashable, Sendable {
    // Two words rather than one UInt128: Swift 6.3.1 passes an optional of a struct with one
    // through a stack slot of 8-byte alignment and reads it with a 16-byte aligned load, which
    // crashes.
    package private(set) var high: UInt64
    package private(set) var low: UInt64
    package var port: UInt16

    package init(ip: UInt128, port: UInt16) {
        high = UInt64(truncatingIfNeeded: ip >> 64)
        low = UInt64(truncatingIfNeeded: ip)
        self.port = port
    }

    package var ip: UInt128 {
        get { UInt128(high) << 64 | UInt128(low) }
        set { self = SocketAddress(ip: newValue, port: port) }
    }

    package init(ipv4: (UInt8, UInt8, UInt8, UInt8), port: UInt16) {
        let low =
            UInt128(ipv4.0) << 24 | UInt128(ipv4.1) << 16 | UInt128(ipv4.2) << 8 | UInt128(ipv4.3)
        self.init(ip: 0xFFFF << 32 | low, port: port)
    }

    package var isIPv4: Bool { ip >> 32 == 0xFFFF }
}

/// The mark by which routers tell of congestion without dropping packets: two bits of the IP
/// header (RFC 3168 §5).
package enum ECNCodepoint: UInt8, Sendable {
    /// The sender would not understand a mark.
    case notECT = 0
    case ect1 = 1
    /// The sender would: routers may turn it into `ce`.
    case ect0 = 2
    /// Congestion experienced on the way.
    case ce = 3
}

/// What one receive call brought: datagrams of one sender, `segmentSize` bytes each, the last one
/// possibly shorter (UDP GRO; without it, one datagram).
package struct ReceivedDatagrams {
    package var source: SocketAddress
    package var bytes: UnsafeRawBufferPointer
    package var segmentSize: Int
    /// The mark that all of them came with.
    package var ecn: ECNCodepoint

    package init(
        source: SocketAddress, bytes: UnsafeRawBufferPointer, segmentSize: Int,
        ecn: ECNCodepoint = .notECT
    ) {
        self.source = source
        self.bytes = bytes
        self.segmentSize = segmentSize
        self.ecn = ecn
    }
}

package enum SendOutcome: Equatable, Sendable {
    case sent
    /// The socket's buffer is full; the writable handler is called once when it no longer is.
    case wouldBlock
    /// The kernel refused; `errno` says why. The datagrams count as lost.
    case failed(errno: Int32)
}

/// A bound UDP socket. Handlers run on the peer's executor; `send` is called there.
package protocol DatagramSocket: AnyObject, Sendable {
    var localAddress: SocketAddress { get }

    /// How many segments one `send` may carry: 1 without UDP GSO.
    var maximumSegments: Int { get }

    /// Calls `receive` with everything that one wake-up brought (the bytes live only during the
    /// call) and `writable` after a `wouldBlock`.
    func start(
        receive: @escaping @Sendable (UnsafeBufferPointer<ReceivedDatagrams>) -> Void,
        writable: @escaping @Sendable () -> Void)

    /// Sends `bytes` as datagrams of `segmentSize` bytes, the last one possibly shorter.
    func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, to destination: SocketAddress
    ) -> SendOutcome

    /// The same with a mark. A socket without marks sends them unmarked, which its users find out.
    func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, ecn: ECNCodepoint,
        to destination: SocketAddress
    ) -> SendOutcome

    func close()
}

extension DatagramSocket {
    package func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, ecn: ECNCodepoint,
        to destination: SocketAddress
    ) -> SendOutcome {
        send(bytes, segmentSize: segmentSize, to: destination)
    }
}

package protocol DatagramNetwork: AnyObject, Sendable {
    /// Throws `BindError` when the port is taken or the address is not ours.
    func bind(_ address: SocketAddress) throws(BindError) -> any DatagramSocket
}

package struct BindError: Error, Equatable {
    package var address: SocketAddress
    package var errno: Int32
    package init(address: SocketAddress, errno: Int32) {
        self.address = address
        self.errno = errno
    }
}
