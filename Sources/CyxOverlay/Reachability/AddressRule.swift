package import CyxCore
internal import CyxTransport

/// All addresses that share their first bits: `10.0.0.0/8` or `fd00::/8` (RFC 4632 §3.1).
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    private var high: UInt64
    private var low: UInt64
    /// Bits of the 128, which for IPv4 is its own length and 96.
    private var bits: Int

    /// Nil unless `text` is an address, a slash and a length, with no bit set beyond the length.
    package init?(parsing text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let ip = SocketAddress.parseIP(String(parts[0])),
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1])
        else { return nil }
        let isIPv4 = ip >> 32 == 0xFFFF
        guard length <= (isIPv4 ? 32 : 128) else { return nil }
        bits = isIPv4 ? length + 96 : length
        let rest: UInt128 = bits == 0 ? .max : bits == 128 ? 0 : UInt128.max >> UInt128(bits)
        guard ip & rest == 0 else { return nil }
        high = UInt64(truncatingIfNeeded: ip >> 64)
        low = UInt64(truncatingIfNeeded: ip)
    }

    package func contains(_ address: SocketAddress) -> Bool {
        guard bits > 0 else { return true }
        let start = UInt128(high) << 64 | UInt128(low)
        return (address.ip ^ start) >> UInt128(128 - bits) == 0
    }

    package var description: String {
        let address = SocketAddress(ip: UInt128(high) << 64 | UInt128(low), port: 0)
        return "\(address.hostDescription)/\(address.isIPv4 ? bits - 96 : bits)"
    }
}

/// Which addresses a peer dials and tells others of (architecture §7: never publish or dial private
/// addresses from public records). What an operator names as `--bootstrap` is dialed in any case.
///
/// A record of a public network that names 192.168.1.1 would make whoever believes it knock at
/// machines of its own house: with it, strangers scan networks that they cannot reach themselves.
package struct AddressRule: Sendable, Equatable {
    /// Ranges kept by one network.
    package static let rangesMax = 32

    /// Private, shared, loopback or link-local ranges that are this network's own.
    package var ownRanges: [AddressRange]

    package init(ownRanges: [AddressRange]) {
        self.ownRanges = ownRanges
    }

    /// Public addresses alone.
    package static let global = AddressRule(ownRanges: [])

    /// Everything: for a private network that does not say which ranges are its own, since its
    /// members are known and mostly in one house.
    package static let all = AddressRule(
        ownRanges: ["0.0.0.0/0", "::/0"].compactMap { AddressRange(parsing: $0) })

    /// What a peer of a public network may dial that listens on `address` alone: one that listens
    /// on loopback reaches nothing else.
    package static func open(listening address: SocketAddress) -> AddressRule {
        let loopback = ["127.0.0.0/8", "::1/128"].compactMap { AddressRange(parsing: $0) }
        return loopback.contains { $0.contains(address) }
            ? AddressRule(ownRanges: loopback) : .global
    }

    /// Whether `address` may be dialed and passed on.
    package func allows(_ address: SocketAddress) -> Bool {
        guard address.port != 0, !address.isUnspecified, !address.isVirtual else { return false }
        return address.isGlobal || ownRanges.contains { $0.contains(address) }
    }

    /// What a record says in place of an address that it may not name: that there is none.
    package func published(_ address: SocketAddress) -> SocketAddress {
        allows(address) ? address : SocketAddress(ip: 0, port: max(1, address.port))
    }
}

extension SocketAddress {
    /// `::` or `0.0.0.0`: nowhere.
    package var isUnspecified: Bool { ip == 0 || ip == 0xFFFF << 32 }
}
