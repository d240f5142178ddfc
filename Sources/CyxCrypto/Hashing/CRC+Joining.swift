/// The check of two pieces joined, out of theirs alone.
///
/// A CRC is the remainder of a polynomial over GF(2), and putting n bytes behind a piece multiplies
/// its polynomial by x^(8n) (M. Adler's `crc32_combine` in zlib does the same). So
/// crc(A ‖ B) = crc(A) · x^(8·|B|) + crc(B), where first and last complements cancel out.
extension CRC {
    /// Of `first` followed by `count` bytes whose own check is `second`.
    package static func crc32(_ first: UInt32, joinedWith second: UInt32, of count: UInt64)
        -> UInt32
    {
        Remainders<UInt32>(polynomial: 0xEDB8_8320).shifted(first, byBytes: count) ^ second
    }

    package static func crc32c(
        _ first: UInt32, joinedWith second: UInt32, of count: UInt64
    ) -> UInt32 {
        Remainders<UInt32>(polynomial: 0x82F6_3B78).shifted(first, byBytes: count) ^ second
    }

    package static func crc64NVME(
        _ first: UInt64, joinedWith second: UInt64, of count: UInt64
    ) -> UInt64 {
        Remainders<UInt64>(polynomial: 0x9A6C_9329_AC4B_C9B5).shifted(first, byBytes: count)
            ^ second
    }
}

/// Polynomials over GF(2) modulo one of the word's width, highest power in the lowest bit.
private struct Remainders<Word: FixedWidthInteger & UnsignedInteger> {
    /// Without its highest power, in the same order of bits.
    let polynomial: Word

    private var one: Word { 1 << (Word.bitWidth - 1) }

    func product(_ left: Word, _ right: Word) -> Word {
        var (sum, factor, bit) = (Word.zero, right, one)
        while bit != 0 {
            if left & bit != 0 { sum ^= factor }
            // Times x: what leaves the word comes back as the polynomial.
            factor = factor & 1 == 0 ? factor >> 1 : factor >> 1 ^ polynomial
            bit >>= 1
        }
        return sum
    }

    /// `value` · x^(8·count), by squaring.
    func shifted(_ value: Word, byBytes count: UInt64) -> Word {
        var (result, power, rest) = (value, one >> 8, count)
        while rest > 0 {
            if rest & 1 == 1 { result = product(result, power) }
            power = product(power, power)
            rest >>= 1
        }
        return result
    }
}
