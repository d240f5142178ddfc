package import CyxCore

/// What a NAT does, in the words of RFC 4787: how it maps addresses of the inside to ports of its
/// own (§4.1), and whom it lets answer (§5).
package struct NATBehaviour: Hashable, Sendable {
    package enum Dependence: Hashable, Sendable {
        case endpointIndependent, addressDependent, addressAndPortDependent
    }

    package var mapping: Dependence
    package var filtering: Dependence
    /// How long a mapping lasts that nothing leaves through (§4.3 wants two minutes; many home
    /// routers keep them for half a one).
    package var timeout = Duration.seconds(30)

    package init(mapping: Dependence, filtering: Dependence) {
        self.mapping = mapping
        self.filtering = filtering
    }

    // The four classical kinds (RFC 3489 §5).
    package static let fullCone = NATBehaviour(
        mapping: .endpointIndependent, filtering: .endpointIndependent)
    package static let restrictedCone = NATBehaviour(
        mapping: .endpointIndependent, filtering: .addressDependent)
    package static let portRestrictedCone = NATBehaviour(
        mapping: .endpointIndependent, filtering: .addressAndPortDependent)
    package static let symmetric = NATBehaviour(
        mapping: .addressAndPortDependent, filtering: .addressAndPortDependent)
}

/// A NAT with one public address (a machine). It does not reflect packets of the inside that are
/// sent to its own public address back inside (no hairpinning, §6), as many do not.
package struct NATBox: Sendable {
    /// Mappings that it keeps; what would need another one is dropped.
    package static let mappingsMax = 4096

    private struct Key: Hashable, Sendable {
        var inside: SocketAddress
        /// As much of the destination as mappings depend on.
        var destination: SocketAddress?
    }

    private struct Mapping: Sendable {
        var key: Key
        var inside: SocketAddress
        /// Destinations that packets were sent to, as far as filtering depends on them.
        var permitted: Set<SocketAddress> = []
        var expires: Instant
    }

    package let publicIP: UInt128
    package let behaviour: NATBehaviour
    private var byKey: [Key: UInt16] = [:]
    private var byPort: [UInt16: Mapping] = [:]
    private var generator: SeededGenerator
    /// Packets from outside that were not let in.
    package private(set) var refused = 0

    package init(publicIP: UInt128, behaviour: NATBehaviour, seed: UInt64) {
        self.publicIP = publicIP
        self.behaviour = behaviour
        generator = SeededGenerator(seed: seed)
    }

    private static func part(
        _ address: SocketAddress, _ dependence: NATBehaviour.Dependence
    ) -> SocketAddress? {
        switch dependence {
        case .endpointIndependent: nil
        case .addressDependent: SocketAddress(ip: address.ip, port: 0)
        case .addressAndPortDependent: address
        }
    }

    /// The address that a packet from `inside` to `destination` leaves with; nil: it is dropped.
    package mutating func outbound(
        from inside: SocketAddress, to destination: SocketAddress, now: Instant
    ) -> SocketAddress? {
        let key = Key(
            inside: inside, destination: Self.part(destination, behaviour.mapping))
        var port = byKey[key]
        if let known = port, let mapping = byPort[known], mapping.expires <= now {
            forget(known)
            port = nil
        }
        if port == nil {
            guard byPort.count < Self.mappingsMax else { return nil }
            // Ports are drawn at random (RFC 6056), also that of the first mapping.
            var drawn = UInt16.random(in: 1024...UInt16.max, using: &generator)
            while byPort[drawn] != nil {
                drawn = UInt16.random(in: 1024...UInt16.max, using: &generator)
            }
            byKey[key] = drawn
            byPort[drawn] = Mapping(key: key, inside: inside, expires: now)
            port = drawn
        }
        guard let port else { return nil }
        byPort[port]?.expires = now + behaviour.timeout
        if let part = Self.part(destination, behaviour.filtering) {
            byPort[port]?.permitted.insert(part)
        }
        return SocketAddress(ip: publicIP, port: port)
    }

    /// To whom inside a packet from `source` to a public port goes; nil: it is not let in.
    package mutating func inbound(
        to port: UInt16, from source: SocketAddress, now: Instant
    ) -> SocketAddress? {
        guard let mapping = byPort[port] else {
            refused += 1
            return nil
        }
        guard mapping.expires > now else {
            forget(port)
            refused += 1
            return nil
        }
        if let part = Self.part(source, behaviour.filtering), !mapping.permitted.contains(part) {
            refused += 1
            return nil
        }
        return mapping.inside
    }

    private mutating func forget(_ port: UInt16) {
        guard let mapping = byPort.removeValue(forKey: port) else { return }
        byKey[mapping.key] = nil
    }
}
