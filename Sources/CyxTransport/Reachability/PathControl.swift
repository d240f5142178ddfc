package import CyxCore

/// What the transport tells whoever finds ways to peers that cannot just be dialed.
package enum PathEvent: Equatable, Sendable {
    /// Somebody waits for `peer`, and no address that answers is known. `dial` or `giveUp` follows.
    case wanted(PeerID)
    /// A connection was made, over a relay if the address is virtual.
    case opened(PeerID, SocketAddress)
    /// A connection goes on at another address.
    case moved(PeerID, from: SocketAddress, to: SocketAddress)
    /// The path in use has stopped to answer. What is under way is kept for a few seconds, in
    /// which `reach` can move it to another path.
    case doubted(PeerID, SocketAddress)
    /// A connection ended.
    case closed(PeerID, SocketAddress)
    case opener(Opener, from: SocketAddress)
}

/// The seam between the transport and what finds paths: hole punching and relays live above it.
/// All calls are made on the peer's executor and take effect in its next turn.
package protocol PathControl: AnyObject, Sendable {
    /// Installs who is asked for paths, and told what becomes of them.
    func findPaths(with finder: @escaping @Sendable (PathEvent) -> Void)

    /// Installs what carries packets that go to virtual addresses.
    func carry(
        with carrier: @escaping @Sendable (_ packet: [UInt8], _ address: SocketAddress) -> Void)

    /// Takes in a packet that came from a virtual address.
    func receive(_ packet: [UInt8], from address: SocketAddress)

    /// Says whether `peer` can just be dialed; if not, the finder is asked at once.
    func hide(_ peer: PeerID, _ isHidden: Bool)

    /// Reaches `peer` at `address`: the connection that there is moves there with all that is under
    /// way on it, unless it is a direct one that works and the address that of a relay. Without a
    /// connection, one is opened.
    func reach(_ peer: PeerID, at address: SocketAddress)

    /// There is no way to `peer` now: calls that wait fail with `unreachable`.
    func giveUp(_ peer: PeerID)

    func send(_ opener: Opener, to address: SocketAddress)
}
