import CyxCore
import CyxCrypto
import Testing

struct AESCTRTests {
    private let zeroKey = [UInt8](repeating: 0, count: 32)

    /// The first three blocks of the stream under a key of zeros: H, the tag of test case 13 and the
    /// ciphertext of test case 14 of McGrew and Viega's GCM specification.
    private let stream =
        "dc95c078a2408989ad48a21492842087" + "530f8afbc74536b9a963b4f1c4cb738b"
        + "cea7403d4d606b6e074ec5d3baf39d18"

    @Test func theStreamIsThatOfTheSpecification() {
        let zeros = [UInt8](repeating: 0, count: 48)
        #expect(Hex.encode(AESCTR.apply(key: zeroKey, at: 0, to: zeros)) == stream)
    }

    @Test func itMayBeEnteredAtAnyByte() {
        let plain = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let whole = AESCTR.apply(key: zeroKey, at: 0, to: plain)
        for start in [0, 1, 15, 16, 17, 31, 100, 299, 300] {
            let rest = Array(plain[start...])
            #expect(
                AESCTR.apply(key: zeroKey, at: UInt64(start), to: rest) == Array(whole[start...]))
        }
        #expect(AESCTR.apply(key: zeroKey, at: 0, to: whole) == plain)
    }

    @Test func theCounterGoesOnBeyondFourGibiblocks() {
        let far: UInt64 = 16 << 33
        let zeros = [UInt8](repeating: 0, count: 16)
        let near = AESCTR.apply(key: zeroKey, at: 0, to: zeros)
        #expect(AESCTR.apply(key: zeroKey, at: far, to: zeros) != near)
    }
}
