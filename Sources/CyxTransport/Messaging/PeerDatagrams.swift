package import CyxCore

package enum PeerDatagramLimits {
    /// Larger ones are dropped whatever the path; most paths take no more than 1368 bytes.
    package static let bytesMax = 16_383
}

/// Unreliable datagrams between peers, over the same authenticated connections as calls (RFC 9221).
///
/// A datagram arrives once or never, in any order, and only whole. It is under congestion control:
/// what waits too long behind others is dropped at the sender, oldest first.
package protocol PeerDatagrams: AnyObject, Sendable {
    /// Sends `bytes` to `peer`, opening a connection if an address is known. Nothing is said about
    /// what becomes of it.
    func sendDatagram(to peer: PeerID, _ bytes: [UInt8])

    /// Installs what takes datagrams in; replaces an earlier one. It is called on the peer's
    /// executor in the midst of packet processing, so it must not take long. `remote` is
    /// authenticated.
    func handleDatagrams(
        with handler: @escaping @Sendable (_ remote: PeerContact, _ bytes: [UInt8]) -> Void)

    /// The most bytes that a datagram to `peer` may have at present; nil without a connection.
    /// Larger ones are dropped.
    func datagramBytesMax(to peer: PeerID) async -> Int?
}
