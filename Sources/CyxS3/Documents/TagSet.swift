/// The tags of a bucket or an object, in the order in which they were given.
package struct TagSet: Equatable, Sendable {
    package struct Tag: Hashable, Sendable {
        package var key: String
        package var value: String

        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// How many tags who may have.
    package enum Bearer: Sendable {
        case bucket, object

        var maximumTags: Int { self == .bucket ? 50 : 10 }
    }

    static let maximumKeyCharacters = 128
    static let maximumValueCharacters = 256

    package private(set) var tags: [Tag] = []

    package init() {}

    // MARK: Reading

    package init(parsing bytes: [UInt8], of bearer: Bearer) throws(DocumentFault) {
        let root = try XMLElement.document(bytes, root: "Tagging")
        guard let set = try root.only("TagSet") else { throw .malformedXML }
        try self.init(set, of: bearer)
    }

    /// Reads the `Tag` elements in `set`.
    package init(_ set: XMLElement, of bearer: Bearer) throws(DocumentFault) {
        for element in set.children {
            guard element.name == "Tag", let key = try element.only("Key"),
                let value = try element.only("Value")
            else { throw .malformedXML }
            tags.append(Tag(key: key.text, value: value.text))
        }
        try check(bearer)
    }

    /// Reads the header `x-amz-tagging` of an object: `key=value&key2=value2`, percent-encoded.
    package init(header: String) throws(DocumentFault) {
        let fault = DocumentFault.invalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
                + "parameters without tag name duplicates.")
        for part in header.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = PercentEncoding.decodeText(pair[0], plusIsSpace: true),
                let value = PercentEncoding.decodeText(
                    pair.count > 1 ? pair[1] : "", plusIsSpace: true),
                !tags.contains(where: { $0.key == key })
            else { throw fault }
            tags.append(Tag(key: key, value: value))
        }
        try check(.object)
    }

    private func check(_ bearer: Bearer) throws(DocumentFault) {
        guard tags.count <= bearer.maximumTags else {
            throw DocumentFault(
                "BadRequest", 400,
                bearer == .object
                    ? "Object tags cannot be greater than 10"
                    : "Bucket tag count cannot be greater than 50")
        }
        var keys: Set<String> = []
        for tag in tags {
            guard (1...TagSet.maximumKeyCharacters).contains(tag.key.unicodeScalars.count),
                TagSet.isAllowed(tag.key)
            else { throw TagSet.fault("The TagKey you have provided is invalid") }
            guard tag.value.unicodeScalars.count <= TagSet.maximumValueCharacters,
                TagSet.isAllowed(tag.value)
            else { throw TagSet.fault("The TagValue you have provided is invalid") }
            guard !tag.key.lowercased().hasPrefix("aws:") else {
                throw TagSet.fault("System tags cannot be added/updated by requester")
            }
            guard keys.insert(tag.key).inserted else {
                throw TagSet.fault("Cannot provide multiple Tags with the same key")
            }
        }
    }

    private static func fault(_ message: String) -> DocumentFault {
        DocumentFault("InvalidTag", 400, message)
    }

    /// Letters, digits and spaces of any script, and `+ - = . _ : / @`.
    private static func isAllowed(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter,
                .otherLetter, .decimalNumber, .letterNumber, .otherNumber, .spaceSeparator,
                .nonspacingMark, .spacingMark, .enclosingMark:
                true
            default: "+-=._:/@".unicodeScalars.contains(scalar)
            }
        }
    }

    // MARK: Writing

    package var document: [UInt8] {
        XMLWriter.document("Tagging") { xml in
            xml.element("TagSet") { write(to: &$0) }
        }
    }

    /// The `Tag` elements alone.
    func write(to xml: inout XMLWriter) {
        for tag in tags {
            xml.element("Tag") { xml in
                xml.element("Key", tag.key)
                xml.element("Value", tag.value)
            }
        }
    }

    /// Whether each of `wanted` is among the tags.
    func contains(_ wanted: [Tag]) -> Bool { wanted.allSatisfy(tags.contains) }
}
