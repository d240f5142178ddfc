import CyxCore
import CyxCrypto
import Testing

struct BLAKE3Tests {
    /// Every instruction set that this machine can run.
    static let levels = Array(0...BLAKE3.level)

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
