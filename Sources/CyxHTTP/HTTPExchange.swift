internal import CyxCore
internal import CyxHTTPShims

/// One request and its response. Owned by the server's actor and touched only there.
final class HTTPExchange {
    /// What has been seen of the request.
    enum Progress {
        /// The request line.
        case line
        /// The whole head; the handler decides whether it wants the body.
        case head
        /// Body bytes are coming.
        case body
        /// All of it; what is missing is the response.
        case complete
    }

    let id: UInt64
    let target: HTTPTarget
    let began: Instant
    var progress = Progress.line
    var request: HTTPRequest?
    /// Nil once the connection no longer serves this exchange.
    var connection: UnsafeMutableRawPointer?
    var isSuspended = false
    /// The connection failed, stalled or is being given up.
    var isGone = false
    /// The rest of the body is dropped as it comes.
    var isDraining = false
    var wantsBody = false

    // The body on its way in.
    var chunks: [[UInt8]] = []
    var bufferedBytes = 0
    var bodyReader: CheckedContinuation<Void, Never>?
    var windowStart = Instant(nanoseconds: 0)
    var windowBytes = 0

    // The response on its way out.
    var response: HTTPResponse?
    var isQueued = false
    var outgoing: [[UInt8]] = []
    var outgoingOffset = 0
    var outgoingBytes = 0
    var givenBytes: UInt64 = 0
    var sourceHasEnded = false
    /// Where the end is none that the client may take for one.
    var sourceHasFailed = false
    var bodyWriter: CheckedContinuation<Void, Never>?

    // A connection that left HTTP.
    var upgrade: HTTPUpgrade?
    var upgradeWaiter: CheckedContinuation<Void, Never>?

    var goneWaiter: CheckedContinuation<Void, Never>?
    var isFinished = false

    init(id: UInt64, target: HTTPTarget, began: Instant) {
        self.id = id
        self.target = target
        self.began = began
    }

    /// Chunks below this size are appended to the one before.
    private static let smallChunkBytes = 32 << 10

    func append(_ bytes: UnsafeRawBufferPointer) {
        bufferedBytes += bytes.count
        if let last = chunks.indices.last,
            chunks[last].count + bytes.count <= HTTPExchange.smallChunkBytes
        {
            chunks[last].append(contentsOf: bytes)
        } else {
            chunks.append([UInt8](bytes))
        }
    }

    func takeChunk() -> [UInt8]? {
        guard !chunks.isEmpty else { return nil }
        let chunk = chunks.removeFirst()
        bufferedBytes -= chunk.count
        return chunk
    }

    /// Copies what is there of the response; 0 if nothing is.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var filled = 0
        while filled < buffer.count, let chunk = outgoing.first {
            let count = min(buffer.count - filled, chunk.count - outgoingOffset)
            chunk.withUnsafeBytes { raw in
                UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: raw[outgoingOffset..<outgoingOffset + count]))
            }
            filled += count
            outgoingOffset += count
            if outgoingOffset == chunk.count {
                outgoing.removeFirst()
                outgoingOffset = 0
            }
        }
        outgoingBytes -= filled
        givenBytes += UInt64(filled)
        return filled
    }

    /// Tells whoever answered what became of it.
    func report(isWhole: Bool) {
        guard let response else { return }
        self.response?.whenOver = nil
        var isWhole = isWhole
        if case .stream(let length, _) = response.body {
            if sourceHasFailed || givenBytes < length ?? 0 { isWhole = false }
        }
        response.whenOver?(HTTPResponse.Outcome(isWhole: isWhole, streamedBytes: givenBytes))
    }

    func suspend() {
        guard let connection, !isSuspended else { return }
        isSuspended = true
        cyx_http_suspend(connection)
    }

    /// True if it was suspended; call it through `HTTPServer.resume`, which sees to the rest.
    func resume() -> Bool {
        guard let connection, isSuspended else { return false }
        isSuspended = false
        cyx_http_resume(connection)
        return true
    }

    /// Lets everything that waits on this exchange go on; what it then finds is `isGone`.
    func abandon() {
        isGone = true
        wakeReader()
        wakeWriter()
        wakeUpgrade()
        upgrade?.wake()
        wakeGoneWaiter()
    }

    func wakeReader() {
        let waiter = bodyReader
        bodyReader = nil
        waiter?.resume()
    }

    func wakeWriter() {
        let waiter = bodyWriter
        bodyWriter = nil
        waiter?.resume()
    }

    func wakeUpgrade() {
        let waiter = upgradeWaiter
        upgradeWaiter = nil
        waiter?.resume()
    }

    func wakeGoneWaiter() {
        let waiter = goneWaiter
        goneWaiter = nil
        waiter?.resume()
    }
}

/// The body of a request, pulled by its handler; the connection is paused while the handler is
/// slower than the client.
package struct HTTPRequestBody: ByteSource {
    let server: HTTPServer
    let exchange: UInt64

    /// The next bytes, or nil at the end; throws `HTTPBodyError.connectionLost`.
    package mutating func next() async throws -> [UInt8]? {
        try await server.nextBodyBytes(of: exchange)
    }
}
