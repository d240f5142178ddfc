import CyxCore
import Testing

struct SocketAddressTests {
    /// Canonical forms from RFC 5952 §4 and §5 and RFC 4291 §2.2.
    @Test(arguments: [
        ("127.0.0.1:7700", "127.0.0.1:7700"),
        ("0.0.0.0:0", "0.0.0.0:0"),
        ("[::]:7700", "[::]:7700"),
        ("[::1]:65535", "[::1]:65535"),
        ("[2001:db8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80"),
        ("[2001:0DB8::0001]:80", "[2001:db8::1]:80"),
        ("[2001:db8:0:1:1:1:1:1]:1", "[2001:db8:0:1:1:1:1:1]:1"),
        ("[2001:0:0:1:0:0:0:1]:1", "[2001:0:0:1::1]:1"),
        ("[::ffff:192.0.2.1]:9", "192.0.2.1:9"),
        ("[64:ff9b::192.0.2.33]:9", "[64:ff9b::c000:221]:9"),
        ("[1::]:1", "[1::]:1"),
    ])
    func addressesAreReadAndWrittenInCanonicalForm(text: String, canonical: String) throws {
        let address = try SocketAddress(parsing: text)
        #expect(address.description == canonical)
        #expect(try SocketAddress(parsing: canonical) == address)
    }

    @Test func ipv4IsKeptMapped() throws {
        let address = try SocketAddress(parsing: "192.0.2.1:7700")
        #expect(address == SocketAddress(ipv4: (192, 0, 2, 1), port: 7700))
        #expect(address.isIPv4)
        #expect(try !SocketAddress(parsing: "[::1]:1").isIPv4)
    }

    @Test(arguments: [
        ("127.0.0.1", AddressError.missingPort("127.0.0.1")),
        ("", .missingPort("")),
        ("127.0.0.1:", .badPort("127.0.0.1:")),
        ("127.0.0.1:70000", .badPort("127.0.0.1:70000")),
        ("127.0.0.1:+7", .badPort("127.0.0.1:+7")),
        ("127.0.0.1:-7", .badPort("127.0.0.1:-7")),
        ("::1:7700", .badHost("::1:7700")),
        (":7700", .badHost(":7700")),
        ("[::1]", .missingPort("[::1]")),
        ("[127.0.0.1]:1", .badHost("[127.0.0.1]:1")),
        ("256.0.0.1:1", .notAnAddress("256.0.0.1")),
        ("01.0.0.1:1", .notAnAddress("01.0.0.1")),
        ("1.2.3:1", .notAnAddress("1.2.3")),
        ("[1::2::3]:1", .notAnAddress("1::2::3")),
        ("[1:2:3:4:5:6:7:8:9]:1", .notAnAddress("1:2:3:4:5:6:7:8:9")),
        ("[1:2:3:4:5:6:7::8:9]:1", .notAnAddress("1:2:3:4:5:6:7::8:9")),
        ("[12345::]:1", .notAnAddress("12345::")),
        ("[:::]:1", .notAnAddress(":::")),
        ("[+1::]:1", .notAnAddress("+1::")),
        ("peer.example:7700", .notAnAddress("peer.example")),
    ])
    func whatIsNoAddressIsRefusedWithItsReason(text: String, error: AddressError) {
        #expect(throws: error) { try SocketAddress(parsing: text) }
    }
}

struct WallTimeTests {
    /// Values of `date -u -d @SECONDS +%FT%TZ`.
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_772_368_245_250, "2026-03-01T12:30:45.250Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func timesAreWrittenAsRFC3339(milliseconds: Int64, text: String) {
        #expect(WallTime(milliseconds: milliseconds).rfc3339 == text)
    }
}
