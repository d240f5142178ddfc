internal import CyxCore
internal import CyxHTTPShims
internal import Glibc

/// A connection that left HTTP: its descriptor, which the library lent, and who waits for it. Owned by
/// the server's actor and touched only there.
final class HTTPUpgrade {
    let descriptor: Int32
    /// What the library takes the descriptor back by.
    let handle: UnsafeMutableRawPointer
    /// What came behind the head of the request.
    var early: [UInt8]
    var watch: WatchID?
    var reader: CheckedContinuation<Void, Never>?
    var writer: CheckedContinuation<Void, Never>?
    /// Whoever waits is to find nothing more.
    var isEnded = false

    init(descriptor: Int32, handle: UnsafeMutableRawPointer, early: [UInt8]) {
        self.descriptor = descriptor
        self.handle = handle
        self.early = early
    }

    func wake() {
        let waiters = [reader, writer]
        (reader, writer) = (nil, nil)
        for waiter in waiters { waiter?.resume() }
    }

    var wanted: DescriptorEvents {
        var events: DescriptorEvents = []
        if reader != nil { events.insert(.readable) }
        if writer != nil { events.insert(.writable) }
        return events
    }
}

/// The bytes of a connection that left HTTP, for whoever answered it with `.upgrade`.
package struct HTTPSocket: Sendable {
    let server: HTTPServer
    let exchange: UInt64

    /// The next bytes; nil at the end. One reader at a time.
    package func read() async throws -> [UInt8]? { try await server.readUpgraded(exchange) }

    /// Returns once all of it is with the kernel. One writer at a time.
    package func write(_ bytes: [UInt8]) async throws {
        try await server.writeUpgraded(bytes, exchange)
    }

    /// Ends what waits in the others.
    package func end() async { await server.endUpgraded(exchange) }
}

extension HTTPServer {
    private static let readBytes = 16 << 10

    /// The library gave a connection up to its exchange.
    func upgraded(_ exchange: HTTPExchange, _ upgrade: HTTPUpgrade) {
        let flags = fcntl(upgrade.descriptor, F_GETFL)
        _ = fcntl(upgrade.descriptor, F_SETFL, flags | O_NONBLOCK)
        exchange.upgrade = upgrade
        exchange.wakeUpgrade()
    }

    /// Runs `body` with the connection once the library has sent the head of the answer.
    func runUpgraded(
        _ exchange: HTTPExchange, _ body: @Sendable (HTTPSocket) async -> Void
    ) async {
        while exchange.upgrade == nil, !exchange.isGone {
            await withCheckedContinuation { exchange.upgradeWaiter = $0 }
        }
        guard let upgrade = exchange.upgrade else { return }
        if !exchange.isGone { await body(HTTPSocket(server: self, exchange: exchange.id)) }
        endUpgraded(exchange.id)
        cyx_http_end_upgraded(upgrade.handle)
        drive()
    }

    func readUpgraded(_ id: UInt64) async throws -> [UInt8]? {
        guard let exchange = exchanges[id], let upgrade = exchange.upgrade else { return nil }
        if !upgrade.early.isEmpty {
            defer { upgrade.early = [] }
            return upgrade.early
        }
        var piece = [UInt8](repeating: 0, count: HTTPServer.readBytes)
        while !upgrade.isEnded, !exchange.isGone {
            let count = recv(upgrade.descriptor, &piece, piece.count, Int32(MSG_DONTWAIT))
            if count > 0 { return Array(piece.prefix(count)) }
            guard count < 0, errno == EAGAIN || errno == EINTR else { return nil }
            await withCheckedContinuation { waiter in
                upgrade.reader = waiter
                watch(upgrade)
            }
        }
        throw HTTPBodyError.connectionLost
    }

    func writeUpgraded(_ bytes: [UInt8], _ id: UInt64) async throws {
        guard let exchange = exchanges[id], let upgrade = exchange.upgrade else {
            throw HTTPBodyError.connectionLost
        }
        var sent = 0
        while sent < bytes.count {
            guard !upgrade.isEnded, !exchange.isGone else { throw HTTPBodyError.connectionLost }
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    upgrade.descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 {
                sent += count
                continue
            }
            guard errno == EAGAIN || errno == EINTR else { throw HTTPBodyError.connectionLost }
            await withCheckedContinuation { waiter in
                upgrade.writer = waiter
                watch(upgrade)
            }
        }
    }

    func endUpgraded(_ id: UInt64) {
        guard let upgrade = exchanges[id]?.upgrade else { return }
        upgrade.isEnded = true
        upgrade.wake()
        watch(upgrade)
    }

    /// Watches the descriptor for what is waited for, and for nothing else: an end that nobody waits
    /// for would be told again and again.
    private func watch(_ upgrade: HTTPUpgrade) {
        let wanted = upgrade.wanted
        if let watch = upgrade.watch {
            if wanted.isEmpty {
                reactor.unwatch(watch)
                upgrade.watch = nil
            } else {
                reactor.modify(watch, for: wanted)
            }
            return
        }
        guard !wanted.isEmpty else { return }
        nonisolated(unsafe) let owned = upgrade
        do {
            upgrade.watch = try reactor.watch(upgrade.descriptor, for: wanted) { [weak self] _ in
                self?.assumeIsolated {
                    owned.wake()
                    $0.watch(owned)
                }
            }
        } catch {
            environment.logger.warning("a connection is given up", [("error", "\(error)")])
            upgrade.isEnded = true
            upgrade.wake()
        }
    }
}
