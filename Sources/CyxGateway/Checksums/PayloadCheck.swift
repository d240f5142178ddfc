internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxS3

/// All that a request promises about its body, checked as the body passes by. A machine: `process`
/// for each piece, `finish` at the end.
struct PayloadCheck: Sendable {
    private var decoder: AWSChunkedDecoder?
    /// Declared in a header; by algorithm, in base 64.
    private var declared: [ChecksumAlgorithm: String] = [:]
    private var running: [(algorithm: ChecksumAlgorithm, sum: RunningChecksum)] = []
    private var trailing: [ChecksumAlgorithm] = []
    /// Those that are computed although nobody told what they must come to, and what they are kept
    /// as.
    private var unpromised: [ChecksumAlgorithm: String] = [:]
    private var signedHash: String?
    private var payloadDigest: SHA256?
    private var md5: (expected: [UInt8], digest: MD5)?
    private(set) var byteCount: UInt64 = 0

    /// What the checksums came to, for the response and the object's row.
    private(set) var checksums: [String: String] = [:]

    /// How many bytes the object itself has, as declared.
    let length: UInt64

    init(_ request: HTTPRequest, _ claim: SigV4Claim, signingKey: [UInt8]) throws(S3Error) {
        let signing = AWSChunkedDecoder.Signing(
            key: signingKey, timestamp: claim.timestamp, scope: claim.scope.text,
            previous: claim.signature)
        try self.init(request, claim.payload, chunks: signing)
    }

    /// Of a request whose signature does not cover its body: it may still be framed, and vouched for
    /// by its own checksums.
    init(unsigned request: HTTPRequest) throws(S3Error) {
        let payload = try request.headers["x-amz-content-sha256"].map {
            text throws(S3Error) in try SigV4Claim.payload(text)
        }
        if case .chunked(isSigned: true, _)? = payload {
            throw .invalidRequest("Signed chunks need a request that is signed with version 4")
        }
        try self.init(request, payload ?? .unsigned, chunks: nil)
    }

    private init(
        _ request: HTTPRequest, _ payload: PayloadSigning,
        chunks signing: AWSChunkedDecoder.Signing?
    ) throws(S3Error) {
        switch payload {
        case .unsigned:
            length = try PayloadCheck.declaredLength(request)
        case .sha256(let hash):
            length = try PayloadCheck.declaredLength(request)
            signedHash = hash
            payloadDigest = SHA256()
        case .chunked(let isSigned, let hasTrailer):
            guard let text = request.headers["x-amz-decoded-content-length"] else {
                throw S3Error(
                    "MissingContentLength", 411,
                    "A STREAMING- payload needs x-amz-decoded-content-length")
            }
            guard text.utf8.first != UInt8(ascii: "+"), let decoded = UInt64(text) else {
                throw .invalidArgument(
                    "x-amz-decoded-content-length must be a number of bytes, not `\(text)`")
            }
            length = decoded
            decoder = AWSChunkedDecoder(
                signing: isSigned ? signing : nil, hasTrailer: hasTrailer, decodedLength: decoded)
            if hasTrailer { try readTrailerNames(request) }
        }
        try readChecksums(request)
    }

