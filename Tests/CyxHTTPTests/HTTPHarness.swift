import CyxCore
import CyxHTTP
import TestSockets
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

extension Client {
    /// Up to 64 KiB; empty at the end. That nothing comes for long is no end.
    func receive() -> [UInt8] {
        do {
            return try next() ?? []
        } catch {
            Issue.record(error)
            return []
        }
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
