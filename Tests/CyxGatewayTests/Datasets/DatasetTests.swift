import CyxCore
import CyxHTTP
import CyxObjects
import CyxS3
import Testing

@testable import CyxGateway

@Suite struct DatasetTests {
    static func dataset(_ change: (inout Dataset) -> Void = { _ in }) -> Dataset {
        var dataset = Dataset(
            cid: "bafk", bucket: "sets", key: "a/\"ü\".csv", version: "v1", size: 1 << 40,
            chunks: 7, created: WallTime(milliseconds: 1_750_000_000_123), name: "Flowers",
            format: "csv")
        change(&dataset)
        return dataset
    }

    static func body(_ json: String, _ names: Set<String> = DatasetFields.names) throws -> JSONBody
    {
        try JSONBody(Array(json.utf8), allowing: names)
    }

    // MARK: What is kept

    @Test func whatIsKeptComesBack() {
        for dataset in [
            Self.dataset(), Self.dataset { $0.version = nil },
            Self.dataset {
                ($0.text, $0.features, $0.label) = ("é\n\"", ["a", ""], "kind")
                ($0.price, $0.license) = (1 << 53, "CC0")
                ($0.access.isPublic, $0.access.isListed) = (true, true)
                $0.access.readers = [String(repeating: "ab", count: 32)]
                $0.access.computeNodes = ["n"]
                ($0.access.requiredToken, $0.access.requiredBalance) = ("t", 9)
            },
        ] {
            #expect(Dataset(encoded: dataset.encoded) == dataset)
            for count in 0..<dataset.encoded.count {
                #expect(Dataset(encoded: Array(dataset.encoded[..<count])) == nil)
            }
        }
    }

