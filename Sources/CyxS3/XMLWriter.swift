/// Writes an S3 XML document, escaping all text.
package struct XMLWriter {
    static let namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

    package private(set) var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

    /// A document whose root is `name`; S3's answers carry the namespace, its errors do not.
    package static func document(
        _ name: String, hasNamespace: Bool = true, _ body: (inout XMLWriter) -> Void
    ) -> [UInt8] {
        var writer = XMLWriter()
        writer.text += "<\(name)"
        if hasNamespace { writer.text += " xmlns=\"\(namespace)\"" }
        writer.text += ">"
        body(&writer)
        writer.text += "</\(name)>"
        return Array(writer.text.utf8)
    }

    /// A document whose root holds text alone.
    package static func document(_ name: String, text: String) -> [UInt8] {
        var writer = XMLWriter()
        writer.text += "<\(name) xmlns=\"\(namespace)\">"
        for scalar in text.unicodeScalars { writer.append(scalar) }
        writer.text += "</\(name)>"
        return Array(writer.text.utf8)
    }

    /// A document without content.
    package static func emptyDocument(_ name: String) -> [UInt8] {
        Array((XMLWriter().text + "<\(name) xmlns=\"\(namespace)\"/>").utf8)
    }

    /// `attributes` are written as they are.
    package mutating func element(
        _ name: String, attributes: String, _ body: (inout XMLWriter) -> Void
    ) {
        text += "<\(name) \(attributes)>"
        body(&self)
        text += "</\(name)>"
    }

    package mutating func element(_ name: String, _ body: (inout XMLWriter) -> Void) {
        text += "<\(name)>"
        body(&self)
        text += "</\(name)>"
    }

    package mutating func element(_ name: String, _ value: String) {
        text += "<\(name)>"
        for scalar in value.unicodeScalars { append(scalar) }
        text += "</\(name)>"
    }

    package mutating func element(_ name: String, _ value: some BinaryInteger) {
        text += "<\(name)>\(value)</\(name)>"
    }

    package mutating func element(_ name: String, _ value: Bool) {
        text += "<\(name)>\(value)</\(name)>"
    }

    private mutating func append(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "<": text += "&lt;"
        case ">": text += "&gt;"
        case "&": text += "&amp;"
        case "\"": text += "&quot;"
        case "\r": text += "&#13;"
        case "\t", "\n": text.unicodeScalars.append(scalar)
        // XML 1.0 has no way to write these, escaped or not (§2.2 of the recommendation).
        case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": text += "\u{FFFD}"
        default: text.unicodeScalars.append(scalar)
        }
    }
}
