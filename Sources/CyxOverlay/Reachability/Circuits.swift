package import CyxCore
internal import CyxTransport

/// The circuits that end at this peer: which virtual address stands for which (a machine).
package struct Circuits: Sendable {
    /// Circuits of this peer; the one that was idle longest goes first.
    package static let limit = 256

    package struct Key: Hashable, Sendable {
        package var relay: PeerID
        package var number: UInt32

        package init(relay: PeerID, number: UInt32) {
            self.relay = relay
            self.number = number
        }
    }

    private struct Entry: Sendable {
        var key: Key
        var used: Instant
    }

    private var byAddress: [SocketAddress: Entry] = [:]
    private var byKey: [Key: SocketAddress] = [:]
    private var next: UInt64 = 1

    package init() {}

    package var count: Int { byKey.count }

    /// The address that connections know the circuit's other end by; never used for another one.
    package mutating func add(_ key: Key, now: Instant) -> SocketAddress {
        if let address = byKey[key] { return address }
        if byKey.count >= Self.limit,
            let idlest = byAddress.min(by: {
                ($0.value.used, $0.key.ip) < ($1.value.used, $1.key.ip)
            })
        {
            byKey[idlest.value.key] = nil
            byAddress[idlest.key] = nil
        }
        let address = SocketAddress(virtual: next)
        next += 1
        byKey[key] = address
        byAddress[address] = Entry(key: key, used: now)
        return address
    }

    /// The circuit behind `address`, which is thereby in use.
    package mutating func circuit(at address: SocketAddress, now: Instant) -> Key? {
        byAddress[address]?.used = now
        return byAddress[address]?.key
    }

    package mutating func address(of key: Key, now: Instant) -> SocketAddress? {
        guard let address = byKey[key] else { return nil }
        byAddress[address]?.used = now
        return address
    }

    package mutating func remove(_ address: SocketAddress) {
        guard let entry = byAddress.removeValue(forKey: address) else { return }
        byKey[entry.key] = nil
    }
}
