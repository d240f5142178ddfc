/// Text that is not JSON, and where it stops being so.
package struct JSONError: Error, Equatable {
    package var offset: Int
}

extension JSONValue {
    /// Reads one value and nothing after it; nesting is bounded.
    package init(parsing bytes: [UInt8]) throws(JSONError) {
        var parser = JSONParser(bytes: bytes)
        self = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.offset == bytes.count else { throw JSONError(offset: parser.offset) }
    }
}

/// A recursive-descent parser over bytes.
private struct JSONParser {
    static let depthLimit = 32

    let bytes: [UInt8]
    var offset = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    private var error: JSONError { JSONError(offset: offset) }
    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { offset += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < Self.depthLimit else { throw error }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(
        _ word: String, _ value: JSONValue
    ) throws(JSONError) -> JSONValue {
        guard bytes[offset...].starts(with: word.utf8) else { throw error }
        offset += word.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        offset += 1
        var fields: [(key: String, value: JSONValue)] = []
        skipSpace()
        if take("}") { return .object(fields) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error }
            let key = try string()
            skipSpace()
            guard take(":") else { throw error }
            fields.append((key, try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return .object(fields) }
            guard take(",") else { throw error }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        offset += 1
        var values: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return .array(values) }
            guard take(",") else { throw error }
        }
    }

    /// RFC 8259 §6. A number that no `Double` comes near is refused: there is no way to write it.
    private mutating func number() throws(JSONError) -> JSONValue {
        let start = offset
        _ = take("-")
        let isZero = next == UInt8(ascii: "0")
        let wholeDigits = digits()
        var isWhole = wholeDigits > 0 && !(isZero && wholeDigits > 1)
        if isWhole, take(".") { isWhole = digits() > 0 }
        if isWhole, take("e") || take("E") {
            if !take("+") { _ = take("-") }
            isWhole = digits() > 0
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .integer(value) }
        guard isWhole, let value = Double(text), value.isFinite else {
            offset = start
            throw error
        }
        return .number(value)
    }

    private mutating func digits() -> Int {
        let start = offset
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            offset += 1
        }
        return offset - start
    }

    private mutating func string() throws(JSONError) -> String {
        offset += 1
        var units: [UInt8] = []
        while let byte = next {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: units, as: UTF8.self) else { throw error }
                return text
            case UInt8(ascii: "\\"): units.append(contentsOf: Array(try escape().utf8))
            case 0..<0x20: throw error
            default: units.append(byte)
            }
        }
        throw error
    }

    private mutating func escape() throws(JSONError) -> String {
        guard let byte = next else { throw error }
        offset += 1
        switch byte {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            return String(Unicode.Scalar(byte))
        case UInt8(ascii: "u"):
            let high = try hexUnit()
            guard (0xd800..<0xdc00).contains(high) else {
                guard let scalar = Unicode.Scalar(high) else { throw error }
                return String(scalar)
            }
            guard take("\\"), take("u") else { throw error }
            let low = try hexUnit()
            guard (0xdc00..<0xe000).contains(low),
                let scalar = Unicode.Scalar(0x10000 + (high - 0xd800) << 10 + (low - 0xdc00))
            else { throw error }
            return String(scalar)
        default: throw error
        }
    }

    private mutating func hexUnit() throws(JSONError) -> UInt32 {
        guard offset + 4 <= bytes.count,
            let unit = UInt32(
                String(decoding: bytes[offset..<offset + 4], as: UTF8.self), radix: 16)
        else { throw error }
        offset += 4
        return unit
    }
}
