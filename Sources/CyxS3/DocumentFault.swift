/// Why a document of a bucket or an object was not taken, as S3 says it.
package struct DocumentFault: Error, Equatable {
    package var code: String
    package var status: Int
    package var message: String

    package init(_ code: String, _ status: Int = 400, _ message: String) {
        self.code = code
        self.status = status
        self.message = message
    }

    package static let malformedXML = DocumentFault(
        "MalformedXML", 400,
        "The XML you provided was not well-formed or did not validate against our published schema")

    static func malformedPolicy(_ message: String) -> DocumentFault {
        DocumentFault("MalformedPolicy", 400, message)
    }

    static func invalidArgument(_ message: String) -> DocumentFault {
        DocumentFault("InvalidArgument", 400, message)
    }

    static func invalidRequest(_ message: String) -> DocumentFault {
        DocumentFault("InvalidRequest", 400, message)
    }
}

extension XMLElement {
    /// The root of `bytes`, which must be named `root`.
    package static func document(
        _ bytes: [UInt8], root name: String
    ) throws(DocumentFault) -> XMLElement {
        let root: XMLElement
        do {
            root = try XMLReader.parse(bytes)
        } catch {
            throw .malformedXML
        }
        guard root.name == name else { throw .malformedXML }
        return root
    }

    /// The only child of that name; nil without one. Two are malformed.
    func only(_ name: String) throws(DocumentFault) -> XMLElement? {
        let found = children(named: name)
        guard found.count <= 1 else { throw .malformedXML }
        return found.first
    }

    /// The text of the only child of that name, as a whole number.
    func number(_ name: String) throws(DocumentFault) -> Int64? {
        guard let child = try only(name) else { return nil }
        guard let value = Int64(child.trimmed) else { throw .malformedXML }
        return value
    }

    /// The text of the only child of that name, as `true` or `false`.
    func flag(_ name: String) throws(DocumentFault) -> Bool? {
        guard let child = try only(name) else { return nil }
        switch child.trimmed.lowercased() {
        case "true": return true
        case "false": return false
        default: throw .malformedXML
        }
    }

    /// The text without the white space around it.
    var trimmed: String {
        var text = text[...]
        while let first = text.first, first.isWhitespace { text = text.dropFirst() }
        while let last = text.last, last.isWhitespace { text = text.dropLast() }
        return String(text)
    }
}
