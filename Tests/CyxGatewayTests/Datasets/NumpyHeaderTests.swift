import CyxCore
import Testing

@testable import CyxGateway

@Suite struct NumpyHeaderTests {
    /// As `numpy.save` writes it.
    private static func file(
        _ dictionary: String, version: UInt8 = 1, magic: [UInt8] = [0x93]
    ) -> [UInt8] {
        var text = Array(dictionary.utf8)
        let fixed = version == 1 ? 10 : 12
        text += [UInt8](repeating: 0x20, count: 127 - (fixed + text.count) % 128) + [0x0A]
        var length = [UInt8(text.count & 0xFF), UInt8(text.count >> 8)]
        if version > 1 { length += [0, 0] }
        return magic + Array("NUMPY".utf8) + [version, 0] + length + text
    }

    private static func plain(_ type: String, _ shape: String, _ order: String = "False") -> [UInt8]
    {
        file("{'descr': '\(type)', 'fortran_order': \(order), 'shape': \(shape), }")
    }

    @Test func headsAreAsNumPyWritesThem() throws {
        let known = Self.plain("<f4", "(2, 3)")
        #expect(known.count == 128)
        let header = try NumpyHeader(parsing: known + [1, 2, 3])
        #expect(header.type == "<f4" && header.shape == [2, 3] && header.dataOffset == 128)
        #expect(header.rowBytes == 12 && header.dataBytes == 24)
        #expect(header.encoded(rows: 2) == known)
        let flat = try NumpyHeader(parsing: Self.plain("|u1", "(7,)"))
        #expect(flat.rows == 7 && flat.rowBytes == 1)
        #expect(flat.encoded(rows: 7) == Self.plain("|u1", "(7,)"))
    }

    @Test(arguments: [1, 2, 3] as [UInt8])
    func allVersionsAreRead(version: UInt8) throws {
        let text = #"{"shape":(5,1,2),"fortran_order":False,"descr":">i8"}"#
        let header = try NumpyHeader(parsing: Self.file(text, version: version))
        #expect(header.shape == [5, 1, 2] && header.type == ">i8" && header.rowBytes == 16)
        #expect(header.dataOffset == 128)
    }

    @Test(
        arguments: [
            ("<f2", 2), ("|b1", 1), ("<c16", 16), ("|S7", 7), ("<U3", 12), ("|V9", 9),
            ("<M8[ns]", 8),
            ("<m8[25us]", 8), ("<M8", 8), ("|O", nil), ("|O8", nil), ("<f3", nil), ("f4", nil),
            ("<f", nil), ("<S0", nil), ("<f4x", nil), ("<M4[s]", nil), ("<M8[s", nil),
            ("<M8[]", nil),
            ("<M8['x']", nil), ("<U99999999", nil), ("", nil),
        ] as [(String, UInt64?)])
    func itemsHaveTheSizesOfTheirTypes(type: String, bytes: UInt64?) {
        #expect(NumpyHeader.itemBytes(of: type) == bytes)
    }

    @Test func whatHasNoRowsIsRefused() {
        for (bytes, code) in [
            (Self.plain("<f4", "(2, 3)", "True"), "FormatMismatch"),
            (Self.plain("<f4", "()"), "FormatMismatch"),
            (Self.plain("<f4", "(2, 0)"), "FormatMismatch"),
            (Self.plain("|O", "(2,)"), "FormatMismatch"),
            (Self.plain("<f4", "(9223372036854775807, 9)"), "MalformedSample"),
            (Self.plain("<f4", "(2, 9223372036854775807, 9)"), "MalformedSample"),
            (Self.plain("<f4", "(2)"), "MalformedSample"),
            (Self.plain("<f4", "(2, -3)"), "MalformedSample"),
            (Self.plain("<f4", "(2, 3"), "MalformedSample"),
            (Self.plain("<f4", "(2, 3), 'more': 1"), "MalformedSample"),
            (Self.plain("<f4", "(2,), 'shape': (2,)"), "MalformedSample"),
            (Self.plain("<f4", "(2,)", "false"), "MalformedSample"),
            (
                Self.file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }"),
                "MalformedSample"
            ),
            (Self.file("{'fortran_order': False, 'shape': (2,), }"), "MalformedSample"),
            (
                Self.file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x"),
                "MalformedSample"
            ),
            (Self.plain("<f4", "(2,)").map { $0 == 0x93 ? 0x92 : $0 }, "MalformedSample"),
            (Self.file("{}", version: 4), "MalformedSample"),
        ] {
            let fault = #expect(throws: SampleFault.self) { try NumpyHeader(parsing: bytes) }
            #expect(fault?.code == code, "\(String(decoding: bytes, as: UTF8.self))")
        }
        // One that is stored either way lies in rows.
        #expect(throws: Never.self) {
            try NumpyHeader(parsing: Self.plain("<f4", "(2,)", "True"))
        }
    }

    @Test func truncatedHeadsAreRefused() {
        for version in [1, 2] as [UInt8] {
            let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
            let whole = Self.file(text, version: version)
            for count in 0..<whole.count {
                #expect(throws: SampleFault.self) {
                    try NumpyHeader(parsing: Array(whole[..<count]))
                }
            }
        }
    }

    // MARK: Records

    private static func batches(
        _ bytes: [UInt8], samples: UInt64, of size: UInt64, by batch: UInt64, piece: Int,
        head: [UInt8] = []
    ) async throws -> [UInt8] {
        var source = RecordBatches(
            PiecewiseBytes(bytes, pieceBytes: piece), samples: samples, sampleBytes: size,
            batch: batch
        ) { head.isEmpty ? [] : head + [UInt8($0)] }
        var result: [UInt8] = []
        while let more = try await source.next() { result += more }
        return result
    }

    @Test(arguments: [1, 2, 5, 7, 100])
    func recordsComeInBatches(piece: Int) async throws {
        let bytes = Array(0..<15 as Range<UInt8>)
        let plain = try await Self.batches(bytes, samples: 5, of: 3, by: 2, piece: piece)
        #expect(plain == bytes)
        let headed = try await Self.batches(
            bytes, samples: 5, of: 3, by: 2, piece: piece, head: [0xAA])
        let wanted: [UInt8] =
            [0xAA, 2] + bytes[0..<6] + [0xAA, 2] + bytes[6..<12] + [0xAA, 1] + bytes[12...]
        #expect(headed == wanted)
        let length = RecordBatches.length(samples: 5, sampleBytes: 3, batch: 2) { _ in [0, 0] }
        #expect(length == UInt64(wanted.count))
        await #expect(throws: SampleFault.self) {
            _ = try await Self.batches(bytes, samples: 6, of: 3, by: 2, piece: piece)
        }
    }

    @Test func slicesStayWithinWhatThereIs() {
        var slice = SampleSlice(batch: 4)
        #expect(slice.samples(of: 10) == 0..<10)
        slice.dropsLast = true
        #expect(slice.samples(of: 10) == 0..<8)
        slice.offset = 3
        #expect(slice.samples(of: 10) == 3..<7)
        slice.limit = 3
        #expect(slice.samples(of: 10).isEmpty)
        (slice.dropsLast, slice.limit) = (false, UInt64(Int64.max))
        #expect(slice.samples(of: 10) == 3..<10)
        slice.offset = 99
        #expect(slice.samples(of: 10).isEmpty)
        (slice.offset, slice.limit) = (.max, .max)
        #expect(slice.samples(of: 10).isEmpty)
    }
}
