internal import CyxCore
internal import Glibc

/// Which address other peers should dial when this one listens on all of its addresses.
enum AdvertisedAddress {
    /// Nil when `listen` names an address, or none can be found: then the bound one is told.
    ///
    /// The kernel chooses the source address of a route when a UDP socket is connected; nothing is
    /// sent for that.
    static func find(listen: SocketAddress, toward target: SocketAddress?) -> UInt128? {
        let isUnspecified = listen.ip == 0 || listen.ip == 0xFFFF << 32
        // Without a target, any address beyond this host's own shows the default route.
        let target = target ?? SocketAddress(ipv4: (192, 0, 2, 1), port: 9)
        guard isUnspecified, target.isIPv4 else { return nil }
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = target.port.bigEndian
        address.sin_addr.s_addr = UInt32(truncatingIfNeeded: target.ip).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, size) == 0
            }
        }
        guard isConnected else { return nil }
        var length = size
        let isNamed = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isNamed, address.sin_addr.s_addr != 0 else { return nil }
        return 0xFFFF << 32 | UInt128(UInt32(bigEndian: address.sin_addr.s_addr))
    }
}
