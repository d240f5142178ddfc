package import CyxCore

/// What bounds the share that one operator gets of a bucket, a table and a lookup (architecture
/// §5, §7). Peer IDs are free, so in an open network what counts is what costs money: networks.
package enum DiversityRule: Sendable {
    /// Open networks: by the network that an address belongs to. Firm: what is over its share is
    /// refused, also where there is room, since room near a key is what an attacker wants.
    case networks
    /// Private networks, which sit in one subnet and whose members are known: by declared zone.
    /// Soft: a zone gives room up only to another that holds less than its share.
    case zones
    /// Nothing is bounded.
    case none
}

/// Contacts of one group that one selection may hold.
package struct DiversityLimits: Sendable {
    /// Of one IPv4 /24, IPv6 /48 or zone, in one bucket.
    package var bucket = 2
    /// The same in the whole table.
    package var table = 10
    /// The same among the contacts that a lookup asks and returns.
    package var lookup = 2
    /// How much more an IPv6 /32 gets than a /48 of it: it is what one provider is given.
    package var wideFactor = 2
    package init() {}
}

extension SocketAddress {
    /// Whether strangers can be expected to reach it: neither private, shared, loopback,
    /// link-local, documentation, benchmark nor multicast (RFC 6890, RFC 5771, RFC 4291).
    package var isGlobal: Bool {
        guard isIPv4 else {
            // Of IPv6 only 2000::/3 is assigned; 2001:db8::/32 is for documentation.
            return ip >> 125 == 1 && ip >> 96 != 0x2001_0DB8
        }
        let v4 = UInt32(truncatingIfNeeded: ip)
        let reserved: [(prefix: UInt32, bits: UInt32)] = [
            (0x0000_0000, 8), (0x0A00_0000, 8), (0x6440_0000, 10), (0x7F00_0000, 8),
            (0xA9FE_0000, 16), (0xAC10_0000, 12), (0xC000_0000, 24), (0xC000_0200, 24),
            (0xC0A8_0000, 16), (0xC612_0000, 15), (0xC633_6400, 24), (0xCB00_7100, 24),
            (0xE000_0000, 3),
        ]
        return !reserved.contains { v4 >> (32 - $0.bits) == $0.prefix >> (32 - $0.bits) }
    }

    /// The /24 of an IPv4 address or the /48 of an IPv6 one. The top bits keep the kinds apart.
    var narrowNetwork: UInt64 {
        isIPv4
            ? 1 << 62 | UInt64(truncatingIfNeeded: ip >> 8) & 0xFF_FFFF
            : 2 << 62 | UInt64(truncatingIfNeeded: ip >> 80)
    }

    /// The /32 of an IPv6 address; IPv4 has no second limit.
    var wideNetwork: UInt64? {
        isIPv4 ? nil : 3 << 62 | UInt64(truncatingIfNeeded: ip >> 96)
    }
}

/// Counts the networks of one selection of contacts.
struct NetworkCount {
    private var networks: [(key: UInt64, count: Int)] = []
    private let limit: Int
    private let wideLimit: Int

    init(limit: Int, wideFactor: Int) {
        self.limit = limit
        wideLimit = limit * wideFactor
    }

    private func place(_ key: UInt64) -> Int? { networks.firstIndex { $0.key == key } }

    private mutating func add(_ key: UInt64, at place: Int?) {
        if let place { networks[place].count += 1 } else { networks.append((key, 1)) }
    }

    /// Counts `address` in, unless its network has its share already.
    mutating func admit(_ address: SocketAddress) -> Bool {
        let narrow = address.narrowNetwork
        let narrowPlace = place(narrow)
        if let narrowPlace, networks[narrowPlace].count >= limit { return false }
        guard let wide = address.wideNetwork else {
            add(narrow, at: narrowPlace)
            return true
        }
        let widePlace = place(wide)
        if let widePlace, networks[widePlace].count >= wideLimit { return false }
        add(narrow, at: narrowPlace)
        // The narrow one may have been appended, which moves no other.
        add(wide, at: widePlace)
        return true
    }

    /// Starts over, keeping the memory.
    mutating func reset() { networks.removeAll(keepingCapacity: true) }
}
