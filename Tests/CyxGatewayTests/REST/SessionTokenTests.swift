import CyxCore
import CyxCrypto
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct SessionTokenTests {
    private static let key = SigningKey(seed: [UInt8](repeating: 3, count: 32))
    private static let now = WallTime(milliseconds: 1_750_000_000_000)

    private static func token(_ change: (inout SessionToken) -> Void = { _ in }) -> SessionToken {
        var token = SessionToken(
            account: "a1", subject: "CYK1", id: [UInt8](repeating: 9, count: 16), issued: now,
            expires: WallTime(milliseconds: now.milliseconds + 3_600_000))
        change(&token)
        return token
    }

    private static func read(
        _ text: String, for purpose: SessionToken.Purpose = .session, at time: WallTime = now,
        by key: SigningKey = key
    ) throws -> SessionToken {
        try SessionToken.verified(
            try SessionToken.receive(text, for: purpose), by: key.verifyingKey, now: time)
    }

    /// Signs any header and payload.
    private static func compact(_ header: String, _ payload: String) -> String {
        let text =
            Base64.encode(Array(header.utf8), .url) + "." + Base64.encode(Array(payload.utf8), .url)
        return text + "." + Base64.encode(key.sign(Array(text.utf8)), .url)
    }

    private static let header = #"{"alg":"EdDSA","typ":"cyx-session+jwt","kid":"a1"}"#
    private static let payload =
        #"{"iss":"a1","sub":"s","aud":"cyx-gateway","iat":1750000000,"exp":1750003600,"#
        + #""jti":"00112233445566778899aabbccddeeff"}"#

    @Test func aTokenSaysWhatItWasMadeWith() throws {
        var limits = AccessKeyLimits()
        (limits.bucket, limits.prefix, limits.rights) = ("photos", "in/\"ü\"", .read)
        for token in [
            Self.token(),
            Self.token { $0.limits = limits },
            Self.token { ($0.limits, $0.isOfLimitedKey) = (limits, true) },
            Self.token { $0.limits = AccessKeyLimits() },
        ] {
            #expect(try Self.read(token.signed(with: Self.key)) == token)
        }
        #expect(throws: Never.self) { try Self.read(Self.compact(Self.header, Self.payload)) }
    }

    /// RFC 8037 appendix A.4: the same bytes are signed, and the signature is spelt the same.
    @Test func signaturesAreThoseOfTheRFC() throws {
        let seed = try #require(Base64.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", .url))
        let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
        #expect(
            Base64.encode(SigningKey(seed: seed).sign(Array(input.utf8)), .url)
                == "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvp"
                + "Ar_MuM0KAg")
    }

    @Test func anyChangedCharacterIsRefused() {
        let text = Array(Self.token().signed(with: Self.key).utf8)
        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : 0x41
            #expect(throws: TokenFault.self) {
                try Self.read(String(decoding: changed, as: UTF8.self))
            }
            #expect(throws: TokenFault.self) {
                try Self.read(String(decoding: text[..<index], as: UTF8.self))
            }
        }
        let text1 = String(decoding: text, as: UTF8.self)
        for other in [text1 + "=", text1 + ".", " " + text1, text1 + "\n"] {
            #expect(throws: TokenFault.self) { try Self.read(other) }
        }
        let stranger = SigningKey(seed: [UInt8](repeating: 4, count: 32))
        #expect(throws: TokenFault.malformed("is not signed by its account")) {
            try Self.read(text1, by: stranger)
        }
    }

    @Test(arguments: [
        #"{"alg":"none","typ":"cyx-session+jwt","kid":"a1"}"#,
        #"{"alg":"HS256","typ":"cyx-session+jwt","kid":"a1"}"#,
        #"{"alg":"EdDSA","typ":"JWT","kid":"a1"}"#,
        #"{"alg":"EdDSA","typ":"cyx-link+jwt","kid":"a1"}"#,
        #"{"alg":"EdDSA","typ":"cyx-session+jwt"}"#,
        #"{"alg":"EdDSA","typ":"cyx-session+jwt","kid":"a1","jwk":{}}"#,
        #"{"alg":"EdDSA","typ":"cyx-session+jwt","kid":"a1","x5u":"https://x"}"#,
        #"{"alg":"EdDSA","alg":"EdDSA","typ":"cyx-session+jwt","kid":"a1"}"#,
        #"["EdDSA"]"#, "",
    ])
    func headersOfOtherTokensAreRefused(header: String) {
        #expect(throws: TokenFault.self) { try Self.read(Self.compact(header, Self.payload)) }
    }

    @Test(arguments: [
        ("\"iss\":\"a1\"", "\"iss\":\"a2\""), ("cyx-gateway", "others"), ("\"sub\":\"s\",", ""),
        ("1750003600", "1750003601"), ("1750003600", "1750000000"), ("1750000000", "-1"),
        ("1750000000", "1750000000.5"), ("1750003600", "9223372036854775807"),
        ("1750000000", "-9223372036854775808"), ("ccddeeff\"", "ccddee\""),
        ("\"sub\"", "\"iss\":\"a1\",\"sub\""), ("\"sub\"", "\"key\":true,\"sub\""),
        ("\"sub\"", "\"key\":false,\"sub\""), ("\"sub\"", "\"limits\":null,\"sub\""),
        ("\"sub\"", #""limits":{"bucket":null,"prefix":""},"sub""#),
        ("\"sub\"", #""limits":{"bucket":null,"prefix":"","rights":"own"},"sub""#),
        ("\"sub\"", #""limits":{"bucket":1,"prefix":"","rights":"all"},"sub""#),
        ("\"sub\"", #""limits":{"bucket":null,"prefix":"","rights":"all","x":1},"sub""#),
    ])
    func claimsThatNoGatewayGivesAreRefused(old: String, new: String) throws {
        let payload = try #require(Self.replace(old, by: new, in: Self.payload))
        let error = #expect(throws: TokenFault.self) {
            try Self.read(Self.compact(Self.header, payload))
        }
        if case .malformed? = error { return }
        Issue.record("refused as \(String(describing: error))")
    }

    private static func replace(_ old: String, by new: String, in text: String) -> String? {
        let (old, text) = (Array(old.utf8), Array(text.utf8))
        for start in text.indices where text[start...].starts(with: old) {
            let bytes = text[..<start] + Array(new.utf8) + text[(start + old.count)...]
            return String(decoding: bytes, as: UTF8.self)
        }
        return nil
    }

    @Test func tokensCountFromAMinuteBeforeTheirTimeUntilTheirEnd() throws {
        let text = Self.token().signed(with: Self.key)
        func read(after milliseconds: Int64) throws -> SessionToken {
            try Self.read(
                text, at: WallTime(milliseconds: Self.now.milliseconds + milliseconds))
        }
        for good: Int64 in [-60_000, 0, 3_599_999] {
            #expect(throws: Never.self) { try read(after: good) }
        }
        #expect(throws: TokenFault.self) { try read(after: -60_001) }
        #expect(throws: TokenFault.expired(Self.token().expires)) { try read(after: 3_600_000) }
    }

    @Test func tokensOfLinksAreNoneOfSessions() throws {
        let link = Self.token { $0.purpose = .link }.signed(with: Self.key)
        #expect(try Self.read(link, for: .link).purpose == .link)
        #expect(throws: TokenFault.self) { try Self.read(link) }
        #expect(throws: TokenFault.self) {
            try Self.read(Self.token().signed(with: Self.key), for: .link)
        }
    }

    @Test func longTokensAreRefusedBeforeTheyAreRead() {
        let long = String(repeating: "A", count: 4097)
        #expect(throws: TokenFault.malformed("is over 4 KiB")) { try Self.read(long) }
    }
}
