import CyxCore
import CyxCrypto
import Testing

struct BLAKE3Tests {
    /// Every instruction set that this machine can run.
    static let levels = Array(0...BLAKE3.level)

    static let overOnePass =
        "2f053cd7472cf0cd2f9adaf45c1180255b91b9a865404a63671a0ee5f792ed33"

    static func input(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8($0 % 251) }
    }

    @Test(arguments: levels)
    func matchesThePublishedVectors(level: Int32) throws {
        let key = try #require(Digest(bytes: Array(BLAKE3Vectors.key.utf8)))
        for vector in BLAKE3Vectors.all {
            let input = BLAKE3Tests.input(vector.count)
            var plain = BLAKE3.Hasher(level: level)
            var keyed = BLAKE3.Hasher(level: level, key: key)
            var derived = BLAKE3.Hasher(level: level, derivingKeyFor: BLAKE3Vectors.context)
            plain.update(input)
            keyed.update(input)
            derived.update(input)
            #expect(Hex.encode(plain.finalize(count: 131)) == vector.hash)
            #expect(Hex.encode(keyed.finalize(count: 131)) == vector.keyedHash)
            #expect(Hex.encode(derived.finalize(count: 131)) == vector.derivedKey)
        }
    }

    @Test func oneShotFormsMatchThePublishedVectors() throws {
        let key = try #require(Digest(bytes: Array(BLAKE3Vectors.key.utf8)))
        for vector in BLAKE3Vectors.all {
            let input = BLAKE3Tests.input(vector.count)
            #expect(BLAKE3.hash(input).hex == vector.hash.prefix(64))
            #expect(BLAKE3.keyedHash(key: key, input).hex == vector.keyedHash.prefix(64))
            let derived = BLAKE3.deriveKey(context: BLAKE3Vectors.context, input, count: 131)
            #expect(Hex.encode(derived) == vector.derivedKey)
        }
    }
}

extension BLAKE3Tests {
    /// Pieces of many sizes leave the tree's stack in many states; all give one digest.
    @Test(arguments: levels)
    func piecesOfAnySizeGiveTheSameDigest(level: Int32) {
        let input = BLAKE3Tests.input(40_000)
        let whole = BLAKE3.hash(input)
        for piece in [1, 63, 64, 65, 777, 1023, 1024, 1025, 2048, 3000, 4096, 5000, 16_384, 39_999]
        {
            var hasher = BLAKE3.Hasher(level: level)
            for start in stride(from: 0, to: input.count, by: piece) {
                hasher.update(input[start..<min(start + piece, input.count)])
            }
            #expect(hasher.finalize() == whole)
            #expect(hasher.byteCount == 40_000)
        }
    }

    /// Over 1 MiB the input goes through several passes; computed with the `blake3` package.
    @Test(arguments: levels)
    func inputsOfSeveralPassesMatchAnotherImplementation(level: Int32) {
        let input = BLAKE3Tests.input((1 << 20) + 1)
        var hasher = BLAKE3.Hasher(level: level)
        hasher.update(input)
        #expect(hasher.finalize().hex == BLAKE3Tests.overOnePass)
        #expect(BLAKE3.hash(input).hex == BLAKE3Tests.overOnePass)
    }

    @Test func outputCanBeReadFromAnyByte() {
        var hasher = BLAKE3.Hasher()
        hasher.update([1, 2, 3])
        let output = hasher.finalize(count: 500)
        for offset in [0, 1, 63, 64, 65, 200] {
            #expect(
                hasher.finalize(count: 100, offset: UInt64(offset))
                    == Array(output[offset..<offset + 100]))
        }
        #expect(hasher.finalize().bytes == Array(output.prefix(32)))
    }

    @Test func aCopyForksTheHash() {
        var left = BLAKE3.Hasher()
        left.update([1])
        var right = left
        left.update([2])
        right.update([3])
        #expect(left.finalize() == BLAKE3.hash([1, 2]))
        #expect(right.finalize() == BLAKE3.hash([1, 3]))
        #expect(BLAKE3.hash([[1], [], [2]]) == BLAKE3.hash([1, 2]))
    }
}
