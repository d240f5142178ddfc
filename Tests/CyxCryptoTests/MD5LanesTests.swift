import CyxCore
import CyxCrypto
import CyxKernels
import Testing

/// Several MD5s side by side, against OpenSSL's one after another.
struct MD5LanesTests {
    private static let levels = [CYX_MD5_VECTOR4, CYX_MD5_VECTOR8, CYX_MD5_VECTOR16].map {
        Int32(truncatingIfNeeded: $0)
    }.filter { $0 <= cyx_md5_best_level() }

    private func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    @Test(arguments: MD5LanesTests.levels, 1...MD5.lanes)
    func lanesGiveTheDigestsOfEachAlone(level: Int32, count: Int) {
        var alone = Array(repeating: MD5(), count: count)
        var together = alone
        // Unlike lengths: nothing, less than a block, its border, and many blocks.
        for round in 0..<4 {
            let pieces = (0..<count).map { lane in
                bytes([0, 1, 55, 63, 64, 65, 1000, 4096][(lane * 3 + round) % 8] + lane, 7)
            }
            for lane in 0..<count { alone[lane].update(pieces[lane]) }
            MD5.update(&together, with: pieces, level: level)
            #expect(together.map { $0.finalize() } == alone.map { $0.finalize() })
        }
    }

    /// 2^32 bits do not fit the lower word of the length.
    @Test func lengthsCountBeyondHalfAGibibyte() {
        let piece = bytes(64 << 20, 1)
        var alone = MD5()
        var together = [MD5(), MD5()]
        for _ in 0..<9 {
            alone.update(piece)
            MD5.update(&together, with: [piece, piece])
        }
        #expect(together.map { $0.finalize() } == [alone.finalize(), alone.finalize()])
    }
}
