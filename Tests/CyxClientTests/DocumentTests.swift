import CyxClient
import CyxCore
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws -> JSONValue {
        try JSONValue(parsing: Array(text.utf8))
    }

    @Test func onlyNumbersOfTheGrammarThatDoublesReachAreTaken() throws {
        for text in ["+1", "01", "-", "1.", ".5", "1e", "1e+", "-01", "1e400", "-1e400"] {
            #expect(throws: JSONError.self) { try parse(text) }
        }
        #expect(try parse("-0.5e-3") == .number(-0.0005))
        #expect(try parse("[0,-0,10]") == .array([.integer(0), .integer(0), .integer(10)]))
    }

    @Test func readsAndWritesAValue() throws {
        let text = #"{"a":[1,-2.5,true,null],"b":{"c":"\"\\\n\u0001ü"},"d":{}}"#
        let value = try parse(text)
        #expect(value["a"] == .array([.integer(1), .number(-2.5), .bool(true), .null]))
        #expect(value["b"]?["c"]?.text == "\"\\\n\u{1}ü")
        #expect(value.encoded == text)
        #expect(
            try parse(#" [ "\uD83D\uDE00\/" , 1e3 ] "#) == .array([.string("😀/"), .number(1000)]))
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\"}", "\"\\x\"", "\"\\ud800\"", "tru", "1 2", "\"a\nb\"", "--1",
        "nul",
    ])
    func refusesWhatIsNoJSON(text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test func nestingIsBounded() {
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 100_000)) }
    }

    @Test func truncationsAndMutationsNeverTrap() {
        let bytes = Array(#"{"a":[1,-2.5e3,true,null,"\ud83d\ude00\n"],"b":{"c":false}}"#.utf8)
        var generator = SeededGenerator(seed: 5)
        for count in bytes.indices {
            #expect(throws: JSONError.self) { try JSONValue(parsing: Array(bytes[..<count])) }
        }
        for _ in 0..<20_000 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: mutated.indices, using: &generator)
                mutated[index] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? JSONValue(parsing: mutated)
        }
    }
}

@Suite struct S3ErrorTests {
    private func response(_ status: Int, _ body: String = "") -> HTTPResponse {
        HTTPResponse(
            status: status, headers: ["x-amz-request-id": "r1"], body: Array(body.utf8),
            byteCount: 0)
    }

    @Test func takesCodeAndMessageFromTheDocument() {
        let error = ClientError.s3(
            response(
                404,
                "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code>"
                    + "<Message>no bucket &lt;b&gt;</Message></Error>"),
            operation: "PutObject", bucket: "b", key: "k")
        #expect(
            error.text == """
                error NoSuchBucket: no bucket <b>
                  cause: PutObject b/k was answered with HTTP 404, request r1
                  try:   cyxcloud bucket create b
                """)
        #expect(!error.isTransient)
        #expect(error.json["status"] == .integer(404))
    }

    @Test func namesAnswersWithoutADocument() {
        func code(_ status: Int) -> String {
            ClientError.s3(response(status, "<html>"), operation: "o", bucket: "b", key: nil).code
        }
        #expect(code(404) == "NotFound")
        #expect(code(403) == "AccessDenied")
        #expect(code(418) == "HTTP418")
    }

    @Test(arguments: [(500, true), (503, true), (429, true), (501, false), (403, false)])
    func onlySomeErrorsAreWorthAnotherAttempt(status: Int, isTransient: Bool) {
        let error = ClientError.s3(response(status), operation: "o", bucket: nil, key: nil)
        #expect(error.isTransient == isTransient)
    }
}
