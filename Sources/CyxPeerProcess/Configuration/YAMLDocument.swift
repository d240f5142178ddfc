internal import CYAML
internal import CyxCore

/// A YAML value as the configuration uses it: every scalar is kept as text.
enum YAMLValue: Equatable {
    case scalar(String)
    case list([YAMLValue])
    case map([(key: String, value: YAMLValue, line: Int)])

    static func == (left: YAMLValue, right: YAMLValue) -> Bool {
        switch (left, right) {
        case (.scalar(let a), .scalar(let b)): a == b
        case (.list(let a), .list(let b)): a == b
        case (.map(let a), .map(let b)):
            a.count == b.count
                && zip(a, b).allSatisfy { $0.key == $1.key && $0.value == $1.value }
        default: false
        }
    }
}

/// Where a configuration file is wrong and how.
struct YAMLError: Error, Equatable, CustomStringConvertible {
    var line: Int
    var problem: String
    var description: String { "line \(line): \(problem)" }
}

/// Reads one YAML document with libyaml's event parser. Anchors, aliases and tags are refused: a
/// configuration needs none, and aliases are how small files grow without bound.
struct YAMLDocument {
    static let byteLimit = 64 << 10
    static let depthLimit = 16

    static func parse(_ bytes: [UInt8]) throws(YAMLError) -> YAMLValue {
        guard bytes.count <= byteLimit else {
            throw YAMLError(line: 1, problem: "the file is larger than \(byteLimit >> 10) KiB")
        }
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else {
            throw YAMLError(line: 1, problem: "no memory for the parser")
        }
        defer { yaml_parser_delete(&parser) }
        // libyaml keeps the pointer, so the bytes live in memory of our own while it reads.
        let input = UnsafeMutablePointer<UInt8>.allocate(capacity: max(bytes.count, 1))
        defer { input.deallocate() }
        input.initialize(from: bytes, count: bytes.count)
        yaml_parser_set_input_string(&parser, input, bytes.count)

        try expect(YAML_STREAM_START_EVENT, from: &parser)
        let first = try next(&parser)
        guard first.kind != YAML_STREAM_END_EVENT else { return .map([]) }
        let root = try value(try next(&parser), from: &parser, depth: 0)
        try expect(YAML_DOCUMENT_END_EVENT, from: &parser)
        let end = try next(&parser)
        guard end.kind == YAML_STREAM_END_EVENT else {
            throw YAMLError(line: end.line, problem: "a second document begins here")
        }
        return root
    }

    private struct Event {
        var kind: yaml_event_type_t
        var text: String
        var line: Int
    }

    private static func expect(
        _ kind: yaml_event_type_t, from parser: inout yaml_parser_t
    ) throws(YAMLError) {
        let event = try next(&parser)
        precondition(event.kind == kind, "libyaml's events come in grammar order")
    }

    private static func next(_ parser: inout yaml_parser_t) throws(YAMLError) -> Event {
        var raw = yaml_event_t()
        guard yaml_parser_parse(&parser, &raw) == 1 else {
            let problem = parser.problem.map { String(cString: $0) } ?? "not YAML"
            throw YAMLError(line: Int(parser.problem_mark.line) + 1, problem: problem)
        }
        defer { yaml_event_delete(&raw) }
        var event = Event(kind: raw.type, text: "", line: Int(raw.start_mark.line) + 1)
        switch raw.type {
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            guard scalar.anchor == nil else { throw anchored(event) }
            event.text = String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length),
                as: UTF8.self)
        case YAML_SEQUENCE_START_EVENT:
            guard raw.data.sequence_start.anchor == nil else { throw anchored(event) }
        case YAML_MAPPING_START_EVENT:
            guard raw.data.mapping_start.anchor == nil else { throw anchored(event) }
        case YAML_ALIAS_EVENT:
            throw anchored(event)
        default:
            break
        }
        return event
    }

    private static func anchored(_ event: Event) -> YAMLError {
        YAMLError(line: event.line, problem: "anchors and aliases are not supported")
    }

    private static func value(
        _ event: Event, from parser: inout yaml_parser_t, depth: Int
    ) throws(YAMLError) -> YAMLValue {
        guard depth < depthLimit else {
            throw YAMLError(line: event.line, problem: "nested deeper than \(depthLimit)")
        }
        switch event.kind {
        case YAML_SEQUENCE_START_EVENT:
            var items: [YAMLValue] = []
            while true {
                let item = try next(&parser)
                if item.kind == YAML_SEQUENCE_END_EVENT { return .list(items) }
                items.append(try value(item, from: &parser, depth: depth + 1))
            }
        case YAML_MAPPING_START_EVENT:
            var entries: [(key: String, value: YAMLValue, line: Int)] = []
            while true {
                let key = try next(&parser)
                if key.kind == YAML_MAPPING_END_EVENT { return .map(entries) }
                guard key.kind == YAML_SCALAR_EVENT else {
                    throw YAMLError(line: key.line, problem: "a key must be a plain word")
                }
                guard !entries.contains(where: { $0.key == key.text }) else {
                    throw YAMLError(line: key.line, problem: "`\(key.text)` is given twice")
                }
                let found = try value(try next(&parser), from: &parser, depth: depth + 1)
                entries.append((key.text, found, key.line))
            }
        default:
            return .scalar(event.text)
        }
    }
}
