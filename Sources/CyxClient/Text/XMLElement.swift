/// An element of a small XML document: its name without prefix, its text and its children.
package struct XMLElement: Sendable, Equatable {
    package var name: String
    package var text = ""
    package var children: [XMLElement] = []

    package init(name: String) {
        self.name = name
    }

    /// The first child of that name.
    package func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }
    /// The text of the first child of that name.
    package func text(of name: String) -> String? { child(name)?.text }
    package func children(named name: String) -> [XMLElement] {
        children.filter { $0.name == name }
    }
}

/// Text that is not the XML that S3 answers with.
package struct XMLError: Error, Equatable {
    package var offset: Int
    package var problem: String
}

extension XMLElement {
    /// Reads one document: elements, text, the five entities and character references. Attributes,
    /// comments and processing instructions are passed over; a DOCTYPE is refused, since it is how
    /// small documents grow without bound.
    package init(parsing bytes: [UInt8]) throws(XMLError) {
        var parser = XMLParser(bytes: bytes)
        self = try parser.document()
    }

    /// The same, for bytes that need not be XML: nil says that they are not.
    static func document(in bytes: [UInt8]) -> XMLElement? {
        do {
            return try XMLElement(parsing: bytes)
        } catch {
            return nil
        }
    }
}

private struct XMLParser {
    static let depthLimit = 16
    static let elementLimit = 200_000

    let bytes: [UInt8]
    var offset = 0
    var elements = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    private func error(_ problem: String) -> XMLError { XMLError(offset: offset, problem: problem) }

    private func sees(_ text: String) -> Bool { bytes[offset...].starts(with: text.utf8) }

    private mutating func skip(past text: String) throws(XMLError) {
        let end = Array(text.utf8)
        while offset + end.count <= bytes.count {
            if bytes[offset...].starts(with: end) {
                offset += end.count
                return
            }
            offset += 1
        }
        throw error("`\(text)` is missing")
    }

    mutating func document() throws(XMLError) -> XMLElement {
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { offset = 3 }
        try skipProlog()
        guard sees("<") else { throw error("no element") }
        let root = try element(depth: 0)
        try skipProlog()
        guard offset == bytes.count else { throw error("text after the document") }
        return root
    }

    /// White space, comments and processing instructions.
    private mutating func skipProlog() throws(XMLError) {
        while offset < bytes.count {
            if Self.isSpace(bytes[offset]) {
                offset += 1
            } else if sees("<!--") {
                try skip(past: "-->")
            } else if sees("<?") {
                try skip(past: "?>")
            } else {
                return
            }
        }
    }

    private mutating func element(depth: Int) throws(XMLError) -> XMLElement {
        elements += 1
        guard depth < Self.depthLimit, elements <= Self.elementLimit else {
            throw error("too many elements")
        }
        offset += 1
        let name = try readName()
        var element = XMLElement(name: String(name.split(separator: ":").last ?? ""))
        if try skipAttributes() { return element }
        var text: [UInt8] = []
        while true {
            guard offset < bytes.count else { throw error("</\(name)> is missing") }
            guard bytes[offset] == UInt8(ascii: "<") else {
                try readCharacter(into: &text)
                continue
            }
            if sees("</") {
                offset += 2
                guard try readName() == name else { throw error("expected </\(name)>") }
                try skip(past: ">")
                guard let valid = String(validating: text, as: UTF8.self) else {
                    throw error("not UTF-8")
                }
                element.text = valid
                return element
            } else if sees("<!--") {
                try skip(past: "-->")
            } else if sees("<![CDATA[") {
                offset += 9
                let start = offset
                try skip(past: "]]>")
                text += bytes[start..<offset - 3]
            } else if sees("<!") {
                throw error("declarations are refused")
            } else if sees("<?") {
                try skip(past: "?>")
            } else {
                element.children.append(try self.element(depth: depth + 1))
            }
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || (0x09...0x0d).contains(byte)
    }

    private mutating func readName() throws(XMLError) -> String {
        let start = offset
        while offset < bytes.count, !Self.isSpace(bytes[offset]),
            bytes[offset] != UInt8(ascii: ">"), bytes[offset] != UInt8(ascii: "/"),
            bytes[offset] != UInt8(ascii: "<")
        {
            offset += 1
        }
        guard offset > start else { throw error("a name is missing") }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    /// Moves past the tag's end; true if the element ended with it.
    private mutating func skipAttributes() throws(XMLError) -> Bool {
        var quote: UInt8?
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: ">") {
                return bytes[offset - 2] == UInt8(ascii: "/")
            }
        }
        throw error("`>` is missing")
    }

    private mutating func readCharacter(into text: inout [UInt8]) throws(XMLError) {
        guard bytes[offset] == UInt8(ascii: "&") else {
            text.append(bytes[offset])
            offset += 1
            return
        }
        let reference = bytes[offset...].prefix(12)
        guard let end = reference.firstIndex(of: UInt8(ascii: ";")) else {
            throw error("`;` is missing")
        }
        let name = String(decoding: bytes[offset + 1..<end], as: UTF8.self)
        let entities = ["lt": "<", "gt": ">", "amp": "&", "quot": "\"", "apos": "'"]
        if let entity = entities[name] {
            text += entity.utf8
        } else if name.hasPrefix("#"), let scalar = Self.scalar(name.dropFirst()) {
            text += String(scalar).utf8
        } else {
            throw error("unknown entity &\(name);")
        }
        offset = end + 1
    }

    private static func scalar(_ digits: Substring) -> Unicode.Scalar? {
        let isHex = digits.hasPrefix("x")
        return UInt32(isHex ? digits.dropFirst() : digits, radix: isHex ? 16 : 10)
            .flatMap(Unicode.Scalar.init)
    }
}
