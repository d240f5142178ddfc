import CyxCore

/// Changes inputs as libFuzzer's mutators do, from a seed and without knowing what they reach.
struct Mutator {
    private static let interesting: [UInt64] = [
        0, 1, 2, 7, 8, 16, 32, 63, 64, 100, 127, 128, 255, 256, 1 << 14, 1 << 15, 1 << 16, 1 << 30,
        1 << 31, 1 << 32, 1 << 62, 1 << 63, UInt64.max, UInt64.max - 1, UInt64(Int32.max),
        UInt64(Int64.max),
    ]

    private var generator: SeededGenerator
    private let corpus: [[UInt8]]
    private let bytesMax: Int

    init(seed: UInt64, corpus: [[UInt8]], bytesMax: Int) {
        generator = SeededGenerator(seed: seed)
        self.corpus = corpus
        self.bytesMax = bytesMax
    }

    private mutating func below(_ bound: Int) -> Int {
        Int.random(in: 0..<Swift.max(1, bound), using: &generator)
    }

    /// An input of the corpus with one to eight changes; now and then bytes from nowhere.
    mutating func next() -> [UInt8] {
        if corpus.isEmpty || below(20) == 0 {
            return (0..<below(Swift.min(bytesMax, 256))).map { _ in UInt8(below(256)) }
        }
        var bytes = corpus[below(corpus.count)]
        for _ in 0...below(4) * below(3) { change(&bytes) }
        return Array(bytes.prefix(bytesMax))
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = [UInt8(below(256))]
            return
        }
        let index = below(bytes.count)
        switch below(11) {
        case 0: bytes[index] ^= 1 << UInt8(below(8))
        case 1: bytes[index] = UInt8(below(256))
        case 2: bytes[index] &+= UInt8(below(35)) &- 17
        case 3: bytes.removeLast(below(bytes.count))
        case 4: bytes.removeSubrange(index..<Swift.min(bytes.count, index + 1 + below(16)))
        case 5:
            let piece = bytes[index..<Swift.min(bytes.count, index + 1 + below(64))]
            bytes.insert(contentsOf: Array(piece), at: below(bytes.count))
        case 6: write(Mutator.interesting[below(Mutator.interesting.count)], into: &bytes, index)
        case 7:
            let fill = [UInt8](repeating: bytes[below(bytes.count)], count: 1 + below(32))
            bytes.insert(contentsOf: fill, at: index)
        case 8:
            let other = corpus[below(corpus.count)]
            bytes.replaceSubrange(index..., with: other.dropFirst(below(other.count + 1)))
        case 9:
            let other = below(bytes.count)
            bytes.swapAt(index, other)
        default:
            let other = corpus[below(corpus.count)]
            let start = below(other.count)
            let piece = other[start..<Swift.min(other.count, start + 1 + below(32))]
            bytes.insert(contentsOf: Array(piece), at: index)
        }
    }

    /// A number at the edge of something, 1 to 8 bytes long, in either byte order.
    private mutating func write(_ value: UInt64, into bytes: inout [UInt8], _ index: Int) {
        let size = Swift.min(1 << below(4), bytes.count - index)
        let isLittle = below(2) == 0
        for place in 0..<size {
            let shift = UInt64(8 * (isLittle ? place : size - 1 - place))
            bytes[index + place] = UInt8(truncatingIfNeeded: value >> shift)
        }
    }
}
