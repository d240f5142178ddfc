internal import CyxCore
internal import CyxHTTPShims

extension HTTPServer {
    /// Answers a client that closed its half of the connection in the middle of a body: what the
    /// handler said already, or else `incompleteBody`.
    ///
    /// libmicrohttpd takes that for the end of the connection and queues no response any more. But
    /// it tells so before it closes our half (0.9.75; older versions close first, and then nothing
    /// is sent), so that an answer can be written to the socket beside it. The bytes are
    /// few and the socket's buffer is empty, since nothing was answered on this request yet: what
    /// does not fit at once is left out. Returns whether the client has the answer.
    func answerHalfClosed(
        _ exchange: HTTPExchange, on connection: UnsafeMutableRawPointer
    ) -> Bool {
        guard let request = exchange.request, let descriptor = connections[connection]?.descriptor,
            exchange.progress == .head || exchange.progress == .body, !exchange.isQueued
        else { return false }
        let response = exchange.response ?? incompleteBody(request)
        exchange.response = response
        return write(response, beside: connection, descriptor)
    }

    /// Answers what the library could not read, beside it as well, and in the words of who is served
    /// here; it then closes the connection. False leaves the answer to the library.
    func answerUnreadable(on connection: UnsafeMutableRawPointer, _ status: UInt32) -> Bool {
        guard let known = connections[connection], known.exchange?.isQueued != true,
            let refusal = HTTPRefusal(ofLibrary: Int(status))
        else { return false }
        return write(refused(refusal), beside: connection, known.descriptor)
    }

    private func write(
        _ response: HTTPResponse, beside connection: UnsafeMutableRawPointer, _ descriptor: Int32
    ) -> Bool {
        guard case .bytes(let body) = response.body else { return false }
        let bytes = HTTPServer.serialized(response, body)
        let sent = cyx_http_write_beside(connection, descriptor, bytes, bytes.count)
        if sent != bytes.count {
            environment.logger.debug("an answer beside the library did not go out")
        }
        return sent == bytes.count
    }

    private static func serialized(_ response: HTTPResponse, _ body: [UInt8]) -> [UInt8] {
        // The reason may be empty (RFC 9112 §4); the code says it all.
        var head = "HTTP/1.1 \(response.status) \r\n"
        // As from the library, a header with control characters is left out.
        for field in response.headers.fields
        where field.name != "content-length" && field.value.utf8.allSatisfy({ $0 >= 0x20 }) {
            head += "\(field.name): \(field.value)\r\n"
        }
        head += "content-length: \(body.count)\r\nconnection: close\r\n\r\n"
        return Array(head.utf8) + body
    }
}