    private static func declaredLength(_ request: HTTPRequest) throws(S3Error) -> UInt64 {
        guard let length = request.contentLength else {
            throw S3Error(
                "MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
        }
        return length
    }

    private mutating func readTrailerNames(_ request: HTTPRequest) throws(S3Error) {
        for name in (request.headers["x-amz-trailer"] ?? "").split(separator: ",") {
            let name = name.trimmingSpaces().lowercased()
            guard let algorithm = ChecksumAlgorithm.allCases.first(where: { $0.header == name })
            else {
                throw .invalidRequest("The value specified in the x-amz-trailer header is invalid")
            }
            guard trailing.isEmpty else { throw PayloadCheck.severalChecksums }
            trailing.append(algorithm)
            running.append((algorithm, RunningChecksum(algorithm)))
        }
    }

    private mutating func readChecksums(_ request: HTTPRequest) throws(S3Error) {
        for algorithm in ChecksumAlgorithm.allCases {
            guard let value = request.headers[algorithm.header] else { continue }
            guard Base64.decode(value)?.count == algorithm.byteCount else {
                throw .invalidRequest("Value for \(algorithm.header) header is invalid.")
            }
            guard running.isEmpty else { throw PayloadCheck.severalChecksums }
            declared[algorithm] = value
            running.append((algorithm, RunningChecksum(algorithm)))
        }
        try checkAnnouncement(request)
        if let text = request.headers["content-md5"] {
            guard let expected = Base64.decode(text), expected.count == 16 else {
                throw S3Error(
                    "InvalidDigest", 400,
                    "The Content-MD5 you specified was invalid: not 16 bytes in base 64")
            }
            md5 = (expected, MD5())
        }
    }

    private static let severalChecksums = S3Error.invalidRequest(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")

    /// SDKs announce in a header of its own which checksum will come.
    private func checkAnnouncement(_ request: HTTPRequest) throws(S3Error) {
        guard let text = request.headers["x-amz-sdk-checksum-algorithm"] else { return }
        guard let announced = ChecksumAlgorithm(rawValue: text.lowercased()) else {
            throw .invalidRequest(
                "Value for x-amz-sdk-checksum-algorithm header is invalid: \(text)")
        }
        guard length > 0 || !running.isEmpty else { return }
        guard let first = running.first else {
            if request.headers.contains("content-md5") { return }
            throw .invalidRequest(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
                    + "x-amz-trailer headers were found.")
        }
        guard first.algorithm == announced else {
            throw .invalidRequest(
                "Value for x-amz-sdk-checksum-algorithm header does not match the checksum's own "
                    + "header, \(first.algorithm.header)")
        }
    }

    /// Has a checksum computed beside those that the request vouches for, and kept under that name.
    mutating func compute(_ algorithm: ChecksumAlgorithm, as name: String? = nil) {
        guard !running.contains(where: { $0.algorithm == algorithm }) else { return }
        running.append((algorithm, RunningChecksum(algorithm)))
        unpromised[algorithm] = name ?? algorithm.rawValue
    }

    /// The algorithm that the request vouches for its body by.
    var promisedAlgorithm: ChecksumAlgorithm? {
        running.first { unpromised[$0.algorithm] == nil }?.algorithm
    }

    /// Whether a piece costs more than handing it to another thread.
    var isHeavy: Bool {
        decoder != nil || payloadDigest != nil || md5 != nil
            || running.contains { $0.algorithm.isHash }
    }

    /// Takes the next bytes of the body as sent and returns the object's bytes among them.
    mutating func process(_ input: [UInt8]) throws(S3Error) -> [UInt8] {
        let bytes = decoder == nil ? input : try decoder?.decode(input) ?? []
        byteCount += UInt64(bytes.count)
        bytes.withUnsafeBytes { raw in
            payloadDigest?.update(raw)
            md5?.digest.update(raw)
            for index in running.indices { running[index].sum.update(raw) }
        }
        return bytes
    }

    /// Call once, when the body as sent has ended: throws unless every promise was kept.
    mutating func finish() throws(S3Error) {
        try decoder?.finish()
        try checkTrailerNames()
        guard byteCount == length else {
            throw S3Error(
                "IncompleteBody", 400,
                "The body has \(byteCount) of \(length) bytes; nothing was stored")
        }
        if let signedHash, let payloadDigest {
            let computed = Hex.encode(payloadDigest.finalize())
            guard isEqualInConstantTime(computed, signedHash) else {
                throw S3Error(
                    "XAmzContentSHA256Mismatch", 400,
                    "x-amz-content-sha256 was \(signedHash), but \(byteCount) bytes hash to "
                        + "\(computed); nothing was stored")
            }
        }
        if let md5 {
            let computed = md5.digest.finalize()
            guard computed == md5.expected else {
                throw badDigest("MD5", Base64.encode(md5.expected), Base64.encode(computed))
            }
        }
        for (algorithm, sum) in running {
            let computed = Base64.encode(sum.finish())
            if let name = unpromised[algorithm] {
                checksums[name] = computed
                continue
            }
            guard let expected = declared[algorithm] ?? trailer(algorithm) else {
                throw S3Error(
                    "MalformedTrailerError", 400, "The trailer \(algorithm.header) did not come")
            }
            guard computed == expected else {
                throw badDigest(algorithm.rawValue.uppercased(), expected, computed)
            }
            checksums[algorithm.rawValue] = computed
        }
    }

    /// What comes behind the body is what `x-amz-trailer` announced, and once.
    private func checkTrailerNames() throws(S3Error) {
        guard let names = decoder?.trailers.map(\.name) else { return }
        guard names.count <= trailing.count,
            names.allSatisfy({ name in trailing.contains { $0.header == name } })
        else {
            throw S3Error(
                "MalformedTrailerError", 400,
                "The trailer has fields that x-amz-trailer does not announce, or one twice; "
                    + "nothing was stored")
        }
    }

    private func trailer(_ algorithm: ChecksumAlgorithm) -> String? {
        decoder?.trailers.first { $0.name == algorithm.header }?.value
    }

    private func badDigest(_ name: String, _ expected: String, _ computed: String) -> S3Error {
        S3Error(
            "BadDigest", 400,
            "\(name) expected \(expected), computed \(computed) over \(byteCount) bytes; nothing "
                + "was stored")
    }
}
