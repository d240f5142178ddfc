extension SocketAddress: CustomStringConvertible {
    /// `192.0.2.1:7700` or `[2001:db8::1]:7700` (RFC 5952).
    package var description: String {
        isIPv4 ? "\(hostDescription):\(port)" : "[\(hostDescription)]:\(port)"
    }

    /// The address alone, as RFC 5952 writes it.
    package var hostDescription: String {
        if isIPv4 {
            return [24, 16, 8, 0].map { String(UInt8(truncatingIfNeeded: ip >> UInt128($0))) }
                .joined(separator: ".")
        }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: ip >> UInt128(16 * (7 - $0))) }
        guard let zeros = SocketAddress.longestZeroRun(groups) else {
            return groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        let head = groups[..<zeros.lowerBound].map { String($0, radix: 16) }
        let tail = groups[zeros.upperBound...].map { String($0, radix: 16) }
        return head.joined(separator: ":") + "::" + tail.joined(separator: ":")
    }

    /// The first longest run of at least two zero groups (RFC 5952 §4.2).
    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        for index in 0...groups.count {
            if index < groups.count, groups[index] == 0 { continue }
            if index - start >= 2, index - start > (best?.count ?? 0) { best = start..<index }
            start = index + 1
        }
        return best
    }

    /// Reads `HOST:PORT` where HOST is a dotted IPv4 address or an IPv6 address in brackets. Names
    /// are resolved by `AddressResolver`.
    package init(parsing text: String) throws(AddressError) {
        let (host, port) = try HostAndPort.split(text)
        guard let ip = SocketAddress.parseIP(host) else { throw .notAnAddress(host) }
        self.init(ip: ip, port: port)
    }

    /// An IPv4 address, mapped, or an IPv6 address (RFC 4291 §2.2), without brackets.
    package static func parseIP(_ host: String) -> UInt128? {
        if let v4 = parseIPv4(host) { return 0xFFFF << 32 | UInt128(v4) }
        return parseIPv6(host)
    }

    private static func parseIPv4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            // A leading zero would be octal elsewhere: refused (RFC 6943 §3.1.1).
            guard part.utf8.allSatisfy({ (0x30...0x39).contains($0) }), part.utf8.count <= 3,
                part.utf8.count == 1 || part.utf8.first != UInt8(ascii: "0"),
                let byte = UInt8(part)
            else { return nil }
            value = value << 8 | UInt32(byte)
        }
        return value
    }

    private static func parseIPv6(_ text: String) -> UInt128? {
        guard text.utf8.contains(UInt8(ascii: ":")), text.utf8.count <= 45 else { return nil }
        let halves = split(text, at: "::")
        guard halves.count <= 2, let head = groups(halves[0]) else { return nil }
        guard halves.count == 2 else { return head.count == 8 ? join(head) : nil }
        guard let tail = groups(halves[1]), head.count + tail.count < 8 else { return nil }
        return join(head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail)
    }

    private static func join(_ groups: [UInt16]) -> UInt128 {
        groups.reduce(0) { $0 << 16 | UInt128($1) }
    }

    private static func groups(_ text: Substring) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var result: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, let v4 = parseIPv4(part) {
                result += [UInt16(v4 >> 16), UInt16(v4 & 0xFFFF)]
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 != 0x2B }),
                let group = UInt16(part, radix: 16)
            else { return nil }
            result.append(group)
        }
        return result.count <= 8 ? result : nil
    }

    /// `split(separator:)` for one two-character separator.
    private static func split(_ text: String, at separator: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = text[...]
        while let range = firstRange(of: separator, in: rest) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return parts + [rest]
    }

    private static func firstRange(
        of separator: String, in text: Substring
    ) -> Range<Substring.Index>? {
        var index = text.startIndex
        while index < text.endIndex {
            if text[index...].hasPrefix(separator) {
                return index..<text.index(index, offsetBy: separator.count)
            }
            index = text.index(after: index)
        }
        return nil
    }
}

/// Why a text is no address. The words say what to write instead.
package enum AddressError: Error, Equatable, CustomStringConvertible {
    case missingPort(String)
    case badPort(String)
    case badHost(String)
    case notAnAddress(String)
    /// The resolver's words.
    case unresolved(name: String, reason: String)

    package var description: String {
        switch self {
        case .missingPort(let text):
            "\"\(text)\" has no port; write HOST:PORT, such as 192.0.2.1:7700 or [2001:db8::1]:7700"
        case .badPort(let text): "\"\(text)\": a port is a number from 0 to 65535"
        case .badHost(let text):
            "\"\(text)\": write an IPv6 address in brackets, such as [2001:db8::1]:7700"
        case .notAnAddress(let host): "\"\(host)\" is neither an IPv4 nor an IPv6 address"
        case .unresolved(let name, let reason): "\"\(name)\" cannot be resolved: \(reason)"
        }
    }
}

/// The two halves of `HOST:PORT` or `[IPV6]:PORT`.
package enum HostAndPort {
    package static func split(_ text: String) throws(AddressError) -> (host: String, port: UInt16) {
        guard let colon = text.lastIndex(of: ":") else { throw .missingPort(text) }
        var host = text[..<colon]
        let digits = text[text.index(after: colon)...]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { throw .missingPort(text) }
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { throw .badHost(text) }
        } else if host.contains(":") {
            throw .badHost(text)
        }
        guard !host.isEmpty else { throw .badHost(text) }
        guard (1...5).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits)
        else { throw .badPort(text) }
        return (String(host), port)
    }
}
