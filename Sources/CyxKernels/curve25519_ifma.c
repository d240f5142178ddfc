#include "curve25519_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Four numbers modulo p side by side, limb by limb. A step of the ladder is ten multiplications,
// and with four at a time three rounds of them (in the manner of Hisil, Egrice and Yassi, "Fast 4
// way vectorized ladder for the complete set of Montgomery curves", 2020). The multiplier takes 52
// bits, so sums are carried before they are multiplied.
typedef __m256i lanes[5];

#define VECTOR \
    __attribute__((target("avx512f,avx512vl,avx512ifma"), always_inline)) static inline

// Lane i of the result is lane wi of `a`.
#define PERMUTE(a, w0, w1, w2, w3) _mm256_permute4x64_epi64(a, _MM_SHUFFLE(w3, w2, w1, w0))

VECTOR __m256i times19(__m256i a) {
    return _mm256_add_epi64(
        _mm256_add_epi64(_mm256_slli_epi64(a, 4), _mm256_slli_epi64(a, 1)), a);
}

// Limbs of at most 2^51 + 2^15 out of limbs below 2^61.
VECTOR void carry_lanes(lanes r) {
    const __m256i mask = _mm256_set1_epi64x(LIMB);
    __m256i over[5];
    for (int i = 0; i < 5; i++) {
        over[i] = _mm256_srli_epi64(r[i], 51);
        r[i] = _mm256_and_si256(r[i], mask);
    }
    r[0] = _mm256_add_epi64(r[0], times19(over[4]));
    for (int i = 1; i < 5; i++) r[i] = _mm256_add_epi64(r[i], over[i - 1]);
}

// Limbs of both are below 2^52.
VECTOR void multiply_lanes(lanes r, const lanes a, const lanes b) {
    // Products come in halves of 52 bits: the upper half counts twice, one limb further on.
    __m256i low[9], high[9], t[10];
    for (int k = 0; k < 9; k++) low[k] = high[k] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; i++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < 5; j++) {
            low[i + j] = _mm256_madd52lo_epu64(low[i + j], a[i], b[j]);
            high[i + j] = _mm256_madd52hi_epu64(high[i + j], a[i], b[j]);
        }
    }
    t[0] = low[0];
    for (int k = 1; k < 9; k++) {
        t[k] = _mm256_add_epi64(low[k], _mm256_slli_epi64(high[k - 1], 1));
    }
    t[9] = _mm256_slli_epi64(high[8], 1);
    for (int k = 0; k < 5; k++) r[k] = _mm256_add_epi64(t[k], times19(t[k + 5]));
    carry_lanes(r);
}

// RFC 7748 §5, with its names in the comments: no branch and no address depends on the scalar.
__attribute__((target("avx512f,avx512vl,avx512ifma"))) void cyx_x25519_ifma(
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
        bias[i] = _mm256_set1_epi64x(4 * (int64_t)(LIMB - (i == 0 ? 18 : 0)));
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
