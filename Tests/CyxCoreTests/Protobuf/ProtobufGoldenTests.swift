import CyxCore
import Testing

/// Against bytes that Google's Python runtime wrote (Tests/Schemas/everything.py).
@Suite struct ProtobufGoldenTests {
    private func check<M: ProtobufMessage>(_ message: M, _ golden: String) throws {
        #expect(Hex.encode(message.protobufBytes()) == golden)
        let bytes = try #require(Hex.decode(golden))
        #expect(try M(protobuf: bytes) == message)
        #expect(message.protobufSize == bytes.count)
    }

    @Test func numbersAtTheirBounds() throws {
        var message = Everything(doubleValue: -0.0, floatValue: 1.5, boolValue: true, last: 1)
        message.int32s = [.min, 0, 1, .max]
        message.int64s = [.min, 0, 1, .max]
        message.uint32s = [.min, 0, 1, .max]
        message.uint64s = [.min, 0, 1, .max]
        message.sint32s = [.min, 0, 1, .max]
        message.sint64s = [.min, 0, 1, .max]
        message.fixed32s = [.min, 0, 1, .max]
        message.fixed64s = [.min, 0, 1, .max]
        message.sfixed32s = [.min, 0, 1, .max]
        message.sfixed64s = [.min, 0, 1, .max]
        var low = message
        low.int32Value = .min
        low.int64Value = .min
        low.sint32Value = .min
        low.sint64Value = .min
        low.sfixed32Value = .min
        low.sfixed64Value = .min
        try check(low, GoldenBytes.low)
        var high = message
        high.int32Value = .max
        high.int64Value = .max
        high.uint32Value = .max
        high.uint64Value = .max
        high.sint32Value = .max
        high.sint64Value = .max
        high.fixed32Value = .max
        high.fixed64Value = .max
        high.sfixed32Value = .max
        high.sfixed64Value = .max
        try check(high, GoldenBytes.high)
    }

    @Test func stringsBytesAndPackedNumbers() throws {
        try check(Everything(), GoldenBytes.empty)
        try check(
            Everything(
                stringValue: "grüße \u{1f30d}", bytesValue: Array(0...255),
                doubles: [0, -0.0, 1e300, .infinity], floats: [0.25, -.infinity],
                bools: [true, false, true], strings: ["", "a", "ö"],
                byteStrings: [[], [0], [UInt8](repeating: 0xff, count: 130)]),
            GoldenBytes.texts)
    }

    @Test func enumerationsKeepUnknownNumbers() throws {
        try check(
            Everything(
                verdict: .wrong, colour: .deepBlue, optionalVerdict: .unspecified,
                verdicts: [.unspecified, .pass, .wrong, .unrecognized(99), .unrecognized(-5)]),
            GoldenBytes.enums)
        #expect(Verdict.ok == .pass)
    }

    @Test func presenceIsKept() throws {
        try check(
            Everything(
                leaf: Leaf(), inner: .init(innermost: .init()), optionalInt: 0,
                optionalString: "", optionalBytes: [], optionalBool: false),
            GoldenBytes.present)
    }

    @Test func nestedMessages() throws {
        try check(
            Everything(
                leaf: Leaf(
                    name: String(repeating: "l", count: 200), peerID: Array("p".utf8), weight: 0),
                inner: .init(value: -1, innermost: .init(default: true)),
                leaves: [Leaf(), Leaf(name: "x")]),
            GoldenBytes.nested)
        var tree = Tree()
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            tree = Tree(leaf: Leaf(name: name), children: [tree, Tree()])
        }
        try check(tree, GoldenBytes.tree)
    }

    @Test func mapsAreSortedByKey() throws {
        try check(
            Everything(
                counts: [
                    "z": 1, "a": -1, "": 0, "é": 3, "\u{ffff}": 4, "\u{10000}": 5, "aa": 6,
                ],
                leavesByNumber: [
                    5: Leaf(weight: 5), -3: Leaf(weight: 3), 0: Leaf(weight: 0),
                    1000: Leaf(weight: 1000),
                ],
                bytesByFlag: [true: Array("t".utf8), false: []],
                verdictsByNumber: [-1: .pass, 1: .unspecified, .min: .wrong],
                names: [0: "", .max: "max", 7: "seven"]),
            GoldenBytes.maps)
    }

    @Test func membersOfAOneofAreWrittenEvenAtTheirDefault() throws {
        try check(Everything(choice: .text("")), GoldenBytes.text)
        try check(Everything(choice: .number(0)), GoldenBytes.number)
        try check(Everything(choice: .chosenLeaf(Leaf(name: "c"))), GoldenBytes.chosenLeaf)
        try check(Everything(choice: .chosenVerdict(.unspecified)), GoldenBytes.chosenVerdict)
        try check(Everything(choice: .blob([1, 2])), GoldenBytes.blob)
    }

    @Test(arguments: GoldenBytes.random.indices)
    func randomMessagesComeOutUnchanged(index: Int) throws {
        let golden = GoldenBytes.random[index]
        let message = try Everything(protobuf: #require(Hex.decode(golden)))
        #expect(Hex.encode(message.protobufBytes()) == golden)
    }

    @Test(arguments: GoldenBytes.foreign.indices)
    func otherFormsReadAsGoogleReadsThem(index: Int) throws {
        let (name, input, output) = GoldenBytes.foreign[index]
        let message = try Everything(protobuf: #require(Hex.decode(input)))
        #expect(Hex.encode(message.protobufBytes()) == output, "\(name)")
    }
}
