package import CyxCore

/// Addresses of what is not on the network: the other ends of relay circuits. To connections they
/// look like any other address, so that handshake, encryption and loss recovery run from end to
/// end; the shell hands what is sent there to whoever carries it.
///
/// They are in the discard prefix 100::/64 (RFC 6666), which nobody can be reached at.
extension SocketAddress {
    private static let virtualPrefix = UInt128(0x0100_0000_0000_0000) << 64
    private static let virtualPort: UInt16 = 1

    package init(virtual number: UInt64) {
        self.init(ip: SocketAddress.virtualPrefix | UInt128(number), port: Self.virtualPort)
    }

    package var isVirtual: Bool { ip >> 64 == SocketAddress.virtualPrefix >> 64 }

    /// Size of datagrams that open a connection there (RFC 9000 §14.1). Through a relay they have
    /// to fit into a datagram of another connection, and the relay has limits of its own on what
    /// anyone can make it send.
    var initialDatagramSize: Int {
        isVirtual ? PacketFormat.relayedDatagramSize : PacketFormat.initialDatagramSizeMin
    }
}

extension PacketFormat {
    /// Datagrams over a relay: with its frame they fit into a packet of 1200 bytes, which every
    /// path carries.
    static let relayedDatagramSize = 1120
}
