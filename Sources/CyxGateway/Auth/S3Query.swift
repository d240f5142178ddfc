internal import CyxS3

/// The query of a request target, decoded once.
struct S3Query: Sendable {
    struct Item: Sendable {
        var name: String
        var value: String
    }

    private(set) var items: [Item] = []

    /// More than this, and the request is refused.
    static let maximumItems = 100

    init() {}

    /// Of a listing of what begins with `prefix`.
    init(prefix: String) {
        items = [Item(name: "prefix", value: prefix)]
    }

    /// Reads what follows the first `?` of `target`.
    init(target: String) throws(S3Error) {
        guard let mark = target.firstIndex(of: "?") else { return }
        for part in target[target.index(after: mark)...].split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = pair.count > 1 ? pair[1] : ""
            guard let name = PercentEncoding.decodeText(pair[0], plusIsSpace: true),
                let text = PercentEncoding.decodeText(value, plusIsSpace: true)
            else { throw S3Error("InvalidURI", 400, "The query is not percent-encoded UTF-8") }
            items.append(Item(name: name, value: text))
        }
        guard items.count <= S3Query.maximumItems else {
            throw S3Error("InvalidURI", 400, "The query has too many parameters")
        }
    }

    /// The first value of that name; empty if it has none.
    subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    func has(_ name: String) -> Bool { items.contains { $0.name == name } }

    /// "Canonical query string" of the SigV4 documentation.
    func canonical(excluding excluded: String?) -> String {
        CanonicalRequest.query(
            items.filter { $0.name != excluded }.map { (name: $0.name, value: $0.value) })
    }
}
