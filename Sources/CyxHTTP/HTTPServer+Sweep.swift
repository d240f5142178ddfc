internal import CyxCore
internal import CyxHTTPShims
internal import Glibc

/// An open connection and what it is doing, for the limits on slow clients.
struct HTTPConnection {
    let native: UnsafeMutableRawPointer
    let descriptor: Int32
    let remote: SocketAddress?
    /// When it was opened, or its last request ended.
    var idleSince: Instant
    var hasServed = false
    var exchange: HTTPExchange?

    /// Makes the library see the end of the connection when it next looks. It does not look where its
    /// buffer is full and it waits for the end of a line: there its time is up.
    func breakOff() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        cyx_http_expire(native)
    }
}

/// `POLLRDHUP` (poll(2)), which the module map of Glibc leaves out.
private let peerClosed: Int16 = 0x2000

extension HTTPServer {
    /// Breaks off what is too slow, and cancels requests whose clients went away unseen: the
    /// library does not watch a suspended connection.
    func sweep() {
        let now = environment.now()
        sweepNewcomers(now)
        var suspended: [(poll: pollfd, exchange: HTTPExchange)] = []
        for connection in connections.values {
            guard let exchange = connection.exchange else {
                let limit = connection.hasServed ? limits.idleTime : limits.headTime
                if now - connection.idleSince > limit { connection.breakOff() }
                continue
            }
            switch exchange.progress {
            case .line:
                if now - exchange.began > limits.headTime { connection.breakOff() }
                continue
            case .body where !exchange.isSuspended:
                checkBodyRate(of: exchange, on: connection, now)
            case .head, .body, .complete: break
            }
            // Before the body is complete, the end of what the client sends is the library's to
            // find, once the handler has taken what came before it.
            if exchange.isSuspended, exchange.progress == .complete {
                suspended.append(
                    (pollfd(fd: connection.descriptor, events: peerClosed, revents: 0), exchange))
            }
        }
        abandonDisconnected(suspended)
    }

    private func checkBodyRate(
        of exchange: HTTPExchange, on connection: HTTPConnection, _ now: Instant
    ) {
        guard now - exchange.windowStart >= limits.bodyWindow else { return }
        if exchange.windowBytes < limits.bodyWindowBytes { connection.breakOff() }
        exchange.windowStart = now
        exchange.windowBytes = 0
    }

    private func abandonDisconnected(_ suspended: [(poll: pollfd, exchange: HTTPExchange)]) {
        guard !suspended.isEmpty else { return }
        var polls = suspended.map(\.poll)
        guard poll(&polls, UInt(polls.count), 0) > 0 else { return }
        for (index, entry) in polls.enumerated() where entry.revents != 0 {
            let exchange = suspended[index].exchange
            exchange.abandon()
            resume(exchange)
        }
    }
}
