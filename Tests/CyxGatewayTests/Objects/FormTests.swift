import CyxCore
import CyxCrypto
import CyxHTTP
import Testing

@testable import CyxGateway

@Suite struct FormTests {
    private static let boundary = "9431149156168"

    private static func body(_ fields: [(String, String)], file: String?) -> String {
        var text = ""
        for (name, value) in fields {
            text += "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n"
            text += "\(value)\r\n"
        }
        if let file {
            text += "--\(boundary)\r\nContent-Disposition: form-data; name=\"file\"; "
            text += "filename=\"My\\\"File.txt\"\r\nContent-Type: text/plain\r\n\r\n\(file)\r\n"
            text += "--\(boundary)\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUp\r\n"
        }
        return text + "--\(boundary)--\r\n"
    }

    /// Reads a whole body in pieces of `step` bytes.
    private func read(_ text: String, step: Int = 1 << 20) throws -> (FormReader, String) {
        var reader = FormReader(boundary: FormTests.boundary)
        let bytes = Array(text.utf8)
        var file: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            file += try reader.read(Array(bytes[start..<min(start + step, bytes.count)]))
        }
        try reader.finish()
        return (reader, String(decoding: file, as: UTF8.self))
    }

    @Test func boundariesAreFoundInTypes() {
        #expect(FormReader.boundary("multipart/form-data; boundary=abc") == "abc")
        #expect(FormReader.boundary("Multipart/Form-Data; charset=x; Boundary=\"a b\"") == "a b")
        let long = String(repeating: "x", count: 71)
        for text in [
            nil, "", "text/plain; boundary=x", "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\(long)",
        ] {
            #expect(FormReader.boundary(text) == nil)
        }
    }

    @Test(arguments: [1, 2, 3, 7, 16, 64, 1 << 20])
    func itDoesNotMatterWhereABodyIsCut(step: Int) throws {
        let content = "a\r\nb\r\n--\r\n--943114915616\r\n-\r"
        let text = FormTests.body([("Key", "k"), ("x-amz-meta-a", "é\r\n--x")], file: content)
        let (reader, file) = try read(text, step: step)
        #expect(reader.fields.map(\.name) == ["key", "x-amz-meta-a"])
        #expect(reader.fields.map(\.value) == ["k", "é\r\n--x"])
        #expect(reader.filename == "My\"File.txt")
        #expect(file == content)
    }

    @Test func truncatedFormsAreIncomplete() throws {
        let text = FormTests.body([("key", "k")], file: "content")
        let bytes = Array(text.utf8)
        // Whole from the last boundary's second hyphen on.
        for count in 0..<(bytes.count - 2) {
            var reader = FormReader(boundary: FormTests.boundary)
            _ = try reader.read(Array(bytes[..<count]))
            let error = #expect(throws: S3Error.self) { try reader.finish() }
            #expect(error?.code == "IncompleteBody")
        }
    }

    @Test func fieldsAreBounded() throws {
        let long = String(repeating: "x", count: FormReader.maximumFieldBytes)
        for text in [
            FormTests.body([("key", long)], file: "f"),
            FormTests.body(
                (0...FormReader.maximumFields).map { ("x-ignore-\($0)", "") }, file: "f"),
            "--\(FormTests.boundary)\r\n" + long + long,
        ] {
            let error = #expect(throws: S3Error.self) { try read(text, step: 1000) }
            #expect(error?.code == "MaxPostPreDataLengthExceeded")
        }
        // The file is not.
        #expect(try read(FormTests.body([], file: long + long)).1.utf8.count == 40 << 10)
    }

    @Test func partsWithoutNamesAreRefused() {
        for text in ["\r\n\r\nx", "\r\nContent-Type: a\r\n\r\nx", "garbage\r\n"] {
            let error = #expect(throws: S3Error.self) {
                try read("--\(FormTests.boundary)" + text + "\r\n--\(FormTests.boundary)--")
            }
            #expect(error?.code == "MalformedPOSTRequest")
        }
    }

    // MARK: Policies

    private static let now = WallTime(milliseconds: 1_200_000_000_000)

    private func policy(_ json: String) throws -> FormPolicy {
        try FormPolicy(Base64.encode(Array(json.utf8)))
    }

    private func policy(conditions: String) throws -> FormPolicy {
        try policy(
            "{\"expiration\": \"2030-01-01T12:00:00.000Z\", \"conditions\": [\(conditions)]}")
    }

    @Test(arguments: [
        "", "[]", "{}", "{\"expiration\": \"2030-01-01T12:00:00Z\"}",
        "{\"conditions\": []}", "{\"expiration\": 7, \"conditions\": []}",
        "{\"expiration\": \"soon\", \"conditions\": []}",
        "{\"expiration\": \"2030-01-01 12:00:00+00:00\", \"conditions\": []}",
        "{\"expiration\": \"2030-01-01T12:00:00Z\", \"conditions\": {}}",
        "{\"expiration\": \"2030-01-01T12:00:00Z\", \"conditions\": [1]}",
        "{\"expiration\": \"2030-01-01T12:00:00Z\", \"conditions\": [{}]}",
        "{\"expiration\": \"2030-01-01T12:00:00Z\", \"conditions\": [[\"eq\", \"$key\"]]}",
        "{\"expiration\": \"2030-01-01T12:00:00Z\", \"conditions\": [[\"eq\", \"key\", \"k\"]]}",
        "{\"expiration\": \"2030-01-01T12:00:00Z\", \"conditions\": [[\"like\", \"$key\", \"k\"]]}",
        "{\"expiration\": \"2030-01-01T12:00:00Z\", "
            + "\"conditions\": [[\"content-length-range\", -1, 5]]}",
    ])
    func malformedPoliciesAreNamedSo(json: String) {
        let error = #expect(throws: S3Error.self) { try policy(json) }
        #expect(error?.code == "InvalidPolicyDocument")
        #expect(error?.status == 400)
    }

    @Test func conditionsDecideAndCoverEveryField() throws {
        let found = try policy(
            conditions: "{\"bucket\": \"b\"}, [\"StArTs-WiTh\", \"$Key\", \"user/\"], "
                + "{\"ACL\": \"private\"}, [\"starts-with\", \"$Content-Type\", \"\"], "
                + "[\"content-length-range\", \"3\", 9]")
        let good = [
            "bucket": "b", "key": "user/k", "acl": "private", "awsaccesskeyid": "x",
            "signature": "y", "policy": "z", "x-ignore-me": "1",
        ]
        try found.check(good, FormTests.now)
        #expect(found.lengths == 3...9)
        for (name, value) in [
            ("bucket", "c"), ("key", "other/k"), ("acl", "public-read"), ("acl", nil),
            ("x-amz-meta-a", "1"),
        ] as [(String, String?)] {
            var fields = good
            fields[name] = value
            let error = #expect(throws: S3Error.self) { try found.check(fields, FormTests.now) }
            #expect(error?.code == "AccessDenied")
        }
        let late = WallTime(milliseconds: 2_000_000_000_000)
        #expect(throws: S3Error.self) { try found.check(good, late) }
    }

    // MARK: Forms

    private func form(_ fields: [(String, String)]) throws -> PostedForm {
        let (reader, _) = try read(FormTests.body(fields, file: "content"))
        return try PostedForm(
            reader,
            HTTPRequest(
                method: "POST", target: "/b", headers: HTTPHeaders([("host", "h")]),
                received: Instant(nanoseconds: 0)))
    }

    @Test func fieldsBecomeHeadersAndTheFilenameTheKey() throws {
        let form = try form([
            ("key", "user/${filename}/${filename}"), ("acl", "public-read"),
            ("Content-Type", "text/x"), ("x-amz-meta-A", "b"), ("other", "c"),
            (
                "tagging",
                "<Tagging><TagSet><Tag><Key>a b</Key><Value>c=d</Value></Tag></TagSet></Tagging>"
            ),
        ])
        #expect(form.key == "user/My\"File.txt/My\"File.txt")
        #expect(form.headers["x-amz-acl"] == "public-read")
        #expect(form.headers["content-type"] == "text/x")
        #expect(form.headers["x-amz-meta-a"] == "b")
        #expect(form.headers["x-amz-tagging"] == "a%20b=c%3Dd")
        #expect(!form.headers.contains("other"))
        for fields in [[], [("key", "")]] {
            let error = #expect(throws: S3Error.self) { try self.form(fields) }
            #expect(error?.code == "InvalidArgument")
        }
    }

    /// The example of "Authenticating Requests in Browser-Based Uploads Using POST (AWS Signature
    /// Version 4)": its policy in base 64 and its signature.
    @Test func thePolicyOfTheDocumentationIsSigned() throws {
        let policy =
            "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAg"
            + "ICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXki"
            + "LCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19h"
            + "Y3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1"
            + "Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAi"
            + "aW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7Ingt"
            + "YW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIk"
            + "eC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5O"
            + "N0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxn"
            + "b3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAw"
            + "MDAwWiIgfQ0KICBdDQp9"
        let fields = [
            ("key", "user/user1/f"), ("policy", policy), ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
            ("x-amz-date", "20151229T000000Z"),
            (
                "x-amz-signature",
                "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
            ),
        ]
        let signer = try form(fields).signer { _ in SigV4Tests.secret }
        #expect(signer == "AKIAIOSFODNN7EXAMPLE")
        let error = #expect(throws: S3Error.self) { try form(fields).signer { _ in "other" } }
        #expect(error?.code == "SignatureDoesNotMatch")
    }

    @Test func signaturesOfVersion2AreChecked() throws {
        let code = HMACSHA1.code(key: Array("secret".utf8), Array("cG9saWN5".utf8))
        let fields = [
            ("key", "k"), ("policy", "cG9saWN5"), ("AWSAccessKeyId", "id"),
            ("Signature", Base64.encode(code)),
        ]
        #expect(try form(fields).signer { _ in "secret" } == "id")
        #expect(throws: S3Error.self) { try form(fields).signer { _ in "other" } }
        for left in 1...3 {
            var rest = fields
            rest.remove(at: left)
            let error = #expect(throws: S3Error.self) { try form(rest).signer { _ in "secret" } }
            #expect(error?.code == "InvalidArgument")
        }
        #expect(try form([("key", "k")]).signer { _ in "secret" } == nil)
    }
}
