import CyxCore
import CyxCrypto
import CyxObjects

@testable import CyxGateway

/// What clients of the REST interface send: tokens, and bodies in JSON.
let restTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "session-token",
        seeds: {
            var limits = AccessKeyLimits()
            (limits.bucket, limits.prefix, limits.rights) = ("photos", "in/", .read)
            var tokens = [SessionToken.fuzzed, SessionToken.fuzzed]
            (tokens[1].limits, tokens[1].isOfLimitedKey) = (limits, true)
            return tokens.map { utf8($0.signed(with: SessionToken.fuzzKey)) }
                // Payloads that their key has signed, whatever they are.
                + tokens.map { [1] + utf8($0.claimsText) }
        },
        decode: { bytes in
            let text =
                bytes.first == 1
                ? SessionToken.fuzzSigned(Array(bytes.dropFirst())) : bytes.asText
            let token = try taken(TokenFault.self) {
                try SessionToken.verified(
                    try SessionToken.receive(text, for: .session),
                    by: SessionToken.fuzzKey.verifyingKey, now: SessionToken.fuzzed.issued)
            }
            guard let token else { return false }
            let again = try SessionToken.verified(
                try SessionToken.receive(token.signed(with: SessionToken.fuzzKey), for: .session),
                by: SessionToken.fuzzKey.verifyingKey, now: SessionToken.fuzzed.issued)
            try BrokenProperty.check(again == token, "another token")
            let hour = token.issued.milliseconds + SessionToken.lifetimeSeconds * 1000
            try BrokenProperty.check(token.expires.milliseconds <= hour, "a longer life")
            return true
        }),
    FuzzTarget(
        name: "rest-body",
        seeds: {
            [
                utf8(#"{"bucket":"photos","prefix":"in/","rights":"read","seconds":60}"#),
                utf8(#"{"rights":"write"}"#), utf8(#"{"bucket":null}"#), [],
                utf8(#"{"bucket":"photos","key":"a","expires":"24h","password":"p"}"#),
                utf8(#"{"bucket":"photos","prefix":"a/","expires":60,"download":false}"#),
            ]
        },
        decode: { bytes in
            let names: Set = [
                "bucket", "prefix", "rights", "seconds", "key", "expires", "password", "download",
            ]
            guard let body = try taken(RESTError.self, { try JSONBody(bytes, allowing: names) })
            else { return false }
            var own = AccessKeyLimits()
            (own.bucket, own.prefix) = ("photos", "in/")
            let limits = try taken(RESTError.self) { try RESTGateway.limits(body, within: own) }
            if let limits {
                try BrokenProperty.check(
                    limits.map { own.contains($0) } ?? false, "a token that may more than its key")
            }
            let place = try taken(RESTError.self) { try RESTGateway.place(body) }
            if let place, place.isFolder {
                try BrokenProperty.check(
                    place.path.isEmpty || place.path.hasSuffix("/"), "a folder without an end")
            }
            let now = WallTime(milliseconds: 1_750_000_000_000)
            let end = try taken(RESTError.self) { try RESTGateway.expiry(body, now) }
            if let end, let end { try BrokenProperty.check(now < end, "a link that has ended") }
            return true
        }),
    FuzzTarget(
        name: "link",
        seeds: {
            let path = LinkToken.path(Array(0..<32))
            return [utf8(path), utf8(path + "/a%20b/c")]
        },
        decode: { bytes in
            let text = bytes.asText
            try BrokenProperty.check(
                !LinkPage.escaped(text).contains { "<>\"'".contains($0) }, "markup in a text")
            let header = FileName.disposition(FileName.last(of: text))
            try BrokenProperty.check(
                header.utf8.allSatisfy { (0x20..<0x7F).contains($0) }
                    && header.utf8.count { $0 == UInt8(ascii: "\"") } == 2, "a torn header")
            guard let link = LinkToken.parse(text[...]) else { return false }
            try BrokenProperty.check(
                text.hasPrefix(LinkToken.path(link.token)), "a token with a second spelling")
            return true
        }),
]

extension SessionToken {
    fileprivate static let fuzzKey = SigningKey(seed: [UInt8](repeating: 5, count: 32))

    fileprivate static let fuzzed = SessionToken(
        account: "a1", subject: "CYK1", id: [UInt8](repeating: 9, count: 16),
        issued: WallTime(milliseconds: 1_750_000_000_000),
        expires: WallTime(milliseconds: 1_750_000_900_000))

    /// The middle part of the token, decoded.
    fileprivate var claimsText: String {
        let payload = signed(with: SessionToken.fuzzKey).split(separator: ".")[1]
        return (Base64.decode(String(payload), .url) ?? []).asText
    }

    fileprivate static func fuzzSigned(_ payload: [UInt8]) -> String {
        let header = fuzzed.signed(with: fuzzKey).prefix { $0 != "." }
        let text = header + "." + Base64.encode(payload, .url)
        return text + "." + Base64.encode(fuzzKey.sign(Array(text.utf8)), .url)
    }
}
