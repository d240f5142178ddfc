internal import CyxCore
internal import CyxHTTPShims

// The library calls these inside `cyx_http_run`, so on the server's actor. `context` is the server,
// `request` the retained exchange. The pointers are marked unsafe only to pass them into
// `assumeIsolated`, which runs its body at once, on the same thread.

private func owner(_ context: UnsafeMutableRawPointer?) -> HTTPServer? {
    context.map { Unmanaged<HTTPServer>.fromOpaque($0).takeUnretainedValue() }
}

private func exchange(_ request: UnsafeMutableRawPointer?) -> HTTPExchange? {
    request.map { Unmanaged<HTTPExchange>.fromOpaque($0).takeUnretainedValue() }
}

func httpCallbacks(_ server: HTTPServer) -> cyx_http_callbacks {
    cyx_http_callbacks(
        context: Unmanaged.passUnretained(server).toOpaque(), begin: onBegin, handle: onHandle,
        end: onEnd, unreadable: onUnreadable, opened: onOpened, closed: onClosed,
        upgraded: onUpgraded)
}

private func onBegin(
    context: UnsafeMutableRawPointer?, target: UnsafePointer<CChar>?, count: Int,
    connection: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
    guard let server = owner(context), let target else { return nil }
    let bytes = HTTPTarget(UnsafeRawBufferPointer(start: target, count: count))
    nonisolated(unsafe) let connection = connection
    let exchange = server.assumeIsolated { UInt(bitPattern: $0.begin(bytes, on: connection)) }
    return UnsafeMutableRawPointer(bitPattern: exchange)
}

