internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP

/// The opening handshake of a WebSocket connection (RFC 6455 §4.2).
enum WebSocketHandshake {
    private static let version = "13"
    /// RFC 6455 §1.3.
    private static let identifier = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    private static let keyBytes = 16

    /// What proves that the server understood (RFC 6455 §4.2.2).
    static func accept(_ key: String) -> String {
        var hash = SHA1()
        Array((key + identifier).utf8).withUnsafeBytes { hash.update($0) }
        return Base64.encode(hash.finalize())
    }

    /// The head of the answer; throws what a request is told that is no such handshake.
    static func answer(
        _ request: HTTPRequest, origins: Set<String>
    ) throws(RESTError) -> HTTPHeaders {
        let headers = request.headers
        guard has("websocket", in: headers["upgrade"]), has("upgrade", in: headers["connection"])
        else {
            var error = RESTError(
                "UpgradeRequired", 426, "Events are told over WebSocket",
                advice: "open ws:// or wss:// instead of http:// or https://")
            error.headers = ["upgrade": "websocket"]
            throw error
        }
        guard headers["sec-websocket-version"] == version else {
            var error = RESTError(
                "InvalidArgument", 426, "Only version \(version) of WebSocket is spoken")
            error.headers = ["sec-websocket-version": version]
            throw error
        }
        guard let key = headers["sec-websocket-key"], Base64.decode(key)?.count == keyBytes else {
            throw .invalid("`Sec-WebSocket-Key` is no \(keyBytes) bytes in base 64")
        }
        // A browser tells whose page opens the connection (RFC 6455 §10.2): another site's page must
        // not listen with what its visitor may.
        if let origin = headers["origin"] {
            let host = origin.split(separator: "/", omittingEmptySubsequences: true).last
            let isOwn = host.map(String.init) == headers["host"]
            guard isOwn || origins.contains(origin) else {
                throw .denied(
                    "Pages of \(origin) may not listen",
                    advice: "the gateway's operator allows them with --event-origins")
            }
        }
        return HTTPHeaders([
            ("upgrade", "websocket"), ("sec-websocket-accept", accept(key)),
        ])
    }

    private static func has(_ token: String, in list: String?) -> Bool {
        (list ?? "").split(separator: ",").contains { item in
            let word = item.drop { $0 == " " || $0 == "\t" }
            return word.prefix { $0 != " " && $0 != "\t" }.lowercased() == token
        }
    }
}
