internal import CCurl
internal import Synchronization

/// HTTP/1.1 over libcurl; each request blocks the thread that it is made on.
///
/// Connections are kept and used again. Thread-safe: a request takes an idle handle, or makes one,
/// and gives it back.
package final class HTTPClient: Sendable {
    /// The most that a response to memory, or the body of an error, may hold.
    package static let memoryLimit = 8 << 20
    /// Handles, each with its connections, that are kept for later.
    static let idleHandleLimit = 16
    static let connectTimeoutSeconds = 10
    /// A transfer that moves less than this …
    static let stallBytesPerSecond = 1
    /// … for so long is given up.
    static let stallSeconds = 60
    /// The curl buffers; larger ones save system calls on fast links.
    static let bufferBytes = 512 << 10

    /// Addresses of idle easy handles: a pointer is not Sendable, and each of these belongs to
    /// nobody until one thread takes it out under the lock.
    private let idle = Mutex<[UInt]>([])
    /// `curl_global_init` is not thread-safe; a static runs once.
    private static let isInitialized = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// A PEM file of the certificates to trust; nil: those that the system trusts.
    private let trusted: String?

    package init(trusted: String? = nil) {
        self.trusted = trusted
        precondition(Self.isInitialized, "libcurl does not start")
    }

    deinit {
        idle.withLock { handles in
            for address in handles {
                curl_easy_cleanup(UnsafeMutableRawPointer(bitPattern: address))
            }
            handles = []
        }
    }

    /// Sends the request and waits for all of the answer, whatever its status.
    ///
    /// Throws `NET-…` when there was no complete answer.
    package func perform(_ request: HTTPRequest) throws(ClientError) -> HTTPResponse {
        let handle = try takeHandle()
        let transfer = HTTPTransfer(handle: handle, request: request, trusted: trusted)
        let outcome = transfer.run()
        curl_easy_reset(handle)
        giveBack(handle)
        return try outcome.get()
    }

    private func takeHandle() throws(ClientError) -> UnsafeMutableRawPointer {
        let address = idle.withLock { $0.popLast() }
        if let address, let handle = UnsafeMutableRawPointer(bitPattern: address) { return handle }
        guard let handle = curl_easy_init() else {
            throw ClientError(code: "NET-00", message: "libcurl has no memory for a connection")
        }
        return handle
    }

    private func giveBack(_ handle: UnsafeMutableRawPointer) {
        let isKept = idle.withLock { handles in
            guard handles.count < Self.idleHandleLimit else { return false }
            handles.append(UInt(bitPattern: handle))
            return true
        }
        if !isKept { curl_easy_cleanup(handle) }
    }
}
