internal import Glibc

/// A call of a `Client` that failed, or in which nothing happened for too long.
package struct ClientError: Error {
    package var call: String
    package var code: Int32

    package init(call: String, code: Int32 = errno) {
        (self.call, self.code) = (call, code)
    }
}

/// A blocking socket to a server on this machine, which runs on a thread of its own.
package final class Client {
    /// Longer than a server that has something to say takes, and shorter than most give clients.
    private static let patienceSeconds = 20
    private static let pieceBytes = 64 << 10

    private let descriptor: Int32

    package init(port: UInt16) throws(ClientError) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: Client.patienceSeconds, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw ClientError(call: "connect") }
    }

    deinit { close(descriptor) }

    package func send(_ bytes: [UInt8]) throws(ClientError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw ClientError(call: "send") }
            sent += count
        }
    }

    package func send(_ text: String) throws(ClientError) { try send(Array(text.utf8)) }

    package func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Up to 64 KiB; nil at the end, however the server made it. That nothing comes for long is no
    /// end: it throws `EAGAIN`.
    package func next() throws(ClientError) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: Client.pieceBytes)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0, errno != ECONNRESET { throw ClientError(call: "recv") }
        return count > 0 ? Array(buffer.prefix(count)) : nil
    }

    /// Whether something has come, or the end, within so long.
    package func hears(within milliseconds: Int32) -> Bool {
        var descriptor = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, milliseconds) > 0
    }
}
