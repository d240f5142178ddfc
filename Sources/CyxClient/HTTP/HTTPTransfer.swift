internal import CCurl
internal import CyxCore

/// One request on one handle: sets the options, feeds and drains libcurl through its callbacks, and
/// makes the response.
///
/// It lives on one thread for the length of `run`; libcurl holds an unretained pointer to it.
final class HTTPTransfer {
    private let handle: UnsafeMutableRawPointer
    private let request: HTTPRequest
    private let trusted: String?
    private var headers: [String: String] = [:]
    private var body: [UInt8] = []
    private var received: UInt64 = 0
    private var sent: UInt64 = 0
    private var failure: ClientError?

    init(handle: UnsafeMutableRawPointer, request: HTTPRequest, trusted: String?) {
        self.handle = handle
        self.trusted = trusted
        self.request = request
    }

    func run() -> Result<HTTPResponse, ClientError> {
        let context = Unmanaged.passUnretained(self).toOpaque()
        setOptions(context)
        var list: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(list) }
        for (name, value) in request.headers where name != "host" {
            // A header without a value needs a semicolon, or libcurl removes it.
            list = curl_slist_append(list, value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        // libcurl would wait a second for "100 Continue" and would claim a form.
        list = curl_slist_append(list, "Expect:")
        list = curl_slist_append(list, "Content-Type:")
        _ = cyx_curl_set_list(handle, CURLOPT_HTTPHEADER, list)
        let code = withExtendedLifetime(self) { curl_easy_perform(handle) }
        if let failure {
            takeBack()
            return .failure(failure)
        }
        guard code == CURLE_OK else {
            takeBack()
            return .failure(networkError(code))
        }
        let status = cyx_curl_status(handle)
        let response = HTTPResponse(
            status: status, headers: headers, body: body, byteCount: received)
        if !response.isSuccess { takeBack() }
        return .success(response)
    }

    private func setOptions(_ context: UnsafeMutableRawPointer) {
        func set(_ option: CURLoption, _ value: Int) {
            _ = cyx_curl_set_long(handle, option, value)
        }
        _ = cyx_curl_set_string(handle, CURLOPT_URL, request.url)
        _ = cyx_curl_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        _ = cyx_curl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        if let trusted { _ = cyx_curl_set_string(handle, CURLOPT_CAINFO, trusted) }
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_PATH_AS_IS, 1)
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        set(CURLOPT_CONNECTTIMEOUT, HTTPClient.connectTimeoutSeconds)
        set(CURLOPT_LOW_SPEED_LIMIT, HTTPClient.stallBytesPerSecond)
        set(CURLOPT_LOW_SPEED_TIME, HTTPClient.stallSeconds)
        set(CURLOPT_BUFFERSIZE, HTTPClient.bufferBytes)
        set(CURLOPT_UPLOAD_BUFFERSIZE, HTTPClient.bufferBytes)
        if request.method == "HEAD" { set(CURLOPT_NOBODY, 1) }
        switch request.body {
        case .none where request.method != "PUT" && request.method != "POST": break
        case .none, .bytes, .file:
            set(CURLOPT_UPLOAD, 1)
            _ = cyx_curl_set_size(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(request.body.count))
        }
        _ = cyx_curl_on_body(handle, receiveBody, context)
        _ = cyx_curl_on_header(handle, receiveHeader, context)
        _ = cyx_curl_on_read(handle, sendBody, context)
        _ = cyx_curl_on_seek(handle, seekBody, context)
    }

    /// Bytes of a failed attempt will move again.
    private func takeBack() {
        request.meter?.takeBack(sent + meteredBytes)
    }

    private var meteredBytes: UInt64 = 0

