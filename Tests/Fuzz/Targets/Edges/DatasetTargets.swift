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
    FuzzTarget(
        name: "npy-header",
        seeds: {
            [
                try NumpyHeader(type: "<f4", shape: [32, 28, 28]).encoded(rows: 32),
                try NumpyHeader(type: "|S7", shape: [3]).encoded(rows: 3),
                try NumpyHeader(type: "<M8[25us]", shape: [3, 1]).encoded(rows: 0),
            ]
        },
        decode: { bytes in
            let header = try taken(SampleFault.self) { try NumpyHeader(parsing: bytes) }
            guard let header else { return false }
            let (data, isOver) = header.rows.multipliedReportingOverflow(by: header.rowBytes)
            try BrokenProperty.check(
                !isOver && data <= UInt64(Int64.max) && header.dataOffset <= bytes.count, "sizes")
            let written = header.encoded(rows: header.rows)
            var again = try NumpyHeader(parsing: written)
            try BrokenProperty.check(again.dataOffset == written.count, "another end of the head")
            again.dataOffset = header.dataOffset
            try BrokenProperty.check(again == header, "another head")
            return true
        }),
    FuzzTarget(
        name: "sample-lines",
        bytesMax: 512,
        trials: 1500,
        seeds: {
            [
                [0] + utf8("{\"a\":1}\n[2]\r\n\n3"), [1] + utf8("1\n2\n3\n4\n"),
                [2] + utf8("a,\"b\nc\"\n1,\"x\"\"\"\n"), [3] + utf8("a,b\n1,2\n,-3e5\n"),
                [4] + utf8("a\n1\n"),
            ]
        },
        decode: { bytes in
            guard let first = bytes.first, first < 5 else { return false }
            let text = Array(bytes.dropFirst())
            let whole = try SampleRun(first, text, step: max(1, text.count))
            let pieces = try SampleRun(first, text, step: 1)
            try BrokenProperty.check(whole == pieces, "batches depend on how the text is cut")
            // Nesting is bounded, and a batch is two deeper than what is in it.
            if whole.isJSON, text.count(where: { $0 == 0x5B || $0 == 0x7B }) < 24 {
                for batch in whole.batches { _ = try JSONValue(parsing: batch) }
            }
            return whole.fault == nil
        }),
]

/// What becomes of a text that comes in pieces of so many bytes.
private struct SampleRun: Equatable {
    var batches: [[UInt8]] = []
    var fault: SampleFault?
    var isJSON: Bool

    init(_ choice: UInt8, _ text: [UInt8], step: Int) throws {
        let output: SampleBatcher.Output =
            switch choice {
            case 0, 2: .jsonLines
            case 3: .numpy
            default: .lines
            }
        isJSON = output == .jsonLines
        var machine = try SampleBatcher(
            choice < 2 ? .jsonLines : .csv, as: output,
            SampleSlice(batch: 2, dropsLast: choice == 1))
        do throws(SampleFault) {
            for start in stride(from: 0, to: text.count, by: step) {
                try machine.take(
                    Array(text[start..<min(start + step, text.count)]), into: &batches)
            }
            try machine.finish(into: &batches)
        } catch { fault = error }
    }
}

extension Dataset {
    fileprivate static let fuzzed = {
        var dataset = Dataset(
            cid: "bafk", bucket: "sets", key: "a/b.csv", version: nil, size: 1 << 30, chunks: 1024,
            created: WallTime(milliseconds: 1_750_000_000_000), name: "Flowers", format: "csv")
        dataset.access.isListed = true
        return dataset
    }()
}
