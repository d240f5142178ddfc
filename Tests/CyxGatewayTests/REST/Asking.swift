import CyxCore
import TestSockets

@testable import CyxGateway

/// An answer of the gateway's, taken apart.
struct Answer {
    var status = 0
    /// By lowercase name.
    var headers: [String: String] = [:]
    var body = ""

    var json: JSONValue? {
        do { return try JSONValue(parsing: Array(body.utf8)) } catch { return nil }
    }

    /// The code of a refusal.
    var code: String? { json?["code"]?.text }
}

extension GatewayHarness {
    /// Sends one request, and waits for its answer and the connection's end.
    func ask(
        _ target: String, method: String = "GET", _ headers: [String: String] = [:],
        body: String = ""
    ) throws -> Answer {
        let client = try Client(port: port)
        var head = "\(method) \(target) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if !body.isEmpty { head += "Content-Length: \(body.utf8.count)\r\n" }
        try client.send(head + "\r\n" + body)
        var bytes: [UInt8] = []
        while let more = try client.next() { bytes += more }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return Answer() }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        var answer = Answer(body: String(text[end.upperBound...]))
        answer.status = lines.first.flatMap { Int($0.dropFirst(9).prefix(3)) } ?? 0
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            answer.headers[line[..<colon].lowercased()] = String(
                line[line.index(after: colon)...].drop { $0 == " " })
        }
        return answer
    }
}
