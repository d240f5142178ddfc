// Arithmetic modulo 2^255 - 19 on vectors of four numbers, for processors with AVX-512 IFMA and VL.
#ifndef CYX_CURVE25519_LANES_H
#define CYX_CURVE25519_LANES_H

#include "curve25519_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Four numbers side by side, limb by limb. The multiplier takes 52 bits, so sums are carried before
// they are multiplied.
typedef __m256i lanes[5];

#define VECTORS "avx512f,avx512vl,avx512ifma,bmi2"
#define VECTOR __attribute__((target(VECTORS), always_inline)) static inline

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

// Out of products of limbs in halves of 52 bits: the upper half counts twice, one limb further on.
VECTOR void reduce_lanes(lanes r, const __m256i low[9], const __m256i high[9]) {
    __m256i t[10];
    t[0] = low[0];
    for (int k = 1; k < 9; k++) {
        t[k] = _mm256_add_epi64(low[k], _mm256_slli_epi64(high[k - 1], 1));
    }
    t[9] = _mm256_slli_epi64(high[8], 1);
    for (int k = 0; k < 5; k++) r[k] = _mm256_add_epi64(t[k], times19(t[k + 5]));
    carry_lanes(r);
}

// Limbs of both are below 2^52.
VECTOR void multiply_lanes(lanes r, const lanes a, const lanes b) {
    __m256i low[9], high[9];
    for (int k = 0; k < 9; k++) low[k] = high[k] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; i++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < 5; j++) {
            low[i + j] = _mm256_madd52lo_epu64(low[i + j], a[i], b[j]);
            high[i + j] = _mm256_madd52hi_epu64(high[i + j], a[i], b[j]);
        }
    }
    reduce_lanes(r, low, high);
}

// The same of a number and itself: what is left and right of the diagonal is only found once.
VECTOR void square_lanes(lanes r, const lanes a) {
    __m256i low[9], high[9];
    for (int k = 0; k < 9; k++) low[k] = high[k] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; i++) {
#pragma clang loop unroll(full)
        for (int j = i + 1; j < 5; j++) {
            low[i + j] = _mm256_madd52lo_epu64(low[i + j], a[i], a[j]);
            high[i + j] = _mm256_madd52hi_epu64(high[i + j], a[i], a[j]);
        }
    }
    for (int k = 1; k < 8; k++) {
        low[k] = _mm256_add_epi64(low[k], low[k]);
        high[k] = _mm256_add_epi64(high[k], high[k]);
    }
    for (int i = 0; i < 5; i++) {
        low[2 * i] = _mm256_madd52lo_epu64(low[2 * i], a[i], a[i]);
        high[2 * i] = _mm256_madd52hi_epu64(high[2 * i], a[i], a[i]);
    }
    reduce_lanes(r, low, high);
}

// 4 p, so that no limb falls below zero where a product or the sum of two is taken away.
VECTOR __m256i bias_limb(int i) {
    return _mm256_set1_epi64x(4 * (int64_t)(LIMB - (i == 0 ? 18 : 0)));
}

#endif
#endif
