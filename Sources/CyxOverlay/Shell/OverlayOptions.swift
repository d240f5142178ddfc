package import CyxCore
package import CyxTransport

/// How an overlay joins and how fast it acts.
package struct OverlayOptions: Sendable {
    /// Peers to join through, by address; this peer's own address among them is skipped.
    package var bootstrap: [SocketAddress] = []
    package var timings = MembershipTimings.production
    package var kademlia = KademliaParameters()
    /// All of them, but where a test shows what one is good for.
    package var defences = MembershipDefences.all
    package var view = ViewLimits()
    /// What statements are signed for, so that one network's cannot be replayed in another.
    package var network = NetworkID(.zero)
    /// How old a bucket may grow before it is refreshed by a lookup.
    package var refreshAge: Duration = .seconds(900)
    /// How often buckets are looked at, and unverified contacts pinged.
    package var upkeepInterval: Duration = .seconds(30)
    /// How often this peer's record is stored anew; `PeerRecords.lifetime` is many times that.
    package var publishInterval: Duration = .seconds(3600)
    /// Which addresses are dialed and told to others.
    package var addresses = AddressRule.all
    package init() {}
}

extension RPCMethod {
    package static let overlayProbe = RPCMethod(rawValue: 0x0101)
    package static let overlayGossip = RPCMethod(rawValue: 0x0102)
    package static let overlaySync = RPCMethod(rawValue: 0x0103)
    package static let overlayFindNode = RPCMethod(rawValue: 0x0104)
    package static let overlayStoreRecord = RPCMethod(rawValue: 0x0105)
}

/// Codes with which the overlay refuses a request.
package enum OverlayRefusal {
    /// The request could not be read, or holds a record that its subject did not sign.
    package static let malformed: UInt16 = 1
    /// The token was not issued to the sender lately: ask for contacts again.
    package static let token: UInt16 = 2
    /// The record is not the sender's own, or its address is of no use to others.
    package static let foreign: UInt16 = 3
}
