internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP

/// The file of a form on its way. It throws before its end if it has another size or checksum than
/// the form and its policy say, so that whatever stores it commits nothing.
struct FormBody: ByteSource {
    private var source: HTTPRequestBody
    private var reader: FormReader
    /// Of the file, and read already.
    private var ready: [UInt8]
    private let lengths: ClosedRange<UInt64>
    private var count: UInt64 = 0
    private var running = (
        sum: RunningChecksum(.implied), algorithm: ChecksumAlgorithm.implied,
        expected: String?.none
    )
    private var hasEnded = false
    let outcome = CheckedBody.Outcome()

    init(
        _ source: HTTPRequestBody, _ reader: FormReader, ready: [UInt8],
        lengths: ClosedRange<UInt64>, fields: HTTPHeaders
    ) throws(S3Error) {
        self.source = source
        self.reader = reader
        self.ready = ready
        self.lengths = lengths
        for algorithm in ChecksumAlgorithm.allCases {
            guard let expected = fields[algorithm.header] else { continue }
            guard running.expected == nil else {
                throw .invalidRequest(
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not "
                        + "allowed.")
            }
            running = (RunningChecksum(algorithm), algorithm, expected)
        }
    }

    mutating func next() async throws -> [UInt8]? {
        while !hasEnded {
            if !ready.isEmpty {
                let bytes = ready
                ready = []
                try take(bytes)
                return bytes
            }
            guard let more = try await source.next() else {
                hasEnded = true
                try finish()
                return nil
            }
            ready = try reader.read(more)
        }
        return nil
    }

    private mutating func take(_ bytes: [UInt8]) throws(S3Error) {
        count += UInt64(bytes.count)
        guard count <= lengths.upperBound else {
            throw S3Error(
                "EntityTooLarge", 400,
                "Your proposed upload exceeds the maximum allowed size of \(lengths.upperBound) "
                    + "bytes; nothing was stored")
        }
        bytes.withUnsafeBytes { running.sum.update($0) }
    }

    private func finish() throws(S3Error) {
        try reader.finish()
        guard count >= lengths.lowerBound else {
            throw S3Error(
                "EntityTooSmall", 400,
                "Your proposed upload of \(count) bytes is smaller than the minimum allowed size "
                    + "of \(lengths.lowerBound); nothing was stored")
        }
        let computed = Base64.encode(running.sum.finish())
        guard computed == running.expected ?? computed else {
            throw S3Error(
                "BadDigest", 400,
                "The \(running.algorithm.name) you specified did not match the calculated "
                    + "checksum; nothing was stored")
        }
        outcome.checksums = [running.algorithm.rawValue: computed]
    }
}
