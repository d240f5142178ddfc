internal import CyxCore
internal import CyxHTTPShims
internal import Glibc

/// A connection that the library does not know yet.
struct HTTPNewcomer {
    let watch: WatchID
    let since: Instant
    /// How many bytes may still be dropped of who was answered already; nil before that.
    var dropped: Int?
}

// Connections are taken here, not by the library: what their first byte is says whether they speak
// what this port speaks. Who speaks TLS to a plain port, or the reverse, would else see nothing but a
// connection that breaks off.
extension HTTPServer {
    /// Connections that are taken before other work of the reactor gets its turn.
    private static let acceptsPerWake = 64
    /// What is read and dropped of who is told off, so that the answer is not lost: a connection that
    /// is closed with bytes unread is reset (RFC 9112 §9.6).
    private static let droppedBytesMax = 256 << 10
    /// For how long.
    static let farewellTime = Duration.seconds(2)
    /// The type of records that a TLS connection begins with (RFC 8446 §5.1). No request line does.
    private static let handshakeRecord: Int32 = 22

    /// Listens to the listening socket, unless there are as many connections as there may be: then
    /// others wait in its backlog.
    func listenOn() {
        guard listenerWatch == nil, !isStopping, hasRoom else { return }
        do {
            listenerWatch = try reactor.watch(listener, for: .readable) { [weak self] _ in
                self?.assumeIsolated { $0.acceptSome() }
            }
        } catch {
            environment.logger.error("cannot listen", [("error", "\(error)")])
        }
    }

    func listenOff() {
        if let listenerWatch { reactor.unwatch(listenerWatch) }
        listenerWatch = nil
    }

    private var hasRoom: Bool {
        connections.count + newcomers.count < Int(limits.connections)
    }

    private func acceptSome() {
        for _ in 0..<HTTPServer.acceptsPerWake {
            guard hasRoom else { return listenOff() }
            let descriptor = cyx_http_accept(listener)
            guard descriptor >= 0 else {
                // Without descriptors the listener stays readable: the next sweep tries again.
                if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(-descriptor) { listenOff() }
                break
            }
            welcome(descriptor)
        }
        drive()
    }

    /// Hands a connection on as soon as its first byte is there.
    private func welcome(_ descriptor: Int32) {
        let byte = cyx_http_first_byte(descriptor)
        if byte >= 0, isFitting(byte) { return handOver(descriptor) }
        guard byte != CYX_HTTP_ENDED else {
            close(descriptor)
            return
        }
        do {
            let watch = try reactor.watch(descriptor, for: .readable) { [weak self] _ in
                self?.assumeIsolated { $0.hear(descriptor) }
            }
            newcomers[descriptor] = HTTPNewcomer(watch: watch, since: environment.now())
        } catch {
            environment.logger.warning("a connection is dropped", [("error", "\(error)")])
            close(descriptor)
        }
    }

    private func isFitting(_ byte: Int32) -> Bool {
        (byte == HTTPServer.handshakeRecord) == (identity != nil)
    }

    private func hear(_ descriptor: Int32) {
        guard let newcomer = newcomers[descriptor] else { return }
        guard newcomer.dropped == nil else { return drop(descriptor) }
        let byte = cyx_http_first_byte(descriptor)
        switch byte {
        case CYX_HTTP_SILENT: return
        case CYX_HTTP_ENDED: return forget(descriptor)
        default: break
        }
        guard isFitting(byte) else { return tellOff(descriptor) }
        reactor.unwatch(newcomer.watch)
        newcomers[descriptor] = nil
        handOver(descriptor)
        drive()
    }

    private func handOver(_ descriptor: Int32) {
        guard let daemon, !isStopping else {
            close(descriptor)
            return
        }
        if cyx_http_add(daemon, descriptor) == 0 {
            environment.logger.debug("the library did not take a connection")
        }
    }

    // MARK: Who speaks something else

    private func tellOff(_ descriptor: Int32) {
        let words =
            identity == nil
            ? "this port speaks plain HTTP; use http:// or set a certificate\n"
            : "this port speaks TLS; use https://\n"
        let answer = Array(
            ("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n"
                + "content-length: \(words.utf8.count)\r\nconnection: close\r\n\r\n" + words).utf8)
        // Few bytes into an empty socket: they fit, or nobody is there.
        let sent = send(descriptor, answer, answer.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        guard sent == answer.count else { return forget(descriptor) }
        environment.metrics.counter("cyxcloud_http_other_protocol_total").add()
        shutdown(descriptor, Int32(SHUT_WR))
        newcomers[descriptor]?.dropped = 0
        drop(descriptor)
    }

    private func drop(_ descriptor: Int32) {
        var piece = [UInt8](repeating: 0, count: 16 << 10)
        while let dropped = newcomers[descriptor]?.dropped {
            let count = recv(descriptor, &piece, piece.count, Int32(MSG_DONTWAIT))
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            guard count > 0, dropped < HTTPServer.droppedBytesMax else { return forget(descriptor) }
            newcomers[descriptor]?.dropped = dropped + count
        }
    }

    private func forget(_ descriptor: Int32) {
        guard let newcomer = newcomers.removeValue(forKey: descriptor) else { return }
        reactor.unwatch(newcomer.watch)
        close(descriptor)
        listenOn()
    }

    /// Closes those that say nothing, or whose answer has had its time.
    func sweepNewcomers(_ now: Instant) {
        for (descriptor, newcomer) in newcomers {
            let limit = newcomer.dropped == nil ? limits.headTime : HTTPServer.farewellTime
            if now - newcomer.since > limit { forget(descriptor) }
        }
        listenOn()
    }

    func forgetNewcomers() {
        listenOff()
        for descriptor in newcomers.keys { forget(descriptor) }
        listenOff()
    }
}
