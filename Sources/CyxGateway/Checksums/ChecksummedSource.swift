internal import CyxCore
internal import CyxCrypto

/// Bytes on their way, with a checksum computed of them that is known at their end.
struct ChecksummedSource: ByteSource {
    private var base: any ByteSource
    private let name: String
    private var running: RunningChecksum
    private let outcome: CheckedBody.Outcome

    /// `name`: what it is kept as, if not as what it is.
    init(
        _ base: any ByteSource, _ algorithm: ChecksumAlgorithm, as name: String? = nil,
        _ outcome: CheckedBody.Outcome
    ) {
        self.base = base
        self.name = name ?? algorithm.rawValue
        running = RunningChecksum(algorithm)
        self.outcome = outcome
    }

    mutating func next() async throws -> [UInt8]? {
        guard let bytes = try await base.next() else {
            outcome.checksums = [name: Base64.encode(running.finish())]
            return nil
        }
        bytes.withUnsafeBytes { running.update($0) }
        return bytes
    }
}
