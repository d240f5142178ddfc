internal import CyxHTTPShims

/// The target of a request as it was sent.
struct HTTPTarget {
    /// Damaged where it was not UTF-8; `isAllowed` is false then.
    let text: String
    let byteCount: Int
    /// UTF-8 without controls and spaces (RFC 9112 §3.2 wants ASCII; older clients leave letters of
    /// other alphabets unescaped).
    let isAllowed: Bool

    init(_ bytes: UnsafeRawBufferPointer) {
        byteCount = bytes.count
        let valid = String(validating: bytes, as: UTF8.self)
        text = valid ?? String(decoding: bytes, as: UTF8.self)
        isAllowed = valid != nil && bytes.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }
}

/// The head that the library has just parsed, where it has it: only valid inside its callback.
struct HTTPHead {
    let connection: UnsafeMutableRawPointer
    let method: UnsafePointer<CChar>
    let version: UnsafePointer<CChar>

    /// Whether every other server reads the head as the library did.
    func isPlain(_ target: HTTPTarget) -> Bool {
        target.isAllowed
            && cyx_http_head_is_plain(connection, method, target.byteCount, version) != 0
    }

    func headers() -> HTTPHeaders {
        var headers = HTTPHeaders()
        withUnsafeMutablePointer(to: &headers) { headers in
            cyx_http_each_header(connection, headers) {
                context, name, nameCount, value, valueCount in
                guard let context else { return }
                let nameBytes = UnsafeRawBufferPointer(start: name, count: nameCount)
                let valueBytes = UnsafeRawBufferPointer(start: value, count: valueCount)
                context.assumingMemoryBound(to: HTTPHeaders.self).pointee.add(
                    String(decoding: nameBytes, as: UTF8.self),
                    String(decoding: HTTPHead.trimmed(valueBytes), as: UTF8.self))
            }
        }
        return headers
    }

    /// Space behind a value is no part of it (RFC 9112 §5.1); the library has left out what is before.
    private static func trimmed(_ value: UnsafeRawBufferPointer) -> Slice<UnsafeRawBufferPointer> {
        let last = value.lastIndex { $0 != 0x20 && $0 != 0x09 }
        return value[..<(last.map { $0 + 1 } ?? 0)]
    }
}

extension HTTPServer {
    func receiveHead(_ exchange: HTTPExchange, _ head: HTTPHead) -> Bool {
        let connection = head.connection
        if cyx_http_head_bytes(connection) > limits.headBytes {
            return refuse(exchange, on: connection, .headTooLarge)
        }
        let headers = head.headers()
        guard head.isPlain(exchange.target), HTTPServer.hasOneLength(headers),
            HTTPServer.hasOneHost(headers)
        else { return refuse(exchange, on: connection, .malformed) }
        if let coding = headers["transfer-encoding"], coding.lowercased() != "chunked" {
            return refuse(exchange, on: connection, .unknownCoding)
        }
        var request = HTTPRequest(
            method: String(cString: head.method), target: exchange.target.text, headers: headers,
            received: exchange.began)
        request.remote = connections[connection]?.remote
        request.isSecure = identity != nil
        exchange.request = request
        // Without a body the library calls again at once, and only then keeps the connection open.
        let hasBody = request.contentLength != 0
        exchange.progress = hasBody ? .head : .body
        if hasBody { exchange.suspend() }
        arrived.yield(exchange.id)
        return true
    }

    /// A proxy before us might take another of several lengths for the true one (RFC 9112 §6.3).
    private static func hasOneLength(_ headers: HTTPHeaders) -> Bool {
        let names = ["content-length", "transfer-encoding"]
        return headers.fields.count(where: { names.contains($0.name) }) <= 1
    }

    /// RFC 9112 §3.2; that there is one at all is the library's to see. What may be in it is RFC 3986
    /// §3.2.2.
    private static func hasOneHost(_ headers: HTTPHeaders) -> Bool {
        let hosts = headers.fields.filter { $0.name == "host" }
        return hosts.count <= 1
            && hosts.allSatisfy { host in
                host.value.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"),
                        UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"):
                        true
                    default: "-._~!$&'()*+,;=:[]%".utf8.contains(byte)
                    }
                }
            }
    }

    /// Answers before there is a request for the handler, and closes the connection.
    private func refuse(
        _ exchange: HTTPExchange, on connection: UnsafeMutableRawPointer, _ refusal: HTTPRefusal
    ) -> Bool {
        exchange.response = refused(refusal)
        exchange.progress = .complete
        return queue(exchange, on: connection)
    }
}
