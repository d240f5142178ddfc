internal import Glibc

/// Turns `HOST:PORT` into addresses, asking the system's resolver for names.
package enum AddressResolver {
    /// A name's addresses that are used; the resolver's order.
    package static let maximumAddresses = 16

    /// Literal addresses at once; names on the pool, because the resolver blocks. Never empty.
    package static func resolve(
        _ text: String, on pool: any BlockingPool
    ) async throws(AddressError) -> [SocketAddress] {
        let (host, port) = try HostAndPort.split(text)
        if let ip = SocketAddress.parseIP(host) { return [SocketAddress(ip: ip, port: port)] }
        return try await pool.run { () throws(AddressError) in try lookUp(host, port) }
    }

    private static func lookUp(
        _ name: String, _ port: UInt16
    ) throws(AddressError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else {
            throw .unresolved(name: name, reason: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next, addresses.count < maximumAddresses {
            if let address = address(entry.pointee, port), !addresses.contains(address) {
                addresses.append(address)
            }
            next = entry.pointee.ai_next
        }
        guard !addresses.isEmpty else { throw .unresolved(name: name, reason: "no address") }
        return addresses
    }

    private static func address(_ entry: addrinfo, _ port: UInt16) -> SocketAddress? {
        guard let raw = entry.ai_addr else { return nil }
        switch entry.ai_family {
        case AF_INET:
            return raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                let word = UInt32(bigEndian: pointer.pointee.sin_addr.s_addr)
                return SocketAddress(ip: 0xFFFF << 32 | UInt128(word), port: port)
            }
        case AF_INET6:
            return raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin6_addr) {
                    SocketAddress(networkBytes: $0, port: port)
                }
            }
        default: return nil
        }
    }
}
