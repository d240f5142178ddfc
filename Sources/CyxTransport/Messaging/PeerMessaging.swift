package import CyxCore

/// A peer and where it was last reached.
package struct PeerContact: Hashable, Sendable {
    package var peer: PeerID
    package var address: SocketAddress

    package init(peer: PeerID, address: SocketAddress) {
        self.peer = peer
        self.address = address
    }
}

/// Names one kind of request between peers. Each module above declares its own as static members,
/// in its own block of 256: overlay 0x01…, tables 0x02…, objects 0x03….
package struct RPCMethod: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
}

/// What a handler throws to make the caller's `call` fail with `.refused`.
package struct RPCFailure: Error, Equatable, Sendable {
    /// Meaning is the method's own.
    package var code: UInt16
    /// For people; at most 1 KiB is sent.
    package var message: String

    package init(code: UInt16, message: String) {
        self.code = code
        self.message = message
    }
}

/// Why a call has no answer.
package enum RPCError: Error, Equatable, Sendable {
    /// No address is known, or nothing answered the handshake there.
    case unreachable
    /// No answer in time; the request may or may not have been carried out.
    case timedOut
    /// The connection ended first; the request may or may not have been carried out.
    case connectionLost
    /// The other side's handler refused.
    case refused(RPCFailure)
    /// Request or response is larger than `PeerMessagingLimits.messageBytes`.
    case tooLarge
    /// This side is shutting down or the task was cancelled.
    case cancelled
}

package enum PeerMessagingLimits {
    /// Largest request or response: a 64 KiB … 4 MiB chunk's shard, or a page of rows, with room.
    package static let messageBytes = 8 << 20
}

/// Requests and responses between peers: one stream each over an authenticated connection that is
/// opened on first use and kept while it is used.
///
/// The transport implements it; the simulator's tests may use a direct one. All calls are made on
/// the peer's executor.
package protocol PeerMessaging: AnyObject, Sendable {
    var localPeer: PeerID { get }

    /// Installs what answers `method`; replaces an earlier one. `remote` is authenticated.
    func handle(
        _ method: RPCMethod,
        with handler:
            @escaping @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws
            -> [UInt8])

    /// Remembers where a peer can be reached. Never overrides an address in use that works.
    func learn(_ contact: PeerContact)

    /// Dials an address without knowing who is there and returns who answered.
    func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact

    /// Sends `request` to `peer` and returns the response. Cancelling the task cancels the stream.
    func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8]

    /// The same, ahead of or behind other messages to `peer`, as its response is on the way back.
    func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], urgency: CallUrgency,
        timeout: Duration
    ) async throws(RPCError) -> [UInt8]
}

extension PeerMessaging {
    /// For messaging that has no bandwidth to share.
    package func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], urgency: CallUrgency,
        timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        try await call(peer, method, request, timeout: timeout)
    }
}
