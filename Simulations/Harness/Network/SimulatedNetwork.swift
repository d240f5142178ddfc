package import CyxCore
internal import Synchronization

/// The sockets of a world by address.
final class NetworkSwitch: Sendable {
    struct State {
        var sockets: [SocketAddress: SimulatedSocket] = [:]
        var nextPort: UInt16 = 49_152
        /// NATs by their public address, and the one that an inside address is behind.
        var boxes: [UInt128: NATBox] = [:]
        var behind: [UInt128: UInt128] = [:]
    }

    let engine: EventEngine
    let links: LinkModel
    let maximumSegments: Int
    let state = Mutex(State())

    init(engine: EventEngine, links: LinkModel, maximumSegments: Int) {
        self.engine = engine
        self.links = links
        self.maximumSegments = maximumSegments
    }

    func closeSockets(of executor: SimulatedExecutor) {
        state.withLock { state in
            state.sockets = state.sockets.filter { $0.value.executor !== executor }
        }
    }

    func deliver(_ datagram: [UInt8], from source: SocketAddress, to destination: SocketAddress) {
        guard let socket = state.withLock({ $0.sockets[destination] }) else { return }
        socket.receive(datagram, from: source)
    }

    func send(_ bytes: UnsafeRawBufferPointer, from socket: SimulatedSocket, to: SocketAddress) {
        guard let source = leave(socket.localAddress, to: to) else { return }
        let times = links.arrivals(from: source.ip, to: to.ip, now: engine.now)
        guard !times.isEmpty else { return }
        let datagram = [UInt8](bytes)
        let digest = TraceHash.of(bytes)
        if state.withLock({ $0.boxes[to.ip] != nil }) {
            return arrive(datagram, digest, from: source, to: to, at: times)
        }
        // Nobody there: lost, and nothing to run the delivery on.
        guard let owner = state.withLock({ $0.sockets[to]?.executor }) else { return }
        for time in times {
            engine.schedule(at: time, kind: .datagram, owner: owner, digest: digest) {
                [weak self] in
                self?.deliver(datagram, from: source, to: to)
            }
        }
    }
}

/// Boxes between the sockets.
extension NetworkSwitch {
    /// Where a datagram comes from once it is outside; nil if it gets nowhere: private addresses
    /// behind one NAT are no way to another, and nobody outside can send to them.
    private func leave(_ source: SocketAddress, to: SocketAddress) -> SocketAddress? {
        state.withLock { state in
            let own = state.behind[source.ip]
            if let target = state.behind[to.ip] { return target == own ? source : nil }
            guard let own else { return source }
            guard own != to.ip else { return nil }
            return state.boxes[own]?.outbound(from: source, to: to, now: engine.now)
        }
    }

    /// Lets the box decide at the time of arrival.
    private func arrive(
        _ datagram: [UInt8], _ digest: UInt64, from source: SocketAddress, to: SocketAddress,
        at times: [Instant]
    ) {
        for time in times {
            engine.schedule(at: time, kind: .datagram, owner: nil, digest: digest) {
                [weak self] in
                self?.enter(datagram, from: source, to: to)
            }
        }
    }

    private func enter(_ datagram: [UInt8], from source: SocketAddress, to: SocketAddress) {
        let inside: (SocketAddress, SimulatedExecutor)? = state.withLock { state in
            let address = state.boxes[to.ip]?.inbound(to: to.port, from: source, now: engine.now)
            guard let address, let owner = state.sockets[address]?.executor else { return nil }
            return (address, owner)
        }
        guard let (address, owner) = inside else { return }
        engine.schedule(at: engine.now, kind: .datagram, owner: owner) { [weak self] in
            self?.deliver(datagram, from: source, to: address)
        }
    }
}

/// The network as one life of one peer sees it.
package final class SimulatedNetwork: DatagramNetwork {
    private let center: NetworkSwitch
    private let executor: SimulatedExecutor
    private let ip: UInt128

    /// Linux' numbers, which production reports too.
    private static let addressInUse: Int32 = 98
    private static let addressNotAvailable: Int32 = 99

    init(_ center: NetworkSwitch, executor: SimulatedExecutor, ip: UInt128) {
        self.center = center
        self.executor = executor
        self.ip = ip
    }

    /// Takes the peer's own address or an unspecified one (`::` or `0.0.0.0`); port 0 picks one.
    package func bind(_ address: SocketAddress) throws(BindError) -> any DatagramSocket {
        let isUnspecified = address.ip == 0 || address.ip == 0xFFFF << 32
        guard isUnspecified || address.ip == ip else {
            throw BindError(address: address, errno: Self.addressNotAvailable)
        }
        let socket: SimulatedSocket? = center.state.withLock { state in
            var bound = SocketAddress(ip: ip, port: address.port)
            if address.port == 0 {
                bound.port = state.nextPort
                state.nextPort = state.nextPort == .max ? 49_152 : state.nextPort + 1
            }
            guard state.sockets[bound] == nil else { return nil }
            let socket = SimulatedSocket(center, executor: executor, address: bound)
            state.sockets[bound] = socket
            return socket
        }
        guard let socket else { throw BindError(address: address, errno: Self.addressInUse) }
        return socket
    }
}

/// A bound UDP socket of a simulated peer. It is always writable.
final class SimulatedSocket: DatagramSocket {
    typealias Receive = @Sendable (UnsafeBufferPointer<ReceivedDatagrams>) -> Void

    let executor: SimulatedExecutor
    let localAddress: SocketAddress
    private let center: NetworkSwitch
    /// A struct around the closure: each access to a bare closure in a generic `Mutex` leaves one
    /// more reabstraction thunk around it, which adds up to most of a run's time.
    private struct Handler {
        var receive: Receive?
    }

    private let handler = Mutex(Handler())

    var maximumSegments: Int { center.maximumSegments }

    init(_ center: NetworkSwitch, executor: SimulatedExecutor, address: SocketAddress) {
        self.center = center
        self.executor = executor
        localAddress = address
    }

    func start(receive: @escaping Receive, writable: @escaping @Sendable () -> Void) {
        handler.withLock { $0.receive = receive }
    }

    func receive(_ datagram: [UInt8], from source: SocketAddress) {
        guard let handler = handler.withLock({ $0.receive }) else { return }
        datagram.withUnsafeBytes { bytes in
            let received = ReceivedDatagrams(
                source: source, bytes: bytes, segmentSize: max(1, bytes.count))
            withUnsafePointer(to: received) {
                handler(UnsafeBufferPointer(start: $0, count: 1))
            }
        }
    }

    func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, to destination: SocketAddress
    ) -> SendOutcome {
        precondition(segmentSize > 0, "segments have a size")
        precondition(bytes.count <= segmentSize * maximumSegments, "more segments than promised")
        var offset = 0
        while offset < bytes.count {
            let end = min(bytes.count, offset + segmentSize)
            center.send(
                UnsafeRawBufferPointer(rebasing: bytes[offset..<end]), from: self, to: destination)
            offset = end
        }
        return .sent
    }

    func close() {
        handler.withLock { $0.receive = nil }
        center.state.withLock { state in
            if state.sockets[localAddress] === self { state.sockets[localAddress] = nil }
        }
    }
}
