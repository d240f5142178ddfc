package import CyxCore

/// The transport without a shell, for an owner that carries its datagrams and tells it the time:
/// simulators of links. Requests are answered with no bytes as they come.
package struct DrivenMessaging {
    private var machine: MessagingMachine
    private let buffer = PacketBuffer(byteCount: UDPMessaging.sendBufferBytes)
    private var wall = WallTime(milliseconds: 1_700_000_000_000)
    /// Calls that ended since `takeCompleted`, and whether they were answered.
    private var completed: [(call: UInt64, isAnswered: Bool)] = []

    package init(_ configuration: TransportConfiguration, random: any RandomSource) {
        machine = MessagingMachine(
            endpoint: Endpoint(configuration: configuration, random: random))
    }

    package var localPeer: PeerID { machine.endpoint.localPeer }

    /// When `handleTimeout` wants to be called, in nanoseconds.
    package var nextDeadline: Int64? { machine.nextDeadline }

    /// Bytes of messages that arrived in order, over all living connections.
    package var bytesArrived: UInt64 {
        machine.links.keys.reduce(0) { $0 + (machine.endpoint[$1]?.dataConsumed ?? 0) }
    }

    /// The largest credit, in bytes, that a living connection gives its peer now: for itself, and
    /// for one of its streams.
    package var receiveWindowMax: (connection: UInt64, stream: UInt64) {
        machine.links.keys.reduce((0, 0)) { largest, handle in
            guard let connection = machine.endpoint[handle] else { return largest }
            return (
                max(largest.0, connection.receiveWindow.size),
                max(largest.1, connection.streams.largestReceiveWindow)
            )
        }
    }

    package mutating func learn(_ contact: PeerContact) { machine.learn(contact) }

    package mutating func call(
        _ call: UInt64, _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], deadline: Int64,
        now: Int64
    ) {
        machine.call(
            CallID(value: call), peer: peer, method: method, request: request,
            deadline: deadline, wall: wall, now: now)
        carryOut(now: now)
    }

    package mutating func takeCompleted() -> [(call: UInt64, isAnswered: Bool)] {
        defer { completed.removeAll(keepingCapacity: true) }
        return completed
    }

    package mutating func handle(_ datagram: ReceivedDatagrams, now: Int64) {
        machine.handle(datagram, wall: wall, now: now)
        machine.finishTurn(wall: wall, now: now)
        carryOut(now: now)
    }

    package mutating func handleTimeout(now: Int64) {
        machine.handleTimeout(wall: wall, now: now)
        carryOut(now: now)
    }

    private mutating func carryOut(now: Int64) {
        while !machine.outputs.isEmpty {
            let outputs = machine.outputs
            machine.outputs.removeAll(keepingCapacity: true)
            for output in outputs {
                switch output {
                case .request(let id, _, _, _):
                    machine.respond(id, .success([]), wall: wall, now: now)
                case .completed(let id, let result):
                    let isAnswered = if case .success = result { true } else { false }
                    completed.append((id.value, isAnswered))
                default: break
                }
            }
        }
    }

    /// Passes every datagram that is due to `send`; its bytes live during the call.
    package mutating func transmit(
        now: Int64,
        _ send: (SocketAddress, UnsafeRawBufferPointer, ECNCodepoint) -> Void
    ) {
        while let next = machine.endpoint.pollTransmit(
            into: buffer.bytes, segmentsMax: UDPMessaging.segmentsMax, now: now)
        {
            let transmission = next.transmission
            var start = 0
            while start < transmission.byteCount {
                let end = min(start + transmission.segmentSize, transmission.byteCount)
                send(
                    next.destination,
                    UnsafeRawBufferPointer(rebasing: buffer.bytes[start..<end]), transmission.ecn)
                start = end
            }
        }
    }
}
