#include "curve25519_lanes.h"

#if defined(__x86_64__)
// A step of the ladder is ten multiplications, and with four at a time three rounds of them (in the
// manner of Hisil, Egrice and Yassi, "Fast 4 way vectorized ladder for the complete set of
// Montgomery curves", 2020).

// RFC 7748 §5, with its names in the comments: no branch and no address depends on the scalar.
__attribute__((target(VECTORS))) void cyx_x25519_ifma(
    uint8_t result[32], const uint8_t scalar[32], const uint8_t point[32]) {
    uint8_t k[32];
    clamp(k, scalar);
    field x1;
    unpack(x1, point);
    // The state is x_2, z_2, x_3, z_3; `factor` is a free lane, a24, 1, x_1; `bias` is 4 p.
    lanes state, factor, bias;
    for (int i = 0; i < 5; i++) {
        int64_t one = i == 0;
        state[i] = _mm256_set_epi64x(one, (int64_t)x1[i], 0, one);
        factor[i] = _mm256_set_epi64x((int64_t)x1[i], one, 121665 * one, 0);
        bias[i] = bias_limb(i);
    }
    uint64_t previous = 0;
    for (int t = 254; t >= 0; t--) {
        uint64_t bit = k[t >> 3] >> (t & 7) & 1;
        __m256i swaps = _mm256_set1_epi64x(-(int64_t)(bit ^ previous));
        previous = bit;
        lanes sums, other, first, second, third;
        for (int i = 0; i < 5; i++) {
            __m256i both = _mm256_xor_si256(state[i], PERMUTE(state[i], 2, 3, 0, 1));
            state[i] = _mm256_xor_si256(state[i], _mm256_and_si256(swaps, both));
            __m256i x = PERMUTE(state[i], 0, 0, 2, 2), z = PERMUTE(state[i], 1, 1, 3, 3);
            sums[i] = _mm256_mask_sub_epi64(
                _mm256_add_epi64(x, z), 0b1010, _mm256_add_epi64(x, bias[i]), z);
        }
        // A, B, C, D times A, B, B, A.
        carry_lanes(sums);
        for (int i = 0; i < 5; i++) other[i] = PERMUTE(sums[i], 0, 1, 1, 0);
        multiply_lanes(first, sums, other);
        for (int i = 0; i < 5; i++) {
            __m256i u = PERMUTE(first[i], 0, 0, 3, 3), v = PERMUTE(first[i], 1, 1, 2, 2);
            sums[i] = _mm256_mask_sub_epi64(
                _mm256_mask_add_epi64(u, 0b0100, u, v), 0b1010, _mm256_add_epi64(u, bias[i]), v);
            other[i] = v;
        }
        // AA, E, DA + CB, DA - CB times BB, E, DA + CB, DA - CB.
        carry_lanes(sums);
        for (int i = 0; i < 5; i++) other[i] = _mm256_mask_mov_epi64(sums[i], 0b0001, other[i]);
        multiply_lanes(second, sums, other);
        // E, E², x_3, (DA - CB)² times AA, a24, 1, x_1.
        for (int i = 0; i < 5; i++) {
            sums[i] = _mm256_mask_mov_epi64(second[i], 0b0001, PERMUTE(sums[i], 1, 1, 1, 1));
            other[i] = _mm256_mask_mov_epi64(factor[i], 0b0001, first[i]);
        }
        multiply_lanes(third, sums, other);
        for (int i = 0; i < 5; i++) {
            __m256i z2 = _mm256_add_epi64(third[i], PERMUTE(third[i], 1, 0, 2, 3));
            state[i] = _mm256_mask_mov_epi64(
                _mm256_mask_mov_epi64(third[i], 0b0010, z2), 0b0001, second[i]);
        }
    }
    // The lowest bits of a clamped scalar are zero: nothing is left to swap back.
    field x2, z2;
    for (int i = 0; i < 5; i++) {
        x2[i] = (uint64_t)_mm256_extract_epi64(state[i], 0);
        z2[i] = (uint64_t)_mm256_extract_epi64(state[i], 1);
    }
    invert(z2, z2);
    multiply(x2, x2, z2);
    pack(result, x2);
    explicit_bzero(k, sizeof k);
}
#endif
