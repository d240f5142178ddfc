import CyxCore
import CyxHTTP

@testable import CyxGateway

/// What clients say of data sets, and what is kept of it.
let datasetTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "dataset-fields",
        seeds: {
            [
                utf8(#"{"name":"N","description":"d","format":"csv","price":3,"license":"MIT"}"#),
                utf8(#"{"schema":{"features":["a","b"],"label":"c"},"access":{}}"#),
                utf8(
                    #"{"access":{"public_read":true,"public_list":false,"required_balance":9,"#
                        + #""allowed_compute_nodes":["n"],"required_token":"t"}}"#),
                utf8("{}"),
            ]
        },
        decode: { bytes in
            let fields = try taken(RESTError.self) {
                try DatasetFields(try JSONBody(bytes, allowing: DatasetFields.names))
            }
            guard let fields else { return false }
            var dataset = Dataset.fuzzed
            let applied: Void? = try taken(RESTError.self) { try fields.apply(to: &dataset) }
            guard applied != nil else { return true }
            try BrokenProperty.check(
                dataset.encoded.count <= Dataset.encodedBytesMax, "more than is kept")
            try BrokenProperty.check(
                Dataset(encoded: dataset.encoded) == dataset, "another data set comes back")
            return true
        }),
    FuzzTarget(
        name: "dataset-kept",
        seeds: { [Dataset.fuzzed.encoded] },
        decode: { bytes in
            try roundTrip(bytes, { Dataset(encoded: $0) }, { $0.encoded }) != nil
        }),
    FuzzTarget(
        name: "dataset-search",
        seeds: {
            [
                utf8("q=image+classification&min_size=1GB&max_size=1.5%20TiB"),
                utf8("format=csv&license=MIT&max_price=0"), utf8("after=0707:bafk"),
            ]
        },
        decode: { bytes in
            let query = try taken(S3Error.self) { try S3Query(target: "/?" + bytes.asText) }
            guard let query else { return false }
            guard let search = try taken(RESTError.self, { try DatasetSearch { query[$0] } })
            else { return false }
            try BrokenProperty.check(
                search.words.count <= DatasetSearch.wordsMax && search.priceMax >= 0, "bounds")
            if let after = search.after {
                try BrokenProperty.check(
                    DatasetSearch.Position(after.text) == after, "another position")
            }
            _ = search.finds(Dataset.fuzzed)
            return true
        }),
]

extension Dataset {
    fileprivate static let fuzzed = {
        var dataset = Dataset(
            cid: "bafk", bucket: "sets", key: "a/b.csv", version: nil, size: 1 << 30, chunks: 1024,
            created: WallTime(milliseconds: 1_750_000_000_000), name: "Flowers", format: "csv")
        dataset.access.isListed = true
        return dataset
    }()
}
