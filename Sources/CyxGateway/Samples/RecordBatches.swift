internal import CyxCore

/// Samples of one size each in a row, in batches that each have a head, if any. Holds no more than
/// one piece of its source.
struct RecordBatches: ByteSource {
    private var source: any ByteSource
    private let sampleBytes: UInt64
    private let batch: UInt64
    private let head: @Sendable (UInt64) -> [UInt8]
    /// Samples of batches that have not begun.
    private var samplesLeft: UInt64
    private var bytesLeft: UInt64 = 0
    private var piece: ArraySlice<UInt8> = []

    /// `source`: exactly the bytes of `samples`. `head`: what a batch of so many samples begins with.
    init(
        _ source: any ByteSource, samples: UInt64, sampleBytes: UInt64, batch: UInt64,
        head: @escaping @Sendable (UInt64) -> [UInt8]
    ) {
        self.source = source
        self.sampleBytes = sampleBytes
        self.batch = batch
        self.head = head
        samplesLeft = samples
    }

    /// How many bytes come out; nil for more than can be counted.
    static func length(
        samples: UInt64, sampleBytes: UInt64, batch: UInt64, head: (UInt64) -> [UInt8]
    ) -> UInt64? {
        let (full, rest) = (samples / batch, samples % batch)
        let (heads, isOver) = full.multipliedReportingOverflow(by: UInt64(head(batch).count))
        let (data, isMore) = samples.multipliedReportingOverflow(by: sampleBytes)
        let last = rest > 0 ? UInt64(head(rest).count) : 0
        let (sum, isTooMuch) = heads.addingReportingOverflow(data)
        let (total, isTooMany) = sum.addingReportingOverflow(last)
        return isOver || isMore || isTooMuch || isTooMany ? nil : total
    }

    mutating func next() async throws -> [UInt8]? {
        if bytesLeft == 0 {
            guard samplesLeft > 0 else { return nil }
            let count = min(batch, samplesLeft)
            samplesLeft -= count
            bytesLeft = count * sampleBytes
            let head = head(count)
            if !head.isEmpty { return head }
        }
        while piece.isEmpty {
            guard let more = try await source.next() else {
                throw SampleFault.malformed("The object ended within a sample")
            }
            piece = more[...]
        }
        let taken = piece.prefix(Int(min(bytesLeft, UInt64(piece.count))))
        piece = piece.dropFirst(taken.count)
        bytesLeft -= UInt64(taken.count)
        return Array(taken)
    }
}
