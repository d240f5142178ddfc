internal import CyxKernels
internal import Glibc
internal import Synchronization

/// UDP sockets on a reactor, with GSO and GRO where the kernel has them.
package final class EpollDatagramNetwork: DatagramNetwork {
    /// Asked for in each direction; the kernel may grant less (`net.core.rmem_max`).
    static let socketBufferBytes = 4 << 20
    /// Batches taken by one `recvmmsg`; 64 KiB of address space each, touched only when used.
    static let slotsPerReceive = 16
    /// The same while batches are large: what one call brings should still be in the CPU's cache
    /// when it is decrypted, with the memory that it goes to.
    static let slotsPerBulkReceive = 4
    /// Mean bytes of a batch from which on it counts as large.
    static let bulkBytesMin = 16 << 10
    /// `recvmmsg` calls of one wake-up, so that jobs and timers get their turn.
    static let receivesPerWakeUp = 4
    /// Datagrams of one send with GSO (UDP_MAX_SEGMENTS of older kernels).
    static let maximumSegments = 64

    private let reactor: Reactor
    private let logger: Logger
    private let allowsOffload: Bool

    /// Without `allowsOffload`, sockets neither split nor join datagrams, as on an old kernel.
    package init(reactor: Reactor, logger: Logger, allowsOffload: Bool = true) {
        self.reactor = reactor
        self.logger = logger.labelled("udp")
        self.allowsOffload = allowsOffload
    }

    package func bind(_ address: SocketAddress) throws(BindError) -> any DatagramSocket {
        var info = cyx_udp_info()
        let descriptor = address.withNetworkBytes { ip in
            cyx_udp_open(
                ip, address.port, Int32(EpollDatagramNetwork.socketBufferBytes),
                allowsOffload ? 1 : 0, &info)
        }
        guard descriptor >= 0 else { throw BindError(address: address, errno: -descriptor) }
        let bound = withUnsafeBytes(of: info.ip) {
            SocketAddress(networkBytes: $0, port: info.port)
        }
        logger.info(
            "bound",
            [
                ("address", bound.description),
                ("receive_buffer_bytes", String(info.receive_buffer)),
                ("send_buffer_bytes", String(info.send_buffer)),
                ("gso", info.has_gso == 1 ? "yes" : "no"),
                ("gro", info.has_gro == 1 ? "yes" : "no"),
            ])
        return EpollDatagramSocket(
            descriptor: descriptor, address: bound, hasGSO: info.has_gso == 1, reactor: reactor,
            logger: logger)
    }
}

/// One bound UDP socket.
///
/// Its mutable state is confined to the reactor's thread: handlers run there, and `send` is called
/// there, as `DatagramSocket` demands.
final class EpollDatagramSocket: DatagramSocket {
    private struct Handlers: Sendable {
        var receive: @Sendable (UnsafeBufferPointer<ReceivedDatagrams>) -> Void
        var writable: @Sendable () -> Void
    }

    private struct State {
        var isOpen = true
        var watch: WatchID?
    }

    let localAddress: SocketAddress
    private let descriptor: Int32
    private let isIPv4: Int32
    private let reactor: Reactor
    private let logger: Logger
    private let hasGSO: Atomic<Bool>
    private let wantsWritable = Atomic<Bool>(false)
    private let state = Mutex(State())
    // Written once by the initialiser, freed by `deinit`; the memory is touched by `drain` alone,
    // which runs on the reactor's thread.
    private nonisolated(unsafe) let buffer: UnsafeMutablePointer<UInt8>
    private nonisolated(unsafe) let received: UnsafeMutablePointer<cyx_udp_received>
    private nonisolated(unsafe) let batches: UnsafeMutablePointer<ReceivedDatagrams>
    /// The last call brought large batches, so that the next takes few of them.
    private nonisolated(unsafe) var isBulk = false

    init(
        descriptor: Int32, address: SocketAddress, hasGSO: Bool, reactor: Reactor, logger: Logger
    ) {
        self.descriptor = descriptor
        self.localAddress = address
        self.isIPv4 = address.isIPv4 ? 1 : 0
        self.hasGSO = Atomic(hasGSO)
        self.reactor = reactor
        self.logger = logger
        let slots = EpollDatagramNetwork.slotsPerReceive
        buffer = .allocate(capacity: slots * Int(CYX_UDP_SLOT_BYTES))
        received = .allocate(capacity: slots)
        batches = .allocate(capacity: slots)
    }

    deinit {
        close()
        buffer.deallocate()
        received.deallocate()
        batches.deallocate()
    }

    var maximumSegments: Int {
        hasGSO.load(ordering: .relaxed) ? EpollDatagramNetwork.maximumSegments : 1
    }

    func start(
        receive: @escaping @Sendable (UnsafeBufferPointer<ReceivedDatagrams>) -> Void,
        writable: @escaping @Sendable () -> Void
    ) {
        let handlers = Handlers(receive: receive, writable: writable)
        do {
            let watch = try reactor.watch(descriptor, for: .readable) { [weak self] events in
                self?.handle(events, handlers)
            }
            state.withLock { $0.watch = watch }
        } catch {
            logger.error("cannot watch a socket", [("error", error.description)])
        }
    }

    func close() {
        let (wasOpen, watch) = state.withLock { state in
            defer {
                state.isOpen = false
                state.watch = nil
            }
            return (state.isOpen, state.watch)
        }
        guard wasOpen else { return }
        if let watch { reactor.unwatch(watch) }
        Glibc.close(descriptor)
    }

