package import CyxCore
internal import Synchronization

/// What `UDPMessaging` keeps for paths outside its isolation.
struct PathHooks: Sendable {
    /// Packets from virtual addresses that wait for the transport's next turn; more are dropped.
    static let incomingMax = 1024

    var finder: (@Sendable (PathEvent) -> Void)?
    var carrier: (@Sendable (_ packet: [UInt8], _ address: SocketAddress) -> Void)?
    var incoming: [(packet: [UInt8], address: SocketAddress)] = []
    var isScheduled = false
}

extension UDPMessaging: PathControl {
    package nonisolated func findPaths(with finder: @escaping @Sendable (PathEvent) -> Void) {
        pathHooks.withLock { $0.finder = finder }
        later { $0.changeMachine { machine, _, _ in machine.findsPaths = true } }
    }

    package nonisolated func carry(
        with carrier: @escaping @Sendable (_ packet: [UInt8], _ address: SocketAddress) -> Void
    ) {
        pathHooks.withLock { $0.carrier = carrier }
    }

    package nonisolated func receive(_ packet: [UInt8], from address: SocketAddress) {
        precondition(address.isVirtual, "what comes by the socket is not handed in")
        let isFirst = pathHooks.withLock { hooks in
            guard hooks.incoming.count < PathHooks.incomingMax else { return false }
            hooks.incoming.append((packet, address))
            defer { hooks.isScheduled = true }
            return !hooks.isScheduled
        }
        if isFirst { later { $0.takeCarried() } }
    }

    package nonisolated func hide(_ peer: PeerID, _ isHidden: Bool) {
        later { $0.changeMachine { machine, _, _ in machine.hide(peer, isHidden) } }
    }

    package nonisolated func reach(_ peer: PeerID, at address: SocketAddress) {
        later {
            $0.changeMachine { machine, wall, now in
                machine.reach(peer, at: address, wall: wall, now: now)
            }
        }
    }

    package nonisolated func giveUp(_ peer: PeerID) {
        later {
            $0.changeMachine { machine, wall, now in machine.giveUp(peer, wall: wall, now: now) }
        }
    }

    package nonisolated func send(_ opener: Opener, to address: SocketAddress) {
        later { $0.sendNow(opener.bytes, to: address) }
    }

    private nonisolated func later(
        _ work: @escaping @Sendable (isolated UDPMessaging) -> Void
    ) {
        environment.executor.execute { [weak self] in self?.assumeIsolated(work) }
    }

    nonisolated func tell(_ event: PathEvent) {
        pathHooks.withLock { $0.finder }?(event)
    }

    /// Hands segments that go to a virtual address to their carrier; without one they are lost.
    nonisolated func carry(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, to address: SocketAddress
    ) {
        guard let carrier = pathHooks.withLock({ $0.carrier }) else { return }
        var start = 0
        while start < bytes.count {
            let end = min(start + segmentSize, bytes.count)
            carrier([UInt8](bytes[start..<end]), address)
            start = end
        }
    }

    nonisolated func takeIncoming() -> [(packet: [UInt8], address: SocketAddress)] {
        pathHooks.withLock { hooks in
            defer {
                hooks.incoming = []
                hooks.isScheduled = false
            }
            return hooks.incoming
        }
    }
}
