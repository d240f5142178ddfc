internal import CyxCore
internal import CyxCrypto
internal import CyxS3

/// Takes `aws-chunked` framing off a body and checks each chunk's signature against the one before
/// ("Transferring payload in multiple chunks" of the SigV4 documentation).
///
/// Nothing may be committed before `finish` returned: bytes come out before their signature.
struct AWSChunkedDecoder: Sendable {
    /// What chunk signatures are made of; nil when only the head is signed.
    struct Signing: Sendable {
        var key: [UInt8]
        var timestamp: String
        var scope: String
        /// The signature of the head, then of each chunk.
        var previous: String

        fileprivate func signature(_ kind: String, _ hashes: [String]) -> String {
            let text = (["\(SigningScope.algorithm)-\(kind)", timestamp, scope, previous] + hashes)
                .joined(separator: "\n")
            return Hex.encode(HMACSHA256.code(key: key, Array(text.utf8)))
        }
    }

    private enum State {
        case chunkHeader
        case data(remaining: UInt64)
        case dataEnd
        case trailer
        case done
    }

    /// A chunk's head or a trailing field.
    static let maximumLineBytes = 1024
    static let maximumTrailers = 8
    private static let emptyHash = Hex.encode(SHA256.hash([]))

    private var signing: Signing?
    private let hasTrailer: Bool
    private let decodedLength: UInt64
    private var state = State.chunkHeader
    private var line: [UInt8] = []
    private var produced: UInt64 = 0
    private var chunkHash: SHA256?
    private var chunkSignature = ""
    private var isLastChunk = false
    private var isTrailerSigned = false

    /// Trailing fields, names in lower case.
    private(set) var trailers: [(name: String, value: String)] = []

    init(signing: Signing?, hasTrailer: Bool, decodedLength: UInt64) {
        self.signing = signing
        self.hasTrailer = hasTrailer
        self.decodedLength = decodedLength
    }