private func onHandle(
    context: UnsafeMutableRawPointer?, connection: UnsafeMutableRawPointer?,
    method: UnsafePointer<CChar>?, version: UnsafePointer<CChar>?, bytes: UnsafePointer<CChar>?,
    count: UnsafeMutablePointer<Int>?, request: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> Int32 {
    guard let server = owner(context), let found = exchange(request?.pointee), let count else {
        return 0
    }
    nonisolated(unsafe) let current = found
    guard let bytes else {
        guard let connection, let method, let version else { return 0 }
        nonisolated(unsafe) let head = HTTPHead(
            connection: connection, method: method, version: version)
        return server.assumeIsolated { $0.advance(current, head) } ? 1 : 0
    }
    nonisolated(unsafe) let body = UnsafeRawBufferPointer(start: bytes, count: count.pointee)
    guard let rest = server.assumeIsolated({ $0.receive(body, on: current) }) else { return 0 }
    count.pointee = rest
    return 1
}

private func onEnd(
    context: UnsafeMutableRawPointer?, connection: UnsafeMutableRawPointer?,
    request: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, how: Int32
) {
    guard let server = owner(context), let request, let pointer = request.pointee else { return }
    request.pointee = nil
    nonisolated(unsafe) let exchange = Unmanaged<HTTPExchange>.fromOpaque(pointer)
        .takeRetainedValue()
    nonisolated(unsafe) let connection = connection
    server.assumeIsolated { $0.end(exchange, on: connection, how) }
}

private func onUnreadable(
    context: UnsafeMutableRawPointer?, connection: UnsafeMutableRawPointer?, status: UInt32
) -> Int32 {
    guard let server = owner(context), let connection else { return 0 }
    nonisolated(unsafe) let unread = connection
    return server.assumeIsolated { $0.answerUnreadable(on: unread, status) } ? 1 : 0
}

private func onOpened(
    context: UnsafeMutableRawPointer?, connection: UnsafeMutableRawPointer?, descriptor: Int32
) {
    guard let server = owner(context), let connection else { return }
    nonisolated(unsafe) let opened = connection
    server.assumeIsolated { $0.opened(opened, descriptor) }
}

private func onClosed(
    context: UnsafeMutableRawPointer?, connection: UnsafeMutableRawPointer?
) {
    guard let server = owner(context), let connection else { return }
    nonisolated(unsafe) let closed = connection
    server.assumeIsolated {
        $0.connections[closed] = nil
        $0.listenOn()
    }
}

private func onUpgraded(
    context: UnsafeMutableRawPointer?, request: UnsafeMutableRawPointer?,
    early: UnsafePointer<UInt8>?, count: Int, descriptor: Int32, handle: UnsafeMutableRawPointer?
) {
    guard let server = owner(context), let found = exchange(request), let handle else { return }
    let bytes = Array(UnsafeBufferPointer(start: early, count: count))
    nonisolated(unsafe) let current = found
    nonisolated(unsafe) let lent = handle
    server.assumeIsolated {
        $0.upgraded(current, HTTPUpgrade(descriptor: descriptor, handle: lent, early: bytes))
    }
}

extension HTTPServer {
    func opened(_ connection: UnsafeMutableRawPointer, _ descriptor: Int32) {
        connections[connection] = HTTPConnection(
            native: connection, descriptor: descriptor, remote: HTTPServer.remote(of: descriptor),
            idleSince: environment.now())
    }

    /// The address at the other end of a connection (getpeername(2)).
    private static func remote(of descriptor: Int32) -> SocketAddress? {
        var ip: (UInt64, UInt64) = (0, 0)
        var port: UInt16 = 0
        let found = withUnsafeMutableBytes(of: &ip) { bytes in
            cyx_http_remote(
                descriptor, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), &port)
        }
        guard found != 0 else { return nil }
        let value = UInt128(UInt64(bigEndian: ip.0)) << 64 | UInt128(UInt64(bigEndian: ip.1))
        return SocketAddress(ip: value, port: port)
    }

    /// A request line came in. Returns the exchange, retained.
    func begin(
        _ target: HTTPTarget, on connection: UnsafeMutableRawPointer?
    ) -> UnsafeMutableRawPointer {
        lastExchange += 1
        let exchange = HTTPExchange(id: lastExchange, target: target, began: environment.now())
        exchange.connection = connection
        exchanges[exchange.id] = exchange
        if let connection { connections[connection]?.exchange = exchange }
        return Unmanaged.passRetained(exchange).toOpaque()
    }

    /// The head is complete, the connection was resumed, or the body has ended. False drops the
    /// connection.
    func advance(_ exchange: HTTPExchange, _ head: HTTPHead) -> Bool {
        guard !exchange.isGone, !isStopping else { return false }
        let connection = head.connection
        switch exchange.progress {
        case .line:
            return receiveHead(exchange, head)
        case .head:
            if exchange.response != nil {
                if refusesBody(exchange) { return queue(exchange, on: connection) }
            } else if !exchange.wantsBody {
                exchange.suspend()
                return true
            }
            exchange.progress = .body
            exchange.windowStart = environment.now()
            return true
        case .body:
            exchange.progress = .complete
            exchange.wakeReader()
        case .complete: break
        }
        if exchange.response != nil { return queue(exchange, on: connection) }
        exchange.suspend()
        return true
    }

    /// Whether to answer without reading the body, which closes the connection.
    private func refusesBody(_ exchange: HTTPExchange) -> Bool {
        guard let request = exchange.request else { return true }
        return request.headers.contains("expect")
            || (request.contentLength ?? limits.drainBytes) >= limits.drainBytes
    }

    /// Takes body bytes; returns how many it left for later, nil to drop the connection.
    func receive(_ bytes: UnsafeRawBufferPointer, on exchange: HTTPExchange) -> Int? {
        guard !exchange.isGone else { return nil }
        if exchange.isDraining {
            exchange.windowBytes += bytes.count
            return 0
        }
        guard exchange.bufferedBytes < limits.bodyBufferBytes else {
            exchange.suspend()
            return bytes.count
        }
        exchange.windowBytes += bytes.count
        exchange.append(bytes)
        exchange.wakeReader()
        return 0
    }

    func end(
        _ exchange: HTTPExchange, on connection: UnsafeMutableRawPointer?, _ how: Int32
    ) {
        var isWhole = how == Int32(CYX_HTTP_ANSWERED)
        if how == Int32(CYX_HTTP_HALF_CLOSED), let connection {
            isWhole = answerHalfClosed(exchange, on: connection)
        }
        exchange.report(isWhole: isWhole)
        exchange.connection = nil
        exchange.isSuspended = false
        if let connection {
            connections[connection]?.exchange = nil
            connections[connection]?.idleSince = environment.now()
            connections[connection]?.hasServed = true
        }
        // A handler that still runs after a complete response only finishes; any other is cancelled.
        exchange.abandon()
        if exchange.isFinished || exchange.request == nil { exchanges[exchange.id] = nil }
    }

    func queue(_ exchange: HTTPExchange, on connection: UnsafeMutableRawPointer) -> Bool {
        guard let response = exchange.response, let native = makeResponse(response, exchange) else {
            return false
        }
        for field in response.headers.fields where field.name != "content-length" {
            // The library refuses control characters; such a header is left out.
            _ = cyx_http_response_header(native, field.name, field.value)
        }
        if let request = exchange.request, !request.isSecure,
            request.headers.contains("transfer-encoding")
        {
            // The library takes a bare LF for the end of a chunk's first line, where a proxy may take
            // it for a part of an extension (RFC 9112 §7.1.1): they would not agree on where this body
            // ends, and what follows it is not to be read. Under TLS, where SDKs frame every upload
            // so, a connection is one client's own.
            _ = cyx_http_response_header(native, "connection", "close")
        }
        exchange.isQueued = true
        return cyx_http_respond(connection, UInt32(response.status), native) != 0
    }

    private func makeResponse(
        _ response: HTTPResponse, _ exchange: HTTPExchange
    ) -> UnsafeMutableRawPointer? {
        let length: UInt64
        switch response.body {
        case .bytes(let bytes):
            return bytes.withUnsafeBytes { cyx_http_response_bytes($0.baseAddress, $0.count) }
        case .head(let declared): length = declared
        case .stream(let declared, _): length = declared ?? HTTPServer.unknownLength
        case .upgrade: return daemon.map { cyx_http_response_upgrade($0) } ?? nil
        }
        guard length > 0 else { return cyx_http_response_bytes(nil, 0) }
        return cyx_http_response_stream(
            length, HTTPServer.responseBlockBytes, readResponse,
            Unmanaged.passRetained(exchange).toOpaque()
        ) { context in
            if let context { Unmanaged<HTTPExchange>.fromOpaque(context).release() }
        }
    }

    /// `MHD_SIZE_UNKNOWN`.
    private static let unknownLength = UInt64.max

    /// What the library holds of a streamed response at a time.
    static let responseBlockBytes = 128 << 10
}

/// `MHD_CONTENT_READER_END_OF_STREAM` and `…_END_WITH_ERROR`.
private let endOfStream = -1
private let endWithError = -2

/// Only exchange state is touched, on the server's actor like every other callback.
private func readResponse(
    context: UnsafeMutableRawPointer?, offset: UInt64, buffer: UnsafeMutablePointer<CChar>?,
    capacity: Int
) -> Int {
    guard let exchange = exchange(context), let buffer, !exchange.isGone else {
        return endWithError
    }
    let count = exchange.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
    if count > 0 {
        exchange.wakeWriter()
        return count
    }
    if exchange.sourceHasEnded { return exchange.sourceHasFailed ? endWithError : endOfStream }
    exchange.suspend()
    return 0
}
