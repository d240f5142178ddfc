import CyxCore
import CyxCrypto
import CyxS3

/// Notations that people and other programs write: JSON, addresses, sizes, encoded bytes, dates.
let textTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "json",
        seeds: {
            [
                utf8(#"{"a":[1,-2.5e3,true,false,null],"b\n\u00e9":"\"\\\/\b","c":{}}"#),
                utf8(#"[9223372036854775807,-9223372036854775808,1e308,0.1,"\ud83d\ude00"]"#),
                utf8(" [[[[[[]]]]]] "),
            ]
        },
        decode: { bytes in
            let value = try taken(JSONError.self) { try JSONValue(parsing: bytes) }
            guard let value else { return false }
            let again = try taken(JSONError.self) { try JSONValue(parsing: utf8(value.encoded)) }
            try BrokenProperty.check(again == value, "\(value) becomes another")
            return true
        }),
    FuzzTarget(
        name: "address",
        seeds: {
            [
                "192.0.2.1:7700", "[2001:db8::1]:7700", "[::]:0", "[::ffff:192.0.2.1]:65535",
                "[1:2:3:4:5:6:7:8]:1", "localhost:80",
            ].map(utf8)
        },
        decode: { bytes in
            let text = bytes.asText
            let parts = try taken(AddressError.self) { try HostAndPort.split(text) }
            let address = try taken(AddressError.self) { try SocketAddress(parsing: text) }
            guard let address else { return parts != nil }
            let again = try SocketAddress(parsing: address.description)
            try BrokenProperty.check(again == address, "\(address) becomes \(again)")
            return true
        }),
    FuzzTarget(
        name: "units",
        seeds: { ["500GB", "1.5 GiB", "4096", "300ms", "30s", "7d", "0.5m", "1_000k"].map(utf8) },
        decode: { bytes in
            let text = bytes.asText
            let size = Units.parseBytes(text)
            if let size { _ = Units.format(bytes: size) }
            return size != nil || Units.parseDuration(text) != nil
        }),
    FuzzTarget(
        name: "encoded-bytes",
        seeds: {
            let bytes = Array(UInt8(0)..<33)
            return [
                [0] + utf8(Hex.encode(bytes)), [1] + utf8(Base64.encode(bytes)),
                [2] + utf8(Base64.encode(bytes, .url)), [3] + utf8(Base32.encode(bytes)),
                [4] + utf8("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"),
                [5] + utf8("a%20b%2F%C3%BC+c"),
            ]
        },
        decode: encodedBytes.decode),
    FuzzTarget(
        name: "cid",
        seeds: {
            [
                [0] + utf8(CID(rawContent: [1, 2, 3]).text), [1] + CID(rawContent: []).bytes,
                [0] + utf8("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"),
            ]
        },
        decode: Choice(decoders: [
            { bytes in
                guard let cid = try taken(CIDError.self, { try CID(bytes.asText) }) else {
                    return false
                }
                return try CID(cid.text) == cid
            },
            { bytes in
                try exactRoundTrip(
                    bytes, { bytes in try taken(CIDError.self) { try CID(bytes: bytes) } },
                    { $0.bytes }) != nil
            },
        ]).decode),
    FuzzTarget(
        name: "date",
        seeds: {
            [
                "20130524T000000Z", "Fri, 24 May 2013 00:00:00 GMT", "20161231T235960Z",
                "Thu, 01 Jan 1970 00:00:00 GMT",
            ].map(utf8)
        },
        decode: { bytes in
            let text = bytes.asText
            guard let date = CivilDate(basic: text) ?? CivilDate(http: text) else { return false }
            let time = date.wallTime
            let again = CivilDate(basic: CivilDate(time).basic)
            try BrokenProperty.check(again?.wallTime == time, "\(date) becomes \(time.rfc3339)")
            try BrokenProperty.check(
                CivilDate(http: CivilDate(time).http)?.wallTime == time, "\(date) in HTTP")
            return true
        }),
]

/// Texts that stand for bytes, each in its one spelling where it has one.
private let encodedBytes = Choice(decoders: [
    { bytes in
        guard let value = Hex.decode(bytes.asText) else { return false }
        return Hex.encode(value) == bytes.asText.lowercased()
    },
    { bytes in
        try exactRoundTrip(bytes, { Base64.decode($0.asText) }, { utf8(Base64.encode($0)) }) != nil
    },
    { bytes in
        try exactRoundTrip(
            bytes, { Base64.decode($0.asText, .url) }, { utf8(Base64.encode($0, .url)) }) != nil
    },
    { bytes in
        try exactRoundTrip(bytes, { Base32.decode($0.asText) }, { utf8(Base32.encode($0)) }) != nil
    },
    { bytes in
        guard let value = Base58.decode(bytes.asText) else { return false }
        try BrokenProperty.check(value.count <= bytes.count, "longer than its text")
        return true
    },
    { bytes in
        guard let value = PercentEncoding.decode(bytes.asText) else { return false }
        let encoded = PercentEncoding.encode(value)
        try BrokenProperty.check(PercentEncoding.decode(encoded) == value, "another \(encoded)")
        return true
    },
])
