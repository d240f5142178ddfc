internal import CyxCore

/// What a client of the events wants, one JSON object a message.
enum EventCommand: Equatable, Sendable {
    enum Stream: Hashable, Sendable {
        case objects(bucket: String, prefix: String)
        case metrics, notifications
    }

    /// `after`: the position up to which it has been told; `seconds`: between two metrics.
    case subscribe(Stream, after: String?, seconds: Int64)
    case unsubscribe(Stream)

    static let secondsRange: ClosedRange<Int64> = 1...3600
    private static let secondsUsual: Int64 = 5

    /// What is wrong, in words for who wrote the client.
    struct Fault: Error, Equatable {
        var message: String
    }

    init(_ text: String) throws(Fault) {
        let value: JSONValue
        do { value = try JSONValue(parsing: Array(text.utf8)) } catch {
            throw Fault(message: "the message stops being JSON at byte \(error.offset)")
        }
        guard case .object(let fields) = value else {
            throw Fault(message: "the message is no JSON object")
        }
        let known: Set = ["subscribe", "unsubscribe", "bucket", "prefix", "after", "seconds"]
        if let other = fields.map(\.key).first(where: { !known.contains($0) }) {
            throw Fault(message: "`\(other)` means nothing here")
        }
        let wish = value["subscribe"], end = value["unsubscribe"]
        guard (wish == nil) != (end == nil), let name = (wish ?? end)?.text else {
            throw Fault(message: "one of `subscribe` and `unsubscribe` names a stream")
        }
        let stream = try EventCommand.stream(name, value)
        guard wish != nil else {
            self = .unsubscribe(stream)
            return
        }
        let seconds = value["seconds"].map { $0.integer ?? 0 } ?? EventCommand.secondsUsual
        guard EventCommand.secondsRange.contains(seconds) else {
            throw Fault(message: "`seconds` is a whole number from 1 to 3600")
        }
        if let after = value["after"], after.text == nil {
            throw Fault(message: "`after` is a position that an event had")
        }
        self = .subscribe(stream, after: value["after"]?.text, seconds: seconds)
    }

    private static func stream(_ name: String, _ value: JSONValue) throws(Fault) -> Stream {
        switch name {
        case "objects":
            guard let bucket = value["bucket"]?.text, !bucket.isEmpty else {
                throw Fault(message: "`objects` needs a `bucket`")
            }
            if let prefix = value["prefix"], prefix.text == nil {
                throw Fault(message: "`prefix` is no string")
            }
            return .objects(bucket: bucket, prefix: value["prefix"]?.text ?? "")
        case "metrics": return .metrics
        case "notifications": return .notifications
        default:
            throw Fault(message: "there are the streams objects, metrics and notifications")
        }
    }
}

extension EventCommand.Stream {
    /// How messages name the stream.
    var fields: [(key: String, value: JSONValue)] {
        switch self {
        case .objects(let bucket, let prefix):
            [
                ("stream", .string("objects")), ("bucket", .string(bucket)),
                ("prefix", .string(prefix)),
            ]
        case .metrics: [("stream", .string("metrics"))]
        case .notifications: [("stream", .string("notifications"))]
        }
    }
}
