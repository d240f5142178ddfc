internal import CyxCore

/// Addresses in CIDR notation (RFC 4632, RFC 4291 §2.3): `203.0.113.0/24`, `2001:db8::/32`, or one
/// address.
struct AddressRange: Equatable, Sendable {
    /// IPv4 as the mapped IPv6 address.
    private let first: UInt128
    /// Of those 128 bits, how many all addresses of the range share.
    private let prefixBits: Int
    private let isIPv4: Bool

    init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = AddressRange.address(String(parts[0])) else { return nil }
        isIPv4 = address.isIPv4
        let width = isIPv4 ? 32 : 128
        var bits = width
        if parts.count == 2 {
            guard !parts[1].isEmpty, parts[1].utf8.count <= 3,
                parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
                let count = Int(parts[1]), count <= width
            else { return nil }
            bits = count
        }
        prefixBits = bits + 128 - width
        first = address.ip & AddressRange.mask(prefixBits)
    }

    private static func mask(_ bits: Int) -> UInt128 {
        bits == 0 ? 0 : UInt128.max << UInt128(128 - bits)
    }

    private static func address(_ text: String) -> SocketAddress? {
        do {
            return try SocketAddress(parsing: text.contains(":") ? "[\(text)]:0" : "\(text):0")
        } catch {
            return nil
        }
    }

    func contains(_ text: String) -> Bool {
        guard let address = AddressRange.address(text), address.isIPv4 == isIPv4 else {
            return false
        }
        return address.ip & AddressRange.mask(prefixBits) == first
    }

    /// Whether it is small enough to name a group of people: by S3, from /8 or /32 on.
    var isNarrow: Bool { isIPv4 ? prefixBits >= 96 + 8 : prefixBits >= 32 }
}
