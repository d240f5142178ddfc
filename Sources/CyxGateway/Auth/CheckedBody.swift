internal import CyxCore
internal import CyxHTTP
internal import Synchronization

/// A request's payload with framing taken off and every promise about it checked. It throws before
/// its end if one was broken, so that whatever stores it commits nothing.
struct CheckedBody: ByteSource {
    /// Where the checksums are found once the body has ended.
    final class Outcome: Sendable {
        private let values = Mutex<[String: String]>([:])

        var checksums: [String: String] {
            get { values.withLock { $0 } }
            set { values.withLock { $0 = newValue } }
        }

        private let kept = Mutex<[String: String]>([:])

        /// The stored headers of the upload that the body became a part of.
        var uploadHeaders: [String: String] {
            get { kept.withLock { $0 } }
            set { kept.withLock { $0 = newValue } }
        }
    }

    private var source: HTTPRequestBody
    private var check: PayloadCheck
    private let blocking: any BlockingPool
    private var hasEnded = false
    let outcome = Outcome()

    init(_ source: HTTPRequestBody, _ check: PayloadCheck, blocking: any BlockingPool) {
        self.source = source
        self.check = check
        self.blocking = blocking
    }

    var length: UInt64 { check.length }
    var promisedAlgorithm: ChecksumAlgorithm? { check.promisedAlgorithm }

    /// Has a checksum computed that the request itself may not give, and kept under that name.
    mutating func compute(_ algorithm: ChecksumAlgorithm, as name: String? = nil) {
        check.compute(algorithm, as: name)
    }

    mutating func next() async throws -> [UInt8]? {
        while !hasEnded {
            guard let raw = try await source.next() else {
                hasEnded = true
                try check.finish()
                outcome.checksums = check.checksums
                return nil
            }
            let bytes = check.isHeavy ? try await processOffReactor(raw) : try check.process(raw)
            if !bytes.isEmpty { return bytes }
        }
        return nil
    }

    private mutating func processOffReactor(_ raw: [UInt8]) async throws -> [UInt8] {
        let check = check
        let (checked, bytes) = try await blocking.run {
            () throws(S3Error) -> (PayloadCheck, [UInt8]) in
            var check = check
            let bytes = try check.process(raw)
            return (check, bytes)
        }
        self.check = checked
        return bytes
    }

    /// Reads the whole payload, which may have at most `limit` bytes.
    mutating func collect(limit: Int) async throws -> [UInt8] {
        guard length <= UInt64(limit) else {
            throw S3Error(
                "MaxMessageLengthExceeded", 400, "The request's document is over \(limit) bytes")
        }
        var bytes: [UInt8] = []
        while let more = try await next() { bytes += more }
        return bytes
    }
}