    /// Takes the next bytes of the framed body and returns the payload among them.
    mutating func decode(_ input: [UInt8]) throws(S3Error) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        var offset = 0
        while offset < input.count {
            switch state {
            case .data(let remaining):
                let count = Int(min(remaining, UInt64(input.count - offset)))
                take(input[offset..<offset + count], into: &output)
                offset += count
                let left = remaining - UInt64(count)
                state = left == 0 ? .dataEnd : .data(remaining: left)
            case .done:
                throw malformed("bytes follow its end")
            case .chunkHeader, .dataEnd, .trailer:
                let byte = input[offset]
                offset += 1
                if byte == UInt8(ascii: "\n") {
                    try endLine()
                } else {
                    guard line.count < AWSChunkedDecoder.maximumLineBytes else {
                        throw malformed("a line of its framing is too long")
                    }
                    line.append(byte)
                }
            }
        }
        return output
    }

    /// Call when the framed body has ended; throws unless it was whole.
    func finish() throws(S3Error) {
        guard case .done = state else {
            // A client may leave out the empty line after the last chunk.
            if isLastChunk, case .trailer = state, line.isEmpty, isTrailerComplete {
                return try checkLength()
            }
            guard !isLastChunk || !line.isEmpty else {
                throw S3Error(
                    "MalformedTrailerError", 400,
                    "The trailer of the chunked body, or its signature, did not come; nothing was "
                        + "stored")
            }
            throw S3Error(
                "IncompleteBody", 400,
                "The chunked body ended after \(produced) of \(decodedLength) bytes, before its "
                    + "last chunk; nothing was stored")
        }
        try checkLength()
    }

    private func checkLength() throws(S3Error) {
        guard produced == decodedLength else {
            throw S3Error(
                "IncompleteBody", 400,
                "x-amz-decoded-content-length is \(decodedLength), but the chunks held "
                    + "\(produced) bytes; nothing was stored")
        }
    }

    private var isTrailerComplete: Bool { !hasTrailer || signing == nil || isTrailerSigned }

    private mutating func take(_ bytes: ArraySlice<UInt8>, into output: inout [UInt8]) {
        produced += UInt64(bytes.count)
        output += bytes
        chunkHash?.update(bytes)
    }

    private mutating func endLine() throws(S3Error) {
        let endsWithCRLF = line.last == 0x0D
        if endsWithCRLF { line.removeLast() }
        if case .trailer = state {
            // S3's own examples end a field with LF CR LF, and clients follow them.
            while let last = line.last, [0x0D, 0x20].contains(last) { line.removeLast() }
        } else if !endsWithCRLF {
            throw malformed("a line of its framing does not end with CRLF")
        }
        let text = String(decoding: line, as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        switch state {
        case .chunkHeader: try beginChunk(text)
        case .dataEnd:
            guard text.isEmpty else { throw malformed("a chunk is longer than its size") }
            try checkChunk()
            state = .chunkHeader
        case .trailer: try endTrailerLine(text)
        case .data, .done: break
        }
    }

    private mutating func beginChunk(_ head: String) throws(S3Error) {
        let parts = head.split(separator: ";", omittingEmptySubsequences: false)
        guard let digits = parts.first, digits.utf8.count <= 16,
            digits.utf8.allSatisfy(AWSChunkedDecoder.isHexDigit),
            let size = UInt64(digits, radix: 16)
        else { throw malformed("a chunk's size is not hexadecimal") }
        guard size <= decodedLength - produced else {
            throw S3Error(
                "IncompleteBody", 400,
                "The chunks hold more than the \(decodedLength) bytes of "
                    + "x-amz-decoded-content-length; nothing was stored")
        }
        if signing != nil {
            let prefix = "chunk-signature="
            guard let field = parts.dropFirst().first(where: { $0.hasPrefix(prefix) }) else {
                throw malformed("a chunk has no signature")
            }
            chunkSignature = String(field.dropFirst(prefix.count))
            chunkHash = SHA256()
        }
        if size > 0 {
            state = .data(remaining: size)
        } else {
            isLastChunk = true
            try checkChunk()
            state = .trailer
        }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    private mutating func checkChunk() throws(S3Error) {
        guard let hash = chunkHash, signing != nil else { return }
        chunkHash = nil
        let hashes = [AWSChunkedDecoder.emptyHash, Hex.encode(hash.finalize())]
        try check(chunkSignature, "PAYLOAD", hashes)
    }

    private mutating func check(
        _ given: String, _ kind: String, _ hashes: [String]
    ) throws(S3Error) {
        guard let expected = signing?.signature(kind, hashes) else { return }
        guard isEqualInConstantTime(expected, given) else {
            throw S3Error(
                "SignatureDoesNotMatch", 403,
                "The signature of a chunk does not match, after \(produced) bytes; nothing was "
                    + "stored")
        }
        signing?.previous = expected
    }

    private mutating func endTrailerLine(_ text: String) throws(S3Error) {
        guard !text.isEmpty else {
            // Some clients send an empty line before the trailer's signature.
            if isTrailerComplete { state = .done }
            return
        }
        guard hasTrailer, trailers.count < AWSChunkedDecoder.maximumTrailers,
            let colon = text.firstIndex(of: ":")
        else { throw malformed("its trailer is not a list of fields") }
        let name = text[..<colon].lowercased()
        let value = String(text[text.index(after: colon)...].trimmingSpaces())
        if name == "x-amz-trailer-signature" {
            let canonical = trailers.map { "\($0.name):\($0.value)\n" }.joined()
            let hash = Hex.encode(SHA256.hash(Array(canonical.utf8)))
            try check(value, "TRAILER", [hash])
            isTrailerSigned = true
        } else {
            guard !isTrailerSigned else { throw malformed("a field follows the signature") }
            trailers.append((name, value))
        }
    }

    private func malformed(_ reason: String) -> S3Error {
        S3Error("InvalidRequest", 400, "The aws-chunked body is malformed: \(reason)")
    }
}