    private func networkError(_ code: CURLcode) -> ClientError {
        let words = String(cString: curl_easy_strerror(code))
        let host = request.url.split(separator: "/").dropFirst().first.map(String.init) ?? ""
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST:
            return ClientError(
                code: "NET-03", message: "no address is known for \(host)", cause: words,
                remedy: "check --gateway")
        case CURLE_COULDNT_CONNECT:
            return ClientError(
                code: "NET-02", message: "nothing answers at \(host)", cause: words,
                remedy: "start the gateway, or name it with --gateway URL", isTransient: true)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE:
            return ClientError(
                code: "NET-10", message: "the certificate of \(host) is not trusted", cause: words,
                remedy: "AWS_CA_BUNDLE=FILE names a PEM file of certificates to trust")
        case CURLE_SSL_CONNECT_ERROR:
            return ClientError(
                code: "NET-11", message: "\(host) does not speak TLS", cause: words,
                remedy: "check --gateway: http:// or https://")
        case CURLE_UNSUPPORTED_PROTOCOL:
            return ClientError(
                code: "NET-09", message: "\(host) does not speak HTTP", cause: words,
                remedy: "check --gateway: the UDP port of peers is another one")
        case CURLE_URL_MALFORMAT:
            return ClientError(
                code: "NET-04", message: "\(request.url) is no http or https address",
                remedy: "--gateway http://127.0.0.1:9000")
        default:
            return ClientError(
                code: "NET-06", message: "\(request.method) \(request.url) broke off",
                cause: words, remedy: "run it again: what was stored is kept", isTransient: true)
        }
    }

    // MARK: Callbacks

    fileprivate func header(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard headers.count < 256 else { return 0 }
        let line = String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            headers = [:]
            return bytes.count
        }
        guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return bytes.count }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        let end = value.lastIndex { !$0.isWhitespace }
        headers[line[..<colon].lowercased()] = end.map { String(value[...$0]) } ?? ""
        return bytes.count
    }

    fileprivate func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        let status = cyx_curl_status(handle)
        let sink = (200..<300).contains(status) ? request.sink : .memory
        var isWritten = true
        switch sink {
        case .memory:
            guard body.count + bytes.count <= HTTPClient.memoryLimit else {
                failure = ClientError(
                    code: "NET-07", message: "the answer to \(request.url) is too long")
                return 0
            }
            body.append(contentsOf: bytes)
            received += UInt64(bytes.count)
            return bytes.count
        case .file(let file, let offset, let count):
            guard received + UInt64(bytes.count) <= count else {
                failure = ClientError(
                    code: "NET-08", message: "more bytes came than \(request.url) was asked for",
                    isTransient: true)
                return 0
            }
            isWritten = file.write(bytes, at: offset + received)
            if !isWritten { failure = .file("write", file.path, errno: currentErrno()) }
        case .stream(let file):
            isWritten = file.write(bytes, at: nil)
            if !isWritten { failure = .file("write", file.path, errno: currentErrno()) }
        }
        guard isWritten else { return 0 }
        received += UInt64(bytes.count)
        meteredBytes += UInt64(bytes.count)
        request.meter?.move(UInt64(bytes.count))
        return bytes.count
    }

    fileprivate func send(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count: Int
        switch request.body {
        case .none: return 0
        case .bytes(let bytes):
            let piece = bytes[Int(sent)...].prefix(buffer.count)
            buffer.copyBytes(from: piece)
            count = piece.count
        case .file(let file, let offset, let total):
            let wanted = Int(min(total - sent, UInt64(buffer.count)))
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
            guard let read = file.read(into: room, at: offset + sent) else {
                failure = .file("read", file.path, errno: currentErrno())
                return Int(CURL_READFUNC_ABORT)
            }
            guard read > 0 || wanted == 0 else {
                failure = ClientError(
                    code: "FILE-03", message: "\(file.path) became shorter while it was sent",
                    remedy: "run it again when the file is complete")
                return Int(CURL_READFUNC_ABORT)
            }
            count = read
        }
        sent += UInt64(count)
        request.meter?.move(UInt64(count))
        return count
    }

    fileprivate func seek(to offset: UInt64) {
        request.meter?.takeBack(sent)
        sent = offset
        request.meter?.move(sent)
    }
}

private func transfer(_ context: UnsafeMutableRawPointer?) -> HTTPTransfer {
    guard let context else { preconditionFailure("every callback was given its transfer") }
    return Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
}

private func receiveHeader(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int,
    _ context: UnsafeMutableRawPointer?
) -> Int {
    transfer(context).header(UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func receiveBody(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int,
    _ context: UnsafeMutableRawPointer?
) -> Int {
    transfer(context).receive(UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func sendBody(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int,
    _ context: UnsafeMutableRawPointer?
) -> Int {
    transfer(context).send(into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
}

private func seekBody(
    _ context: UnsafeMutableRawPointer?, _ offset: curl_off_t, _ origin: Int32
) -> Int32 {
    guard origin == 0, offset >= 0 else { return Int32(CURL_SEEKFUNC_CANTSEEK) }
    transfer(context).seek(to: UInt64(offset))
    return Int32(CURL_SEEKFUNC_OK)
}
