#include <string.h>

#include "blake3_internal.h"

static inline uint32_t rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

static inline __attribute__((always_inline)) void mix(
    uint32_t *v, int a, int b, int c, int d, uint32_t x, uint32_t y) {
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 7);
}

void cyx_blake3_compress(
    const uint32_t cv[8], const uint8_t block[CYX_BLAKE3_BLOCK], uint32_t length,
    uint64_t counter, uint32_t flags, uint32_t output[16]) {
    uint32_t m[16];
    memcpy(m, block, sizeof m);
    uint32_t v[16] = {
        cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7], IV[0], IV[1], IV[2], IV[3],
        (uint32_t)counter, (uint32_t)(counter >> 32), length, flags};
#pragma clang loop unroll(full)
    for (int round = 0; round < 7; round++) {
        const uint8_t *s = SCHEDULE[round];
        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++) {
        output[i] = v[i] ^ v[i + 8];
        output[i + 8] = v[i + 8] ^ cv[i];
    }
}

void cyx_blake3_compress_cv(
    uint32_t cv[8], const uint8_t block[CYX_BLAKE3_BLOCK], uint32_t length, uint64_t counter,
    uint32_t flags) {
    uint32_t output[16];
    cyx_blake3_compress(cv, block, length, counter, flags, output);
    memcpy(cv, output, CYX_BLAKE3_DIGEST);
}