    func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, to destination: SocketAddress
    ) -> SendOutcome {
        send(bytes, segmentSize: segmentSize, ecn: .notECT, to: destination)
    }

    func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, ecn: ECNCodepoint,
        to destination: SocketAddress
    ) -> SendOutcome {
        precondition(segmentSize > 0, "a datagram has at least one byte")
        guard state.withLock({ $0.isOpen }) else { return .failed(errno: EBADF) }
        guard bytes.count <= segmentSize || hasGSO.load(ordering: .relaxed) else {
            return sendOneByOne(bytes, segmentSize, ecn, destination)
        }
        let code = transmit(bytes, segmentSize, ecn, destination)
        switch -code {
        case 0: return .sent
        case EAGAIN, ENOBUFS:
            awaitWritable()
            return .wouldBlock
        // EIO: the route's device cannot checksum split datagrams. EINVAL: nor can the kernel
        // split, or a segment is too long for the route, of which a single one tells.
        case EIO where bytes.count > segmentSize,
            EINVAL where bytes.count > segmentSize:
            let outcome = sendOneByOne(bytes, segmentSize, ecn, destination)
            if outcome != .failed(errno: EMSGSIZE) {
                hasGSO.store(false, ordering: .relaxed)
                logger.warning("sending without GSO", [("error", SystemError.words(-code))])
            }
            return outcome
        default: return .failed(errno: -code)
        }
    }

    /// A full buffer in the middle loses the rest, as a full queue on the way would.
    private func sendOneByOne(
        _ bytes: UnsafeRawBufferPointer, _ segmentSize: Int, _ ecn: ECNCodepoint,
        _ destination: SocketAddress
    ) -> SendOutcome {
        for start in stride(from: 0, to: bytes.count, by: segmentSize) {
            let end = min(start + segmentSize, bytes.count)
            let datagram = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            let code = transmit(datagram, segmentSize, ecn, destination)
            if -code == EAGAIN || -code == ENOBUFS {
                guard start == 0 else { return .sent }
                awaitWritable()
                return .wouldBlock
            }
            if code != 0 { return .failed(errno: -code) }
        }
        return .sent
    }

    private func transmit(
        _ bytes: UnsafeRawBufferPointer, _ segmentSize: Int, _ ecn: ECNCodepoint,
        _ destination: SocketAddress
    ) -> Int32 {
        destination.withNetworkBytes { ip in
            cyx_udp_send(
                descriptor, isIPv4, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count,
                segmentSize, ecn.rawValue, ip, destination.port)
        }
    }

    private func awaitWritable() {
        guard !wantsWritable.exchange(true, ordering: .relaxed) else { return }
        state.withLock { state in
            if let watch = state.watch { reactor.modify(watch, for: [.readable, .writable]) }
        }
    }

    private func handle(_ events: DescriptorEvents, _ handlers: Handlers) {
        if events.contains(.readable) { drain(handlers.receive) }
        if events.contains(.writable), wantsWritable.exchange(false, ordering: .relaxed) {
            state.withLock { state in
                if let watch = state.watch { reactor.modify(watch, for: .readable) }
            }
            handlers.writable()
        }
    }

    private func drain(_ receive: (UnsafeBufferPointer<ReceivedDatagrams>) -> Void) {
        for _ in 0..<EpollDatagramNetwork.receivesPerWakeUp {
            // A handler may have closed the socket, and its number may be another's by now.
            guard state.withLock({ $0.isOpen }) else { return }
            let slots =
                isBulk
                ? EpollDatagramNetwork.slotsPerBulkReceive
                : EpollDatagramNetwork.slotsPerReceive
            let count = Int(cyx_udp_receive(descriptor, buffer, UInt32(slots), received))
            // Nothing left, or an ICMP error of an earlier send, which reading has cleared.
            guard count > 0 else { return }
            var total = 0
            for index in 0..<count {
                let batch = received[index]
                total += Int(batch.length)
                let source = withUnsafeBytes(of: batch.ip) {
                    SocketAddress(networkBytes: $0, port: batch.port)
                }
                let bytes = UnsafeRawBufferPointer(
                    start: buffer + index * Int(CYX_UDP_SLOT_BYTES), count: Int(batch.length))
                (batches + index).initialize(
                    to: ReceivedDatagrams(
                        source: source, bytes: bytes, segmentSize: Int(batch.segment),
                        ecn: ECNCodepoint(rawValue: batch.ecn) ?? .notECT))
            }
            isBulk = total / count >= EpollDatagramNetwork.bulkBytesMin
            receive(UnsafeBufferPointer(start: batches, count: count))
            if count < slots { return }
        }
    }
}

extension SocketAddress {
    /// Passes the 16 address bytes in network order.
    func withNetworkBytes<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { buffer in
            for index in 0..<16 {
                buffer[index] = UInt8(truncatingIfNeeded: ip >> UInt128(8 * (15 - index)))
            }
            return buffer.withMemoryRebound(to: UInt8.self) { bytes in
                guard let base = bytes.baseAddress else { preconditionFailure("16 bytes") }
                return body(UnsafePointer(base))
            }
        }
    }

    init(networkBytes: UnsafeRawBufferPointer, port: UInt16) {
        var ip: UInt128 = 0
        for byte in networkBytes { ip = ip << 8 | UInt128(byte) }
        self.init(ip: ip, port: port)
    }
}
