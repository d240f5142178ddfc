import CyxCore
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct DatasetCatalogTests {
    private static func catalog() -> (DatasetCatalog, MemoryObjects) {
        let objects = MemoryObjects { WallTime(milliseconds: 5) }
        return (DatasetCatalog(service: objects), objects)
    }

    private static func dataset(_ cid: String, _ name: String = "n") -> Dataset {
        DatasetTests.dataset { ($0.cid, $0.name) = (cid, name) }
    }

    @Test func anAccountWithoutAnyHasNone() async throws {
        let (catalog, _) = Self.catalog()
        #expect(try await catalog.find("a") == nil)
        let page = try await catalog.page(after: "", limit: 9)
        #expect(page.datasets.isEmpty && page.next == nil)
    }

    @Test func dataSetsAreAddedOnceChangedAndRemoved() async throws {
        let (catalog, _) = Self.catalog()
        try await catalog.prepare()
        try await catalog.prepare()
        try await catalog.add(Self.dataset("a", "first"))
        await #expect(throws: ObjectError.preconditionFailed) {
            try await catalog.add(Self.dataset("a", "second"))
        }
        #expect(try await catalog.find("a")?.name == "first")
        #expect(try await catalog.update("a") { $0.name = "third" }.name == "third")
        #expect(try await catalog.find("a")?.name == "third")
        await #expect(throws: RESTError.denied("no")) {
            _ = try await catalog.update("a") { dataset in
                dataset.name = "fourth"
                throw RESTError.denied("no")
            }
        }
        #expect(try await catalog.find("a")?.name == "third")
        await #expect(throws: ObjectError.self) { _ = try await catalog.update("b") { _ in } }
        try await catalog.remove("a")
        #expect(try await catalog.find("a") == nil)
    }

    @Test func pagesHoldAllInOrder() async throws {
        let (catalog, _) = Self.catalog()
        try await catalog.prepare()
        let names = (0..<150).map { "c" + String(1000 + $0) }
        for name in names.shuffled() { try await catalog.add(Self.dataset(name)) }
        for limit in [1, 7, 64, 1000] {
            var (seen, after): ([String], String?) = ([], "")
            while let from = after {
                let page = try await catalog.page(after: from, limit: limit)
                #expect(page.datasets.count <= min(limit, DatasetCatalog.pageMax))
                seen += page.datasets.map(\.cid)
                after = page.next
            }
            #expect(seen == names)
        }
    }

    @Test func whatIsNotOfTheCatalogSaysNothing() async throws {
        let (catalog, objects) = Self.catalog()
        try await catalog.prepare()
        var options = PutOptions()
        _ = try await objects.put(
            "cid/plain", in: catalog.bucket, options: options, body: FixedBytes([1]))
        // One that was copied under another CID.
        options.attributes = ["dataset": Self.dataset("a").encoded]
        _ = try await objects.put(
            "cid/b", in: catalog.bucket, options: options, body: FixedBytes([]))
        #expect(try await catalog.find("plain") == nil)
        #expect(try await catalog.find("b") == nil)
        #expect(try await catalog.page(after: "", limit: 9).datasets.isEmpty)
    }

    @Test func clientsMakeNoBucketsOfItsName() {
        let (catalog, _) = Self.catalog()
        #expect(catalog.bucket.utf8.count <= 63)
        #expect(S3Request.objection(to: catalog.bucket) != nil)
        #expect(S3Request.objection(to: "cyx-dataset-x") == nil)
    }

    // MARK: Uploads

    private static func form(_ parts: [(head: String, value: String)]) -> String {
        parts.map { "--b\r\nContent-Disposition: form-data; \($0)\r\n\r\n\($1)\r\n" }.joined()
            + "--b--\r\n"
    }

    private static let file = (head: "name=\"file\"; filename=\"f.csv\"", value: "a\r\n--c")

    private static func field(_ name: String, _ value: String) -> (head: String, value: String) {
        ("name=\"\(name)\"", value)
    }

    private static func read(
        _ text: String, step: Int = 5, check: @escaping @Sendable (DatasetFields) throws -> Void
    ) async throws -> (upload: DatasetUpload, bytes: String) {
        let source = PiecewiseBytes(Array(text.utf8), pieceBytes: step)
        let upload = try await DatasetUpload(source, boundary: "b", check: check)
        var (reading, bytes) = (upload, [UInt8]())
        while let more = try await reading.next() { bytes += more }
        return (upload, String(decoding: bytes, as: UTF8.self))
    }

    private static func read(
        _ text: String, step: Int = 5
    ) async throws -> (upload: DatasetUpload, bytes: String) {
        try await read(text, step: step) { _ in }
    }

    @Test(arguments: [1, 3, 64, 4096])
    func fieldsMayStandBeforeAndAfterTheFile(step: Int) async throws {
        let text = Self.form([
            Self.field("bucket", "sets"), Self.field("key", "k"), Self.field("price", "3"),
            Self.file, Self.field("name", "N"), Self.field("schema", #"{"label":"l"}"#),
        ])
        let (upload, bytes) = try await Self.read(text, step: step)
        #expect(bytes == Self.file.value)
        #expect(upload.fileName == "f.csv")
        #expect(try upload.place.text("bucket") == "sets" && upload.place.text("key") == "k")
        #expect(upload.outcome.size == 6)
        let fields = upload.outcome.fields
        #expect(fields.name == "N" && fields.label == "l" && fields.price == 3)
    }

    @Test func formsThatAreWrongEndInAnErrorBeforeTheirEnd() async throws {
        for parts in [
            [Self.field("name", "x")], [Self.file, Self.file],
            [Self.field("nane", "x"), Self.file],
            [Self.file, Self.field("nane", "x")], [Self.file, Self.field("bucket", "b")],
            [Self.field("name", "x"), Self.file, Self.field("name", "y")],
            [Self.field("price", "x"), Self.file], [Self.field("size", "-"), Self.file],
            [Self.field("access", "{\"a\":1}"), Self.file],
        ] {
            do {
                _ = try await Self.read(Self.form(parts))
                Issue.record("taken: \(parts)")
            } catch is RESTError {} catch is S3Error {}
        }
        let whole = Self.form([Self.field("name", "x"), Self.file])
        // Whole from the last boundary's second hyphen on.
        for count in 0..<(whole.utf8.count - 2) {
            do {
                let cut = String(decoding: whole.utf8.prefix(count), as: UTF8.self)
                _ = try await Self.read(cut)
                Issue.record("taken: \(count) bytes")
            } catch is RESTError {} catch is S3Error {}
        }
    }

    @Test func whatMayNotBeSaidEndsTheUploadWhereverItStands() async throws {
        let field = Self.field("access", "{}")
        for parts in [[field, Self.file], [Self.file, field]] {
            await #expect(throws: RESTError.denied("no")) {
                _ = try await Self.read(Self.form(parts)) { fields in
                    if fields.access != nil { throw RESTError.denied("no") }
                }
            }
        }
    }
}
