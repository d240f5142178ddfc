/// Which pages of other origins browsers may let at a bucket: `CORSConfiguration` (the Fetch
/// standard, §3.2).
package struct CORSConfiguration: Equatable, Sendable {
    package struct Rule: Equatable, Sendable {
        package var id: String?
        package var origins: [String]
        package var methods: [String]
        package var headers: [String]
        package var exposed: [String]
        package var maxAgeSeconds: Int64?
    }

    /// Of one configuration.
    static let maximumRules = 100
    static let maximumIDCharacters = 255
    static let methods: Set<String> = ["GET", "PUT", "POST", "DELETE", "HEAD"]

    package var rules: [Rule]

    // MARK: Document

    package init(parsing bytes: [UInt8]) throws(DocumentFault) {
        let root = try XMLElement.document(bytes, root: "CORSConfiguration")
        rules = []
        for element in root.children {
            guard element.name == "CORSRule" else { throw .malformedXML }
            rules.append(try Rule(element))
        }
        guard (1...CORSConfiguration.maximumRules).contains(rules.count) else {
            throw .malformedXML
        }
    }

    package var document: [UInt8] {
        XMLWriter.document("CORSConfiguration") { xml in
            for rule in rules {
                xml.element("CORSRule") { xml in
                    if let id = rule.id { xml.element("ID", id) }
                    for header in rule.headers { xml.element("AllowedHeader", header) }
                    for method in rule.methods { xml.element("AllowedMethod", method) }
                    for origin in rule.origins { xml.element("AllowedOrigin", origin) }
                    for header in rule.exposed { xml.element("ExposeHeader", header) }
                    if let age = rule.maxAgeSeconds { xml.element("MaxAgeSeconds", age) }
                }
            }
        }
    }

    // MARK: Answering

    /// The first rule that lets a page of `origin` use `method`, and send `headers` (in lower case).
    package func rule(
        origin: String, method: String, headers: [String] = []
    ) -> Rule? {
        rules.first { $0.allows(origin, method, headers) }
    }
}

extension CORSConfiguration.Rule {
    fileprivate init(_ element: XMLElement) throws(DocumentFault) {
        id = try element.only("ID")?.text
        origins = element.children(named: "AllowedOrigin").map(\.trimmed)
        methods = element.children(named: "AllowedMethod").map(\.trimmed)
        headers = element.children(named: "AllowedHeader").map(\.trimmed)
        exposed = element.children(named: "ExposeHeader").map(\.trimmed)
        maxAgeSeconds = try element.number("MaxAgeSeconds")
        guard !origins.isEmpty, !methods.isEmpty, maxAgeSeconds ?? 0 >= 0,
            id?.count ?? 0 <= CORSConfiguration.maximumIDCharacters
        else { throw .malformedXML }
        for method in methods where !CORSConfiguration.methods.contains(method) {
            throw .invalidRequest(
                "Found unsupported HTTP method in CORS config. Unsupported method is \(method)")
        }
        for origin in origins where Self.stars(origin) > 1 {
            throw .invalidRequest(
                "AllowedOrigin \"\(origin)\" can not have more than one wildcard.")
        }
        for header in headers where Self.stars(header) > 1 {
            throw .invalidRequest(
                "AllowedHeader \"\(header)\" can not have more than one wildcard.")
        }
        for header in exposed where Self.stars(header) > 0 {
            throw .invalidRequest(
                "ExposeHeader \"\(header)\" contains wildcard. "
                    + "We currently do not support wildcard for ExposeHeader.")
        }
    }

    private static func stars(_ text: String) -> Int { text.utf8.count { $0 == UInt8(ascii: "*") } }

    /// With at most one star in `pattern`.
    private static func matches(_ pattern: String, _ text: String) -> Bool {
        guard let star = pattern.firstIndex(of: "*") else { return pattern == text }
        let (head, tail) = (pattern[..<star], pattern[pattern.index(after: star)...])
        return text.utf8.count >= head.utf8.count + tail.utf8.count && text.hasPrefix(head)
            && text.hasSuffix(tail)
    }

    fileprivate func allows(_ origin: String, _ method: String, _ wanted: [String]) -> Bool {
        methods.contains(method) && origins.contains { Self.matches($0, origin) }
            && wanted.allSatisfy { name in
                headers.contains { Self.matches($0.lowercased(), name.lowercased()) }
            }
    }

    /// Whether it lets any origin in, so that the answer need not name it.
    package var isForAnyOrigin: Bool { origins.contains("*") }
}
