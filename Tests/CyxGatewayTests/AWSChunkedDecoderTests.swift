import CyxCore
import CyxCrypto
import Testing

@testable import CyxGateway

/// The example of "Signature calculations for the authorization header: transferring payload in
/// multiple chunks", S3 API reference: 66,560 times `a` in chunks of 64 KiB and 1 KiB.
@Suite struct AWSChunkedDecoderTests {
    private static let payload = [UInt8](repeating: UInt8(ascii: "a"), count: 66_560)

    private static let signing: AWSChunkedDecoder.Signing = {
        var key = Array("AWS4\(SigV4Tests.secret)".utf8)
        for part in ["20130524", "us-east-1", "s3", "aws4_request"] {
            key = HMACSHA256.code(key: key, Array(part.utf8))
        }
        return AWSChunkedDecoder.Signing(
            key: key, timestamp: "20130524T000000Z",
            scope: "20130524/us-east-1/s3/aws4_request",
            previous: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
    }()

    private static let signed: [UInt8] = {
        let letters = String(repeating: "a", count: 65_536)
        let text =
            "10000;chunk-signature="
            + "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n\(letters)\r\n"
            + "400;chunk-signature="
            + "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
            + "\(letters.prefix(1024))\r\n0;chunk-signature="
            + "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
        return Array(text.utf8)
    }()

    private static let unsigned = Array(
        "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n".utf8)

    private func decode(
        _ bytes: [UInt8], pieces: [Int] = [], signing: AWSChunkedDecoder.Signing?,
        hasTrailer: Bool, length: UInt64
    ) throws -> ([UInt8], AWSChunkedDecoder) {
        var decoder = AWSChunkedDecoder(
            signing: signing, hasTrailer: hasTrailer, decodedLength: length)
        var output: [UInt8] = []
        var start = 0
        for end in pieces + [bytes.count] {
            output += try decoder.decode(Array(bytes[start..<end]))
            start = end
        }
        try decoder.finish()
        return (output, decoder)
    }

    @Test func publishedExampleDecodes() throws {
        let (output, _) = try decode(
            Self.signed, pieces: [1, 50, 70_000 - 4000], signing: Self.signing, hasTrailer: false,
            length: 66_560)
        #expect(output == Self.payload)
    }

    @Test func anyCutGivesTheSameBytes() throws {
        for cut in 0...Self.unsigned.count {
            let (output, decoder) = try decode(
                Self.unsigned, pieces: [cut], signing: nil, hasTrailer: true, length: 11)
            #expect(output == Array("hello world".utf8))
            #expect(decoder.trailers.map(\.value) == ["DUoRhQ=="])
        }
    }

    /// Only a cut inside the last, empty line is let pass, or one that leaves the trailer out, which
    /// whoever expects a trailing checksum then notices.
    @Test func truncationsAreRefused() {
        for count in 0..<Self.unsigned.count - 2 {
            do {
                let (output, decoder) = try decode(
                    Array(Self.unsigned.prefix(count)), signing: nil, hasTrailer: true, length: 11)
                #expect(output == Array("hello world".utf8))
                #expect(decoder.trailers.isEmpty)
            } catch {
                #expect((error as? S3Error)?.code == "IncompleteBody")
            }
        }
    }

    /// What another reader of the same body might take for another size, or another end.
    @Test(arguments: [
        "5 \r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n", "5\r\nhello \r\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n-0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n", "\r\n5\r\nhello\r\n0\r\n\r\n",
        "\u{FF15}\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n\r\n", "5\r\nhello\r\n0\r\na\r\n\r\n", "5\r\r\nhello\r\n0\r\n\r\n",
    ])
    func framingThatIsReadInTwoWaysIsRefused(_ body: String) {
        let error = #expect(throws: S3Error.self) {
            try decode(Array(body.utf8), signing: nil, hasTrailer: true, length: 5)
        }
        #expect(error?.code == "InvalidRequest")
    }

    /// The line ends of the examples in "Transferring payload in multiple chunks with trailers".
    @Test func trailersMayEndAsInTheExamplesOfS3() throws {
        let body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\n\r\n"
        let (output, decoder) = try decode(
            Array(body.utf8), signing: nil, hasTrailer: true, length: 5)
        #expect(output == Array("hello".utf8))
        #expect(decoder.trailers.map(\.value) == ["NhCmhg=="])
    }

    @Test func aTrailerMustBeSignedWhereChunksAre() {
        let error = #expect(throws: S3Error.self) {
            try decode(Self.signed, signing: Self.signing, hasTrailer: true, length: 66_560)
        }
        #expect(error?.code == "MalformedTrailerError")
    }

    @Test func anotherLengthIsIncomplete() {
        for length in [0, 10, 12] as [UInt64] {
            let error = #expect(throws: S3Error.self) {
                _ = try decode(Self.unsigned, signing: nil, hasTrailer: true, length: length)
            }
            #expect(error?.code == "IncompleteBody")
        }
    }

    @Test func changedSignedBytesAreRefused() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<60 {
            var bytes = Self.signed
            let index = Int.random(in: 0..<bytes.count - 4, using: &random)
            bytes[index] ^= UInt8.random(in: 1...127, using: &random)
            // Framing has some freedom (the case of digits, extensions): then the payload must be
            // what was signed.
            do {
                let (output, _) = try decode(
                    bytes, signing: Self.signing, hasTrailer: false, length: 66_560)
                #expect(output == Self.payload)
            } catch {
                #expect(error is S3Error)
            }
        }
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededGenerator(seed: 4)
        let alphabet = Array("0123456789abcdefFx;=:\r\n-chunk-signature".utf8)
        for _ in 0..<3000 {
            let count = Int.random(in: 0..<200, using: &random)
            let bytes = (0..<count).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            for signing in [nil, Self.signing] {
                do {
                    let (output, _) = try decode(
                        bytes, signing: signing, hasTrailer: true, length: 100)
                    #expect(output.count == 100)
                } catch {
                    #expect(error is S3Error)
                }
            }
        }
    }
}
