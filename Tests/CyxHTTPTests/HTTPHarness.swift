import CyxCore
import CyxHTTP
import Glibc
import Testing

final class NoStorage: StorageDevice {
    func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
        throw .closed
    }
    func freeBytes() -> Int64 { 0 }
}

final class DiscardedLog: LogSink {
    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {}
}

/// Serves `handler` on a loopback port while `body` runs.
func withServer(
    limits: HTTPLimits = HTTPLimits(), identity: TLSIdentity? = nil,
    handler: @escaping HTTPServer.Handler,
    _ body: @Sendable (_ port: UInt16, _ environment: Environment) async throws -> Void
) async throws {
    let reactor = try Reactor()
    try reactor.start()
    let pool = try ThreadPool(threadCount: 1)
    defer {
        reactor.stop()
        reactor.join()
        pool.stop()
    }
    let environment = Environment.production(
        reactor: reactor, storage: NoStorage(), blocking: pool, sink: DiscardedLog(),
        metrics: MetricsRegistry())
    let server = try HTTPServer(
        environment: environment, reactor: reactor,
        listen: SocketAddress(ipv4: (127, 0, 0, 1), port: 0), limits: limits, identity: identity,
        handler: handler)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask(executorPreference: reactor) { try await server.run() }
        do {
            try await body(server.localAddress.port, environment)
        } catch {
            group.cancelAll()
            throw error
        }
        group.cancelAll()
        try await group.waitForAll()
    }
}

struct ClientError: Error {
    var call: String
    var code = errno
}

/// A blocking client socket: the server runs on a thread of its own.
final class Client {
    private let descriptor: Int32

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: 20, tv_usec: 0)
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

    func send(_ bytes: [UInt8]) throws {
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

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Up to 64 KiB; empty at the end. That nothing comes for long is no end.
    func receive() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN { Issue.record("nothing came, and no end") }
        return Array(buffer.prefix(max(0, count)))
    }

    /// Whether something has come, or the end, within so long.
    func hears(within milliseconds: Int32) -> Bool {
        var descriptor = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, milliseconds) > 0
    }

    /// Reads until `text` has come, or the end.
    func receive(until text: String) -> String {
        var bytes: [UInt8] = []
        while !String(decoding: bytes, as: UTF8.self).contains(text) {
            let more = receive()
            if more.isEmpty { break }
            bytes += more
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func receiveAll() -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let more = receive()
            if more.isEmpty { return bytes }
            bytes += more
        }
    }
}
