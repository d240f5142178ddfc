internal import CyxCore
internal import CyxHTTP

/// What `GET /api/v1/marketplace/search` looks for, and how far a request has come. Pure.
struct DatasetSearch: Equatable, Sendable {
    static let names: Set<String> = [
        "q", "min_size", "max_size", "format", "license", "max_price", "limit", "after",
    ]
    static let wordsMax = 16

    /// Where a request goes on: behind that data set of that account.
    struct Position: Equatable, Sendable {
        var account: String
        var cid: String

        var text: String { account + ":" + cid }

        init(account: String, cid: String) {
            self.account = account
            self.cid = cid
        }

        /// Nil for what no gateway gave out.
        init?(_ text: String) {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, text.utf8.count <= 256,
                text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
            else { return nil }
            account = String(parts[0])
            cid = String(parts[1])
        }
    }

    /// In lower case; each must stand somewhere in what is said of a data set.
    var words: [String] = []
    var sizes: ClosedRange<UInt64> = 0...UInt64.max
    var format: String?
    var license: String?
    var priceMax = Int64.max
    var after: Position?

    init() {}

    /// `value`: what the query has under a name.
    @inline(never)
    init(_ value: (String) -> String?) throws(RESTError) {
        words = (value("q") ?? "").lowercased().split(separator: " ").map(String.init)
        guard words.count <= DatasetSearch.wordsMax else {
            throw .invalid("`q` has more than \(DatasetSearch.wordsMax) words")
        }
        let least = try DatasetSearch.size("min_size", value) ?? 0
        let most = try DatasetSearch.size("max_size", value) ?? .max
        guard least <= most else { throw .invalid("`min_size` is more than `max_size`") }
        sizes = least...most
        format = value("format")?.lowercased()
        license = value("license")?.lowercased()
        if let text = value("max_price") {
            guard let price = Int64(text), price >= 0 else {
                throw .invalid("`max_price` is no whole number from 0 on")
            }
            priceMax = price
        }
        if let text = value("after") {
            guard let position = Position(text) else {
                throw .invalid("`after` is no `next` of an earlier answer")
            }
            after = position
        }
    }

    /// `1GB` is 2^30 bytes, as everywhere here.
    private static func size(
        _ name: String, _ value: (String) -> String?
    ) throws(RESTError) -> UInt64? {
        guard let text = value(name) else { return nil }
        guard text.utf8.count <= 32, let size = Units.parseBytes(text) else {
            throw .invalid("`\(name)` is no size such as 1GB or 500MiB")
        }
        return size
    }

    func finds(_ dataset: Dataset) -> Bool {
        guard dataset.access.isListed, sizes.contains(dataset.size), dataset.price <= priceMax,
            format == nil || format == dataset.format,
            license == nil || license == dataset.license.lowercased()
        else { return false }
        guard !words.isEmpty else { return true }
        let said = [
            dataset.name, dataset.text, dataset.format, dataset.license, dataset.label ?? "",
        ]
        let text = (said + dataset.features).joined(separator: "\n").lowercased()
        return words.allSatisfy { text.contains($0) }
    }
}

/// Searches go through what the accounts of this gateway say of their data sets, account by account
/// and CID by CID: a request looks at so many and tells where the next one goes on. That is good for
/// some ten thousand data sets; the registry of a marketplace is to take its place.
extension RESTGateway {
    /// Data sets that one request looks at.
    static let searchedMax = 1024

    func searchDatasets(_ call: DatasetCall) async throws -> HTTPResponse {
        try call.checkQuery(DatasetSearch.names)
        let search = try DatasetSearch { call.query[$0] }
        let limit = try call.number("limit", in: 1...RESTGateway.datasetsOfPage)
        let page = try await run(search, Int(limit ?? RESTGateway.datasetsOfPage))
        let datasets = page.found.map { JSONValue.object(RESTGateway.describe($0, call)) }
        return RESTGateway.json(
            .object([
                ("datasets", .array(datasets)), ("next", .optional(page.next?.text)),
            ]))
    }

    private struct SearchPage {
        var found: [FoundDataset] = []
        var next: DatasetSearch.Position?
    }

    @inline(never)
    private func run(_ search: DatasetSearch, _ limit: Int) async throws -> SearchPage {
        var page = SearchPage()
        var looked = 0
        let start = search.after?.account ?? ""
        for account in s3.accounts.all.sorted(by: { $0.id < $1.id }) where account.id >= start {
            var after: String? = account.id == start ? search.after?.cid ?? "" : ""
            while let cid = after {
                // Behind a page that was just full there may be nothing more: then the next is empty.
                guard looked < RESTGateway.searchedMax, page.found.count < limit else {
                    page.next = DatasetSearch.Position(account: account.id, cid: cid)
                    return page
                }
                let batch = try await catalog(account).page(
                    after: cid, limit: DatasetCatalog.pageMax)
                looked += max(1, batch.datasets.count)
                after = batch.next
                for dataset in batch.datasets where search.finds(dataset) {
                    page.found.append(FoundDataset(dataset: dataset, owner: account))
                    guard page.found.count == limit else { continue }
                    page.next = DatasetSearch.Position(account: account.id, cid: dataset.cid)
                    return page
                }
            }
        }
        return page
    }
}
