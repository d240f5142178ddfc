import CyxClient
import CyxCore
import Foundation
import Synchronization
import Testing

/// A server on loopback that gives each connection the next of its answers, byte for byte, and
/// remembers the requests.
final class ScriptedServer: Sendable {
    let url: String
    private let descriptor: Int32
    private let pool: ThreadPool
    private let requests = Mutex<[[UInt8]]>([])

    init(_ answers: [String], pool: ThreadPool) throws {
        self.pool = pool
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &name) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard bind(descriptor, address, length) == 0, listen(descriptor, 16) == 0,
                    getsockname(descriptor, address, &length) == 0
                else { return UInt16(0) }
                return UInt16(bigEndian: pointer.pointee.sin_port)
            }
        }
        url = "http://127.0.0.1:\(port)"
        pool.submit { [self] in
            for answer in answers { serve(answer) }
            close(descriptor)
        }
    }

    /// An answer after which the server closes the connection.
    static func answer(_ status: String, _ body: String = "", headers: String = "") -> String {
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(headers)"
            + "Connection: close\r\n\r\n\(body)"
    }

    /// A client that signs at the time of AWS's test suite.
    func client() throws -> S3Client {
        S3Client(
            endpoint: try #require(Endpoint(url)),
            credentials: Credentials(accessKey: "demo", secretKey: "secret"), region: "auto",
            http: HTTPClient(), pool: pool, wallTime: { WallTime(milliseconds: 1_440_938_160_000) })
    }

    /// The requests so far, head and body.
    var seen: [[UInt8]] { requests.withLock { $0 } }
    /// The same as text.
    var seenText: [String] { seen.map { String(decoding: $0, as: UTF8.self) } }

    private func serve(_ answer: String) {
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else { return }
        defer { close(connection) }
        var request: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while !isComplete(request) {
            let count = read(connection, &buffer, buffer.count)
            guard count > 0 else { break }
            request += buffer[..<count]
        }
        requests.withLock { $0.append(request) }
        let bytes = Array(answer.utf8)
        _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private func isComplete(_ request: [UInt8]) -> Bool {
        let text = String(decoding: request, as: Unicode.ASCII.self)
        guard let end = text.range(of: "\r\n\r\n") else { return false }
        let head = text[..<end.lowerBound].lowercased()
        guard let field = head.range(of: "content-length: ") else { return true }
        let length = Int(head[field.upperBound...].prefix { $0.isNumber }) ?? 0
        return text.utf8.distance(from: end.upperBound, to: text.endIndex) >= length
    }
}
