import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct S3ErrorTests {
    /// "They leave when": a 503 that does not say when to come again.
    @Test func everyUnavailabilitySaysWhenToTryAgain() {
        for error in [
            S3Error("ServiceUnavailable", 503, "a"), S3Error("SlowDown", 503, "a"),
            S3Error(ObjectError.unavailable("a")),
        ] {
            let response = error.response(resource: "/", requestID: "1", isHead: false)
            #expect(response.headers["retry-after"] == "2")
        }
        let later = S3Error("SlowDown", 503, "a", retryAfter: 9)
        let response = later.response(resource: "/", requestID: "1", isHead: true)
        #expect(response.headers["retry-after"] == "9")
        let other = S3Error.noSuchKey.response(resource: "/", requestID: "1", isHead: false)
        #expect(other.headers["retry-after"] == nil)
    }

    @Test func whatIsNoRequestIsAnsweredInS3sWords() {
        for (refusal, code, status) in [
            (HTTPRefusal.malformed, "BadRequest", 400),
            (.headTooLarge, "RequestHeaderSectionTooLarge", 400),
            (.bodyTooLarge, "EntityTooLarge", 400),
            (.unknownVersion, "HttpVersionNotSupported", 505),
            (.unknownCoding, "NotImplemented", 501),
        ] {
            let error = S3Error(refusal)
            #expect(error.code == code)
            #expect(error.status == status)
        }
    }
}
