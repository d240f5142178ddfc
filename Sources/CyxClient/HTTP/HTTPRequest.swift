internal import Synchronization

/// One HTTP request of a client.
package struct HTTPRequest: Sendable {
    package var method: String
    package var url: String
    /// In the order in which they are sent; names in lower case.
    package var headers: [(name: String, value: String)] = []
    package var body = Body.none
    package var sink = Sink.memory
    /// Counts body bytes in both directions while they move.
    package var meter: TransferMeter?

    package init(method: String, url: String) {
        self.method = method
        self.url = url
    }

    /// Where the request's body comes from.
    package enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// `count` bytes at `offset` of an open file, read as they are sent.
        case file(OpenFile, offset: UInt64, count: UInt64)

        /// The length in bytes.
        package var count: UInt64 {
            switch self {
            case .none: 0
            case .bytes(let bytes): UInt64(bytes.count)
            case .file(_, _, let count): count
            }
        }
    }

    /// Where the body of a successful response goes; that of an error always goes to memory.
    package enum Sink: Sendable {
        /// At most `HTTPClient.memoryLimit` bytes.
        case memory
        /// Written at `offset` of an open file, at most `count` bytes.
        case file(OpenFile, offset: UInt64, count: UInt64)
        /// Written in order, as to a pipe.
        case stream(OpenFile)
    }
}

/// What came back.
package struct HTTPResponse: Sendable {
    package var status: Int
    /// Names in lower case; of a repeated header the last.
    package var headers: [String: String]
    /// The body, where it went to memory.
    package var body: [UInt8]
    /// Body bytes received, wherever they went.
    package var byteCount: UInt64

    package init(status: Int, headers: [String: String], body: [UInt8], byteCount: UInt64) {
        self.status = status
        self.headers = headers
        self.body = body
        self.byteCount = byteCount
    }

    package var isSuccess: Bool { (200..<300).contains(status) }
}

/// Bytes moved and bytes known to be safe, counted from any thread.
package final class TransferMeter: Sendable {
    private let moved = Atomic<UInt64>(0)
    private let safe = Atomic<UInt64>(0)

    package init() {}

    /// Bytes that went over the connection and are not to be sent again.
    package var movedBytes: UInt64 { moved.load(ordering: .relaxed) }
    /// Bytes that the other side has acknowledged as stored, or that are on this disk.
    package var safeBytes: UInt64 { safe.load(ordering: .relaxed) }

    package func move(_ count: UInt64) { moved.add(count, ordering: .relaxed) }
    /// Takes back what a failed attempt moved.
    package func takeBack(_ count: UInt64) { moved.subtract(count, ordering: .relaxed) }
    package func secure(_ count: UInt64) { safe.add(count, ordering: .relaxed) }
}
