import CyxCore
import Testing

@testable import CyxGateway

@Suite struct SampleBatcherTests {
    /// All batches of a text that comes in pieces of `step` bytes.
    private static func run(
        _ text: String, _ kind: SampleBatcher.Text, as output: SampleBatcher.Output,
        _ slice: SampleSlice, step: Int = 7
    ) throws -> [[UInt8]] {
        var machine = try SampleBatcher(kind, as: output, slice)
        let bytes = Array(text.utf8)
        var batches: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: step) where !machine.isDone {
            let piece = Array(bytes[start..<min(start + step, bytes.count)])
            try machine.take(piece, into: &batches)
        }
        try machine.finish(into: &batches)
        return batches
    }

    private static func texts(
        _ text: String, _ kind: SampleBatcher.Text, as output: SampleBatcher.Output,
        _ slice: SampleSlice, step: Int = 7
    ) throws -> [String] {
        try run(text, kind, as: output, slice, step: step).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func itDoesNotMatterWhereATextIsCut(step: Int) throws {
        let text = "\u{FEFF}a,\"b\nx\"\r\n1,\"2,\"\"\n\"\n\n,é"
        let slice = SampleSlice(batch: 1)
        #expect(
            try Self.texts(text, .csv, as: .jsonLines, slice, step: step) == [
                #"{"batch_index":0,"items":[{"a":"1","b\nx":"2,\"\n"}],"is_last":false}"# + "\n",
                #"{"batch_index":1,"items":[{"a":"","b\nx":"é"}],"is_last":true}"# + "\n",
            ])
        #expect(
            try Self.texts(text, .csv, as: .lines, slice, step: step)
                == ["1,\"2,\"\"\n\"\n", ",é\n"])
    }

    private static let five = "{\"n\":0}\n[1]\r\n \n2\n\"3\"\nnull"

    @Test func theLastBatchIsShortOrLeftOut() throws {
        func batches(_ slice: SampleSlice) throws -> [String] {
            try Self.texts(Self.five, .jsonLines, as: .jsonLines, slice)
        }
        #expect(
            try batches(SampleSlice(batch: 2)) == [
                #"{"batch_index":0,"items":[{"n":0},[1]],"is_last":false}"# + "\n",
                #"{"batch_index":1,"items":[2,"3"],"is_last":false}"# + "\n",
                #"{"batch_index":2,"items":[null],"is_last":true}"# + "\n",
            ])
        #expect(
            try batches(SampleSlice(batch: 2, dropsLast: true)) == [
                #"{"batch_index":0,"items":[{"n":0},[1]],"is_last":false}"# + "\n",
                #"{"batch_index":1,"items":[2,"3"],"is_last":true}"# + "\n",
            ])
        #expect(
            try batches(SampleSlice(batch: 5)) == [
                #"{"batch_index":0,"items":[{"n":0},[1],2,"3",null],"is_last":true}"# + "\n"
            ])
        #expect(try batches(SampleSlice(batch: 5, dropsLast: true)).count == 1)
        #expect(try batches(SampleSlice(batch: 6, dropsLast: true)).isEmpty)
    }

    @Test(arguments: [false, true], [0, 1, 3, 5, 9] as [UInt64])
    func slicesAreCutAsThoseOfRecords(dropsLast: Bool, offset: UInt64) throws {
        for limit in [nil, 0, 1, 2, 3, 4, 9] as [UInt64?] {
            for batch in [1, 2, 3, 9] as [UInt64] {
                let slice = SampleSlice(
                    batch: batch, offset: offset, limit: limit, dropsLast: dropsLast)
                let text = (0..<6).map { "\($0)\n" }.joined()
                let found = try Self.texts(text, .jsonLines, as: .lines, slice, step: 3)
                let wanted = slice.samples(of: 6).map { "\($0)\n" }.joined()
                #expect(found.joined() == wanted, "\(slice)")
            }
        }
    }

    @Test func aTextWithoutSamplesHasNoBatches() throws {
        for text in ["", "\n\n", " \r\n"] {
            for output in [SampleBatcher.Output.lines, .jsonLines] {
                #expect(try Self.run(text, .jsonLines, as: output, SampleSlice(batch: 2)).isEmpty)
            }
        }
        #expect(try Self.run("a,b\n", .csv, as: .numpy, SampleSlice(batch: 2)).isEmpty)
    }

    @Test func numbersBecomeArrays() throws {
        let text = "x,y\n1, -2.5\n,1e3\n3,4\n"
        let batches = try Self.run(text, .csv, as: .numpy, SampleSlice(batch: 2))
        let header = try NumpyHeader(type: "<f8", shape: [0, 2])
        func bytes(_ numbers: [Double]) -> [UInt8] {
            numbers.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }
        }
        #expect(batches.count == 2)
        #expect(batches[0] == header.encoded(rows: 2) + bytes([1, -2.5, .nan, 1000]))
        #expect(batches[1] == header.encoded(rows: 1) + bytes([3, 4]))
    }

    @Test(arguments: [
        ("{\"a\":1}\n{", SampleBatcher.Text.jsonLines, SampleBatcher.Output.jsonLines),
        ("1 2\n", .jsonLines, .jsonLines), ("\"\u{1}\"x\n", .jsonLines, .jsonLines),
        ("a,b\n1\n", .csv, .jsonLines), ("a,b\n1,2,3\n", .csv, .jsonLines),
        ("a,a\n1,2\n", .csv, .jsonLines), ("a\n\"1\n", .csv, .jsonLines),
        ("a\n\"1\"2\n", .csv, .jsonLines), ("a,b\n1,x\n", .csv, .numpy),
    ])
    func whatIsNotAsItsFormatSaysIsNamed(
        text: String, kind: SampleBatcher.Text, output: SampleBatcher.Output
    ) {
        let fault = #expect(throws: SampleFault.self) {
            try Self.run(text, kind, as: output, SampleSlice(batch: 2))
        }
        #expect(fault?.code == "MalformedSample")
    }

    @Test func whatFillsMemoryIsRefused() {
        let slice = SampleSlice(batch: 1000)
        let line = "\"" + String(repeating: "x", count: LineSplitter.lineBytesMax) + "\"\n"
        for text in [line, String(line.dropLast()), String(line.dropLast(2))] {
            let fault = #expect(throws: SampleFault.self) {
                try Self.run(text, .jsonLines, as: .jsonLines, slice, step: 1 << 16)
            }
            #expect(fault?.code == "FormatMismatch")
        }
        let most = String(
            repeating: "\"" + String(repeating: "x", count: 1_000_000) + "\"\n", count: 9)
        let fault = #expect(throws: SampleFault.self) {
            try Self.run(most, .jsonLines, as: .lines, slice, step: 1 << 18)
        }
        #expect(fault?.message.contains("A batch") == true)
        #expect(throws: Never.self) {
            try Self.run(most, .jsonLines, as: .lines, SampleSlice(batch: 8), step: 1 << 18)
        }
        #expect(throws: SampleFault.self) { try SampleBatcher(.jsonLines, as: .numpy, slice) }
    }

    @Test func aLineWithoutAnEndIsNotWaitedFor() throws {
        for isQuoted in [false, true] {
            var splitter = LineSplitter(knowsQuotes: isQuoted)
            splitter.append(Array("\"a\n".utf8))
            // Within quotes a line end is none.
            #expect(try (splitter.next(isEnd: false) == nil) == isQuoted)
            let piece = [UInt8](repeating: isQuoted ? 0x0A : 0x20, count: 1 << 18)
            for _ in 0..<4 {
                #expect(try splitter.next(isEnd: false) == nil)
                splitter.append(piece)
            }
            splitter.append([0x20])
            #expect(throws: SampleFault.self) { try splitter.next(isEnd: false) }
        }
    }

    // MARK: On the way

    private static func stream(
        _ text: String, _ output: SampleBatcher.Output, slots: SampleSlots = SampleSlots(),
        step: Int = 4
    ) async throws -> (texts: [String], fault: SampleFault?) {
        let pool = try ThreadPool(threadCount: 1)
        defer { pool.stop() }
        var stream = SampleStream(
            PiecewiseBytes(Array(text.utf8), pieceBytes: step),
            try SampleBatcher(.jsonLines, as: output, SampleSlice(batch: 1)),
            tellsFaults: output == .jsonLines, blocking: pool, slot: try #require(slots.take()))
        var texts: [String] = []
        do {
            while let more = try await stream.next() {
                texts.append(String(decoding: more, as: UTF8.self))
            }
        } catch let fault as SampleFault { return (texts, fault) }
        return (texts, nil)
    }

    @Test func faultsFurtherOnAreToldInALastLine() async throws {
        for step in [1, 4, 100] {
            let (texts, fault) = try await Self.stream("1\n2\n{\n", .jsonLines, step: step)
            #expect(texts.count == 3 && fault == nil)
            #expect(texts.last?.hasPrefix(#"{"error":{"code":"MalformedSample","#) == true)
            let (lines, cut) = try await Self.stream(
                "1\n2\n\"" + String(repeating: "x", count: 2 << 20), .lines, step: 1 << 17)
            #expect(lines == ["1\n"] && cut?.code == "FormatMismatch")
        }
        let (none, first) = try await Self.stream("{\n1\n", .jsonLines)
        #expect(none.isEmpty && first?.code == "MalformedSample")
        #expect(try await Self.stream("1\n2\n3", .lines).texts == ["1\n", "2\n", "3\n"])
    }

    @Test func slotsAreGivenBack() async throws {
        let slots = SampleSlots()
        for _ in 0..<2 * SampleSlots.capacity {
            _ = try await Self.stream("1\n", .lines, slots: slots)
        }
        var taken: [SampleSlots.Slot?] = (0..<SampleSlots.capacity).map { _ in slots.take() }
        #expect(taken.allSatisfy { $0 != nil })
        #expect(slots.take() == nil)
        taken.removeLast()
        #expect(slots.take() != nil)
    }
}
