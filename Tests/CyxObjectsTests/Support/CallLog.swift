import CyxCore
import CyxTransport
import SimulationHarness
import Synchronization

/// Bytes that some peers asked others to take, by how urgent that was.
final class CallLog: Sendable {
    private let sent = Mutex<[CallUrgency: Int]>([:])

    func bytes(_ urgency: CallUrgency) -> Int { sent.withLock { $0[urgency] ?? 0 } }
    func clear() { sent.withLock { $0 = [:] } }
    fileprivate func add(_ bytes: Int, _ urgency: CallUrgency) {
        sent.withLock { $0[urgency, default: 0] += bytes }
    }
}

/// Passes calls on and notes how urgent they were.
final class LoggedMessaging: ForwardingMessaging {
    let messaging: any PeerMessaging
    private let log: CallLog

    init(_ messaging: any PeerMessaging, _ log: CallLog) {
        self.messaging = messaging
        self.log = log
    }

    func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        try await call(peer, method, request, urgency: .foreground, timeout: timeout)
    }

    func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], urgency: CallUrgency,
        timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        log.add(request.count, urgency)
        return try await messaging.call(peer, method, request, timeout: timeout)
    }
}