    @Test func accessThatCannotBeReadIsNotTakenForNone() {
        let text = String(decoding: Self.dataset().encoded, as: UTF8.self)
        for (old, new) in [
            (#""required_balance":0"#, #""required_balance":-1"#),
            (#""required_token":null"#, #""required_tokens":null"#),
            (#""allowed_readers":[]"#, #""allowed_readers":["x"]"#),
        ] {
            #expect(text.contains(old))
            let changed = text.replacing(old, with: new)
            #expect(Dataset(encoded: Array(changed.utf8)) == nil)
        }
    }

    // MARK: What requests say

    @Test func whatIsLeftOutStays() throws {
        var dataset = Self.dataset { ($0.license, $0.label, $0.features) = ("MIT", "l", ["f"]) }
        let old = dataset
        try DatasetFields(try Self.body("{}")).apply(to: &dataset)
        #expect(dataset == old)
        let json = #"{"name":"N","schema":{"label":""},"price":3,"access":{"public_list":true}}"#
        try DatasetFields(try Self.body(json)).apply(to: &dataset)
        #expect(dataset.name == "N" && dataset.label == nil && dataset.features == ["f"])
        #expect(dataset.price == 3 && dataset.license == "MIT" && dataset.access.isListed)
        try DatasetFields(try Self.body(#"{"access":{"public_read":true}}"#)).apply(to: &dataset)
        #expect(dataset.access.isListed && dataset.access.isPublic)
    }

    @Test(arguments: [
        #"{"name":""}"#, #"{"name":7}"#, #"{"price":-1}"#, #"{"price":1.5}"#,
        #"{"price":9007199254740993}"#, #"{"format":""}"#, #"{"format":"CSV"}"#,
        #"{"format":"a/b"}"#, #"{"schema":[]}"#, #"{"schema":{"feature":[]}}"#,
        #"{"schema":{"features":"a"}}"#, #"{"schema":{"features":[1]}}"#,
        #"{"description":"\u0000"}"#, #"{"access":true}"#, #"{"access":{"public":true}}"#,
        #"{"access":{"public_read":1}}"#, #"{"access":{"allowed_readers":["abc"]}}"#,
        #"{"access":{"required_balance":-1}}"#, #"{"cid":"x"}"#, #"{"size":1}"#,
    ])
    func whatIsWrongIsRefused(json: String) {
        let error = #expect(throws: RESTError.self) { try DatasetFields(try Self.body(json)) }
        #expect(error?.code == "InvalidArgument")
    }

    @Test func whatIsSaidIsBounded() throws {
        func fields(_ json: String) throws -> DatasetFields { try DatasetFields(Self.body(json)) }
        let name = String(repeating: "n", count: 256)
        #expect(try fields(#"{"name":"\#(name)"}"#).name == name)
        #expect(throws: RESTError.self) { try fields(#"{"name":"\#(name)n"}"#) }
        let text = String(repeating: "t", count: 4096)
        #expect(try fields(#"{"description":"\#(text)"}"#).text == text)
        #expect(throws: RESTError.self) { try fields(#"{"description":"\#(text)t"}"#) }
        let id = String(repeating: "0", count: 62)
        func readers(_ count: Int) -> String {
            let ids = (0..<count).map { "\"\(id)\(Hex.encode([UInt8($0 % 256)]))\"" }
            return #"{"access":{"allowed_readers":[\#(ids.joined(separator: ","))]}}"#
        }
        #expect(try fields(readers(256)).access != nil)
        // Each counts once.
        var dataset = Self.dataset()
        try fields(readers(300)).apply(to: &dataset)
        #expect(dataset.access.readers.count == 256)
        let nodes = (0...256).map { "\"n\($0)\"" }.joined(separator: ",")
        #expect(throws: RESTError.self) {
            try fields(#"{"access":{"allowed_compute_nodes":[\#(nodes)]}}"#)
        }
        // All of it together is, too.
        let features = (0..<200).map { _ in "\"\(name)\"" }.joined(separator: ",")
        let large = try fields(#"{"schema":{"features":[\#(features)]}}"#)
        #expect(throws: RESTError.self) { try large.apply(to: &dataset) }
    }

    @Test func formatsAreTakenFromNames() {
        for (name, format) in [
            ("a.csv", "csv"), ("a/b.tar.GZ", "gz"), ("", "raw"), ("csv", "raw"), ("a.", "raw"),
            ("a.b c", "raw"), ("é.npy", "npy"),
        ] {
            #expect(DatasetFields.format(ofFile: name) == format)
        }
    }

    @Test func chunksAreThoseOfTheRule() {
        let gibibyte: UInt64 = 1 << 30
        // Exactly 1 GiB is of medium size (CF-24).
        #expect(RESTGateway.chunks(gibibyte, gibibyte) == 1024)
        #expect(RESTGateway.chunks(gibibyte + 1, gibibyte + 1) == 257)
        #expect(RESTGateway.chunks(10 * gibibyte, 10 * gibibyte) == 2560)
        #expect(RESTGateway.chunks(10 * gibibyte, nil) == 10240)
        #expect(RESTGateway.chunks(0, nil) == 0)
        #expect(RESTGateway.chunks(1, nil) == 1)
        var info = ObjectInfo(
            key: "k", size: 13 << 20, etag: "", modified: WallTime(milliseconds: 0), headers: [:],
            checksums: [:], cid: "", redundancy: "")
        info.parts = [ObjectPart(number: 1, size: 6 << 20), ObjectPart(number: 2, size: 7 << 20)]
        info.parts[0].size += 1
        #expect(RESTGateway.chunks(of: info) == 14)
    }

    @Test func replicationIsOneMoreThanTheLossesBorne() {
        func durability(_ code: String) -> JSONValue {
            let info = ObjectInfo(
                key: "k", size: 1, etag: "", modified: WallTime(milliseconds: 0), headers: [:],
                checksums: [:], cid: "", redundancy: code)
            return .object(RESTGateway.durability(info))
        }
        #expect(durability("rs(10,4)")["replication_factor"] == .integer(5))
        #expect(durability("rs(10,4)")["expansion"] == .number(1.4))
        #expect(durability("rs(1,0)")["replication_factor"] == .integer(1))
        #expect(durability("rows")["replication_factor"] == .null)
        #expect(durability("rs(0,4)")["expansion"] == .null)
    }

    // MARK: Searches

    private func search(_ query: String) throws -> DatasetSearch {
        let query = try S3Query(target: "/?" + query)
        return try DatasetSearch { query[$0] }
    }

    @Test(arguments: [
        ("", true), ("q=flow", true), ("q=FLOWERS+roses", true), ("q=flowers+tulips", false),
        ("q=width", true), ("min_size=1TB", true), ("min_size=1.1TB", false),
        ("max_size=1TiB", true), ("max_size=1GB", false), ("format=csv", true),
        ("format=npy", false), ("license=cc0", true), ("license=cc", false), ("max_price=5", true),
        ("max_price=4", false),
    ])
    func searchesFindWhatFitsAll(query: String, isFound: Bool) throws {
        var dataset = Self.dataset {
            ($0.text, $0.features, $0.license, $0.price) = ("with roses", ["width"], "CC0", 5)
            $0.access.isListed = true
        }
        #expect(try search(query).finds(dataset) == isFound)
        dataset.access.isListed = false
        #expect(try !search(query).finds(dataset))
    }

    @Test(arguments: [
        "min_size=x", "min_size=-1", "min_size=1XB", "min_size=1e400", "min_size=2GB&max_size=1GB",
        "max_price=-1", "max_price=x", "after=x", "after=a:b:c", "after=a:b%0A",
        "q=a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q",
    ])
    func searchesThatMeanNothingAreRefused(query: String) {
        #expect(throws: RESTError.self) { try search(query) }
    }

    @Test func positionsOfSearchesComeBack() throws {
        let position = DatasetSearch.Position(account: "07", cid: "bafk")
        #expect(try search("after=" + position.text).after == position)
    }
}
