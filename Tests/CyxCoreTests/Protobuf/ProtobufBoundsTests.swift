import CyxCore
import Testing

/// What the decoder refuses, and that it never traps.
@Suite struct ProtobufBoundsTests {
    private func decode(_ hex: String) throws -> Everything {
        try Everything(protobuf: #require(Hex.decode(hex)))
    }

    @Test func unknownFieldsAreSkipped() throws {
        let bytes = try #require(Hex.decode(GoldenBytes.random[0]))
        let known = try Everything(protobuf: bytes)
        let little = try Little(protobuf: bytes)
        #expect(little == Little(int32Value: known.int32Value, last: known.last))
        #expect(try Empty(protobuf: bytes) == Empty())
    }

    @Test func fieldsOfAnotherWireTypeAreSkipped() throws {
        // int32_value as fixed32, string_value as varint, leaf as fixed64, counts as varint.
        let message = try decode("1d01000000" + "7005" + "91010000000000000000" + "980305")
        #expect(message == Everything())
    }

    @Test(arguments: [
        ("group", "1b1c", DecodingError.unknown(field: "protobuf wire type", value: 3)),
        ("end of group", "1c", .unknown(field: "protobuf wire type", value: 4)),
        ("wire type 6", "1e", .unknown(field: "protobuf wire type", value: 6)),
        ("field number 0", "0001", .outOfRange(field: "protobuf field number")),
        ("field number 2^29", "808080801001", .outOfRange(field: "protobuf field number")),
        ("varint over 64 bits", "18ffffffffffffffffff02", .outOfRange(field: "protobuf varint")),
        (
            "varint of 11 bytes", "188080808080808080808000", .outOfRange(field: "protobuf varint")
        ),
        ("not UTF-8", "7202c328", .outOfRange(field: "protobuf UTF-8")),
        ("surrogate", "7203eda080", .outOfRange(field: "protobuf UTF-8")),
        ("length past the end", "7205616263", .truncated(offset: 2, needed: 5, available: 3)),
        (
            "length of 2^63", "7a80808080808080808001",
            .truncated(offset: 11, needed: .max, available: 0)
        ),
        // A nested message may not reach past its own end, though the input goes on.
        (
            "nested past its end", "92010212057800", .truncated(offset: 5, needed: 5, available: 0)
        ),
        ("packed run cut", "8a020180" + "01", .truncated(offset: 4, needed: 1, available: 0)),
    ])
    func malformedInputIsRefused(name: String, hex: String, error: DecodingError) throws {
        #expect(throws: error, "\(name)") { try decode(hex) }
    }

    @Test func nestingIsBounded() throws {
        var tree = Tree()
        for _ in 0..<ProtobufReader.maximumDepth { tree = Tree(children: [tree]) }
        #expect(try Tree(protobuf: tree.protobufBytes()) == tree)
        tree = Tree(children: [tree])
        #expect(throws: DecodingError.outOfRange(field: "protobuf nesting")) {
            try Tree(protobuf: tree.protobufBytes())
        }
    }

    @Test func manyEmptyElementsCannotTakeMuchMemory() throws {
        let elements = 10_000
        let bytes = (0..<elements).flatMap { _ in [0x0a, 0x00] as [UInt8] }
        let allowed =
            ProtobufReader.elementBytesFloor
            + ProtobufReader.elementBytesPerInputByte * bytes.count
        #expect(MemoryLayout<Everything>.stride * elements > allowed)
        #expect(throws: DecodingError.outOfRange(field: "protobuf element count")) {
            try Forest(protobuf: bytes)
        }
        #expect(try Forest(protobuf: Array(bytes.prefix(2000))).trees.count == 1000)
    }

    @Test func paddedVarintsAreRead() throws {
        #expect(try decode("9880808000" + "8580808000") == Everything(int32Value: 5))
    }

    @Test func truncationsAndMutationsNeverTrap() throws {
        var random = SplitMix(state: 7)
        let seeds = try (GoldenBytes.random + [GoldenBytes.maps, GoldenBytes.tree]).map {
            try #require(Hex.decode($0))
        }
        for bytes in seeds {
            for count in 0..<bytes.count { digest(Array(bytes[..<count])) }
        }
        for round in 0..<20_000 {
            var bytes = seeds[round % seeds.count]
            guard !bytes.isEmpty else { continue }
            for _ in 0...Int.random(in: 0..<4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            digest(bytes)
        }
    }

    /// Whatever decodes must encode to something that decodes to the same bytes again.
    private func digest(_ bytes: [UInt8]) {
        for message in [try? Everything(protobuf: bytes)].compactMap(\.self) {
            let again = message.protobufBytes()
            #expect((try? Everything(protobuf: again))?.protobufBytes() == again)
        }
        _ = try? Tree(protobuf: bytes)
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
            return mixed ^ mixed >> 31
        }
    }
}
