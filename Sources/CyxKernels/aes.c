#include "cyx_aes.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

int cyx_aes256_available(void) { return __builtin_cpu_supports("aes"); }

#define AES __attribute__((target("aes,sse4.1")))

// Each word of a round key is the sum of all words before it in the last one of its kind, and of
// `word`, the last word of the round key before, transformed (FIPS 197 §5.2).
AES static __m128i next_key(__m128i key, __m128i word) {
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, word);
}

// Rotated, substituted and with the round's constant, in all four places.
#define ROTATED(key, constant) \
    _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, constant), 0xFF)
// Substituted only.
#define SUBSTITUTED(key) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, 0), 0xAA)

AES void cyx_aes256_expand(cyx_aes256_key *result, const uint8_t key[32]) {
    __m128i *keys = (__m128i *)result->bytes;
    __m128i even = _mm_loadu_si128((const __m128i *)key);
    __m128i odd = _mm_loadu_si128((const __m128i *)(key + 16));
    _mm_storeu_si128(keys, even);
    _mm_storeu_si128(keys + 1, odd);
#define ROUNDS(index, constant)                             \
    even = next_key(even, ROTATED(odd, constant));          \
    _mm_storeu_si128(keys + index, even);                   \
    if (index + 1 < CYX_AES256_ROUND_KEYS) {                \
        odd = next_key(odd, SUBSTITUTED(even));             \
        _mm_storeu_si128(keys + index + 1, odd);            \
    }
    ROUNDS(2, 0x01)
    ROUNDS(4, 0x02)
    ROUNDS(6, 0x04)
    ROUNDS(8, 0x08)
    ROUNDS(10, 0x10)
    ROUNDS(12, 0x20)
    ROUNDS(14, 0x40)
#undef ROUNDS
}

AES void cyx_aes256_encrypt(
    const cyx_aes256_key *key, uint8_t result[16], const uint8_t block[16]) {
    const __m128i *keys = (const __m128i *)key->bytes;
    __m128i state = _mm_loadu_si128((const __m128i *)block);
    state = _mm_xor_si128(state, _mm_loadu_si128(keys));
    for (int round = 1; round < CYX_AES256_ROUND_KEYS - 1; round++)
        state = _mm_aesenc_si128(state, _mm_loadu_si128(keys + round));
    state = _mm_aesenclast_si128(state, _mm_loadu_si128(keys + CYX_AES256_ROUND_KEYS - 1));
    _mm_storeu_si128((__m128i *)result, state);
}
#else
int cyx_aes256_available(void) { return 0; }
void cyx_aes256_expand(cyx_aes256_key *result, const uint8_t key[32]) {
    (void)key;
    memset(result, 0, sizeof *result);
}
void cyx_aes256_encrypt(
    const cyx_aes256_key *key, uint8_t result[16], const uint8_t block[16]) {
    (void)key, (void)block;
    memset(result, 0, 16);
}
#endif
