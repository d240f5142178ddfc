/// One element of a small document.
package struct XMLElement: Equatable, Sendable {
    /// Without a namespace prefix.
    package var name: String
    package var text = ""
    package var children: [XMLElement] = []

    package init(name: String) { self.name = name }

    /// The first child of that name.
    package func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }
    /// The text of the first child of that name.
    package func text(of name: String) -> String? { child(name)?.text }
    package func children(named name: String) -> [XMLElement] {
        children.filter { $0.name == name }
    }
}

/// Why a document was not taken.
package enum XMLError: Error, Equatable {
    case malformed(offset: Int)
    /// A DOCTYPE, an entity that XML does not define itself, or a processing instruction.
    case notAllowed(offset: Int)
    case tooLarge
}

/// A strict reader of the subset of XML that S3 and its clients send: elements, attributes (skipped), text,
/// CDATA, comments and the five predefined entities. No DOCTYPE, so no entities to expand.
package struct XMLReader {
    /// Of a document in a request.
    package static let maximumBytes = 2 << 20
    static let maximumDepth = 16
    static let maximumElements = 50_000

    private let bytes: [UInt8]
    private var offset = 0
    private var elements = 0

    package static func parse(
        _ bytes: [UInt8], maximumBytes: Int = maximumBytes
    ) throws(XMLError) -> XMLElement {
        guard bytes.count <= maximumBytes else { throw .tooLarge }
        var reader = XMLReader(bytes: bytes)
        return try reader.document()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func document() throws(XMLError) -> XMLElement {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { offset = 3 }
        skipSpace()
        if starts(with: "<?xml") { try skip(past: "?>") }
        try skipMisc()
        let root = try element(depth: 1)
        try skipMisc()
        guard offset == bytes.count else { throw .malformed(offset: offset) }
        return root
    }

    private mutating func skipMisc() throws(XMLError) {
        while true {
            skipSpace()
            guard starts(with: "<!--") else { return }
            try skip(past: "-->")
        }
    }

    private mutating func element(depth: Int) throws(XMLError) -> XMLElement {
        guard depth <= XMLReader.maximumDepth else { throw .tooLarge }
        elements += 1
        guard elements <= XMLReader.maximumElements else { throw .tooLarge }
        if starts(with: "<!") || starts(with: "<?") { throw .notAllowed(offset: offset) }
        try expect(UInt8(ascii: "<"))
        let fullName = try name()
        var element = XMLElement(name: localName(fullName))
        if try attributesEndEmpty() { return element }
        var text: [UInt8] = []
        while true {
            guard offset < bytes.count else { throw .malformed(offset: offset) }
            if starts(with: "</") {
                offset += 2
                guard try name() == fullName else { throw .malformed(offset: offset) }
                skipSpace()
                try expect(UInt8(ascii: ">"))
                guard let decoded = String(validating: text, as: UTF8.self) else {
                    throw .malformed(offset: offset)
                }
                element.text = decoded
                return element
            } else if starts(with: "<!--") {
                try skip(past: "-->")
            } else if starts(with: "<![CDATA[") {
                let start = offset + 9
                try skip(past: "]]>")
                text += bytes[start..<offset - 3]
            } else if bytes[offset] == UInt8(ascii: "<") {
                element.children.append(try self.element(depth: depth + 1))
            } else if bytes[offset] == UInt8(ascii: "&") {
                text += try entity()
            } else {
                text += plainText()
            }
        }
    }

    /// Skips attributes and the end of the tag; true if that was `/>`.
    private mutating func attributesEndEmpty() throws(XMLError) -> Bool {
        while true {
            let before = offset
            skipSpace()
            guard offset < bytes.count else { throw .malformed(offset: offset) }
            if starts(with: "/>") {
                offset += 2
                return true
            }
            if bytes[offset] == UInt8(ascii: ">") {
                offset += 1
                return false
            }
            guard offset > before else { throw .malformed(offset: offset) }
            _ = try name()
            skipSpace()
            try expect(UInt8(ascii: "="))
            skipSpace()
            guard offset < bytes.count else { throw .malformed(offset: offset) }
            let quote = bytes[offset]
            guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
                throw .malformed(offset: offset)
            }
            offset += 1
            guard let end = bytes[offset...].firstIndex(of: quote) else {
                throw .malformed(offset: offset)
            }
            guard !bytes[offset..<end].contains(UInt8(ascii: "<")) else {
                throw .malformed(offset: offset)
            }
            offset = end + 1
        }
    }

    /// Takes what stands for itself, up to the next tag or entity.
    private mutating func plainText() -> ArraySlice<UInt8> {
        let start = offset
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "<"),
            bytes[offset] != UInt8(ascii: "&")
        { offset += 1 }
        return bytes[start..<offset]
    }

    private mutating func entity() throws(XMLError) -> [UInt8] {
        let limit = min(bytes.count, offset + 12)
        guard let end = bytes[offset..<limit].firstIndex(of: UInt8(ascii: ";")) else {
            throw .malformed(offset: offset)
        }
        let entity = String(decoding: bytes[offset + 1..<end], as: UTF8.self)
        defer { offset = end + 1 }
        switch entity {
        case "lt": return [UInt8(ascii: "<")]
        case "gt": return [UInt8(ascii: ">")]
        case "amp": return [UInt8(ascii: "&")]
        case "quot": return [UInt8(ascii: "\"")]
        case "apos": return [UInt8(ascii: "'")]
        default: break
        }
        guard entity.hasPrefix("#") else { throw .notAllowed(offset: offset) }
        let isHex = entity.hasPrefix("#x")
        let digits = entity.dropFirst(isHex ? 2 : 1)
        guard let first = digits.utf8.first, first != UInt8(ascii: "+"),
            let value = UInt32(digits, radix: isHex ? 16 : 10), value != 0,
            let scalar = Unicode.Scalar(value)
        else { throw .malformed(offset: offset) }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func name() throws(XMLError) -> String {
        let start = offset
        while offset < bytes.count, isNameByte(bytes[offset]) { offset += 1 }
        guard offset > start else { throw .malformed(offset: offset) }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: ":"):
            true
        default: false
        }
    }

    private func localName(_ name: String) -> String {
        name.split(separator: ":").last.map(String.init) ?? name
    }

    private mutating func skipSpace() {
        while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) {
            offset += 1
        }
    }

    private func starts(with text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes[offset...].starts(with: $0) }
    }

    private mutating func skip(past text: StaticString) throws(XMLError) {
        let first = text.utf8Start[0]
        while offset < bytes.count {
            if bytes[offset] == first, starts(with: text) {
                offset += text.utf8CodeUnitCount
                return
            }
            offset += 1
        }
        throw .malformed(offset: offset)
    }

    private mutating func expect(_ byte: UInt8) throws(XMLError) {
        guard offset < bytes.count, bytes[offset] == byte else { throw .malformed(offset: offset) }
        offset += 1
    }
}
