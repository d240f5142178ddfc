package import CyxCore

/// Header fields in the order in which they came; names are kept in lower case.
package struct HTTPHeaders: Sendable {
    package struct Field: Sendable, Equatable {
        /// In lower case.
        package var name: String
        package var value: String
    }

    package private(set) var fields: [Field] = []

    package init() {}

    package init(_ pairs: [(String, String)]) {
        for (name, value) in pairs { add(name, value) }
    }

    package mutating func add(_ name: String, _ value: String) {
        fields.append(Field(name: HTTPHeaders.lowercased(name), value: value))
    }

    /// Replaces what was there under that name.
    package mutating func set(_ name: String, _ value: String) {
        let name = HTTPHeaders.lowercased(name)
        fields.removeAll { $0.name == name }
        fields.append(Field(name: name, value: value))
    }

    /// The first field of that name, which must be in lower case.
    package subscript(name: String) -> String? {
        fields.first { $0.name == name }?.value
    }

    package func contains(_ name: String) -> Bool { self[name] != nil }

    /// ASCII only: header names have no other letters (RFC 9110 §5.1).
    static func lowercased(_ name: String) -> String {
        guard name.utf8.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) })
        else { return name }
        return String(
            decoding: name.utf8.map {
                (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0
            }, as: UTF8.self)
    }
}

/// The head of a request.
package struct HTTPRequest: Sendable {
    package var method: String
    /// Path and query exactly as they were sent: nothing is decoded or normalised.
    package var target: String
    package var headers: HTTPHeaders
    package var received: Instant
    /// Who is at the other end of the connection: a proxy, if there is one before us.
    package var remote: SocketAddress?
    /// Whether it came over TLS to this process; what a proxy spoke to its client is not known.
    package var isSecure = false
    package var scheme: String { isSecure ? "https" : "http" }

    package init(method: String, target: String, headers: HTTPHeaders, received: Instant) {
        self.method = method
        self.target = target
        self.headers = headers
        self.received = received
    }

    /// The declared length of the body: 0 without one, nil when it is chunked.
    package var contentLength: UInt64? {
        if headers.contains("transfer-encoding") { return nil }
        return headers["content-length"].flatMap { UInt64($0) } ?? 0
    }
}

/// What a handler answers.
package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// Exactly `length` bytes; fewer (or a throw) break the connection off. Nil: as many as come,
        /// chunked (RFC 9112 §7.1), of which a throw leaves the last chunk out.
        case stream(length: UInt64?, any ByteSource)
        /// No body, but the headers of one of that length: the answer to HEAD.
        case head(length: UInt64)
        /// The connection leaves HTTP (RFC 9110 §7.8), with status 101 and an `upgrade` header; it is
        /// closed when the body returns.
        case upgrade(@Sendable (HTTPSocket) async -> Void)
    }

    /// What became of a response.
    package struct Outcome: Sendable, Equatable {
        /// Whether the connection took all of it.
        package var isWhole: Bool
        /// Bytes of a streamed body that were given to the connection; of others, 0.
        package var streamedBytes: UInt64

        package init(isWhole: Bool, streamedBytes: UInt64) {
            self.isWhole = isWhole
            self.streamedBytes = streamedBytes
        }
    }

    package var status: Int
    package var headers: HTTPHeaders
    package var body: Body
    /// Called once when the request is over; never for one that leaves HTTP.
    package var whenOver: (@Sendable (Outcome) -> Void)?

    package init(status: Int, headers: HTTPHeaders = HTTPHeaders(), body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Why a request's body ended before its end, or a response could not be sent.
package enum HTTPBodyError: Error, Equatable, Sendable {
    /// The client closed the connection or its half of it, stalled, or the server is stopping.
    case connectionLost
}

/// Why a request is answered before any handler has seen it. The connection is closed then, since
/// what follows on it may be part of what was not understood.
package enum HTTPRefusal: Equatable, Sendable {
    /// The head is not what RFC 9112 wants, or two servers could read it in two ways.
    case malformed
    case headTooLarge
    /// A body, or a chunk of it, of more bytes than there are numbers for.
    case bodyTooLarge
    /// Not HTTP/1.1 or 1.0.
    case unknownVersion
    /// A transfer coding other than `chunked` alone (RFC 9112 §6.1).
    case unknownCoding

    package var status: Int {
        switch self {
        case .malformed: 400
        case .headTooLarge: 431
        case .bodyTooLarge: 413
        case .unknownVersion: 505
        case .unknownCoding: 501
        }
    }

    /// What an answer that the library makes by itself is about; nil: a fault of this program.
    init?(ofLibrary status: Int) {
        switch status {
        case 400: self = .malformed
        case 413: self = .bodyTooLarge
        case 414, 431: self = .headTooLarge
        case 501: self = .unknownCoding
        case 505: self = .unknownVersion
        default: return nil
        }
    }
}

/// Why a server could not be started.
package enum HTTPServerError: Error, Equatable, CustomStringConvertible {
    case addressInUse(port: UInt16)
    case cannotListen(port: UInt16, reason: String)
    case cannotStart

    package var description: String {
        switch self {
        case .addressInUse(let port):
            "TCP port \(port) is in use by another program; choose another port"
        case .cannotListen(let port, let reason):
            "cannot listen on TCP port \(port): \(reason)"
        case .cannotStart:
            "the HTTP server could not be started"
        }
    }
}

/// Bounds of one server.
package struct HTTPLimits: Sendable {
    /// Head and read buffer of one connection together.
    package var connectionMemoryBytes = 256 << 10
    package var connections: UInt32 = 1024
    /// Request line and header fields together.
    package var headBytes = 16 << 10
    /// From the connection's (or, when kept open, the request line's) first byte to the last of
    /// the head.
    package var headTime = Duration.seconds(10)
    /// How long a connection is kept open between requests, or while nothing can be sent.
    package var idleTime = Duration.seconds(75)
    /// Over each window, a body that is being waited for must bring at least so many bytes.
    package var bodyWindow = Duration.seconds(10)
    package var bodyWindowBytes = 10 << 10
    /// Body bytes that are held for the handler before the connection is paused.
    package var bodyBufferBytes = 512 << 10
    /// Response bytes that are held for the connection before the source is no longer pulled.
    package var responseBufferBytes = 256 << 10
    /// An unread body of up to this length is read and dropped, so that the client sees the answer;
    /// a longer one is cut off.
    package var drainBytes: UInt64 = 64 << 20
    package var listenBacklog: Int32 = 512

    package init() {}
}
