#include "cyx_crc64.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const uint64_t POLYNOMIAL = 0x9a6c9329ac4bc9b5;  // ad93d23594c93659 reflected

// Slicing by 16 (Kounavis and Berry 2005): table[i][b] is the check of byte b and i zeros after it.
enum { SLICES = 16 };
static uint64_t table[SLICES][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Blocks of 16 bytes are polynomials of degree 127, multiplied forward over what lies between them
// and the block that they are added to.
enum { BLOCK = 16, NARROW = 8 * BLOCK, WIDE = 16 * BLOCK };
// Of a distance: what the first and the second half of a block are multiplied by.
static uint64_t over_block[2], over_narrow[2], over_wide[2];

static uint64_t times_x(uint64_t value) { return value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1; }

// x to that power modulo the polynomial, the coefficient of x^63 lowest.
static uint64_t power(unsigned exponent) {
    uint64_t value = (uint64_t)1 << 63;
    while (exponent-- > 0) value = times_x(value);
    return value;
}

// The product of two reflected words is one place too low in its two words, hence one power less.
static void set_distance(uint64_t factors[2], unsigned bytes) {
    factors[0] = power(8 * bytes + 63);
    factors[1] = power(8 * bytes - 1);
}

static void fill(void) {
    for (int byte = 0; byte < 256; byte++) {
        uint64_t crc = (uint64_t)byte;
        for (int bit = 0; bit < 8; bit++) crc = times_x(crc);
        table[0][byte] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++)
        for (int byte = 0; byte < 256; byte++) {
            uint64_t crc = table[slice - 1][byte];
            table[slice][byte] = crc >> 8 ^ table[0][crc & 0xff];
        }
    set_distance(over_block, BLOCK);
    set_distance(over_narrow, NARROW);
    set_distance(over_wide, WIDE);
}

// Here and below, states are those between the ones before and after.
static uint64_t by_tables(uint64_t state, const uint8_t *bytes, size_t length) {
    for (; length >= SLICES; length -= SLICES, bytes += SLICES) {
        uint64_t low, high, next = 0;
        memcpy(&low, bytes, sizeof low);
        memcpy(&high, bytes + sizeof low, sizeof high);
        low ^= state;
        for (int i = 0; i < 8; i++) {
            next ^= table[SLICES - 1 - i][low >> (8 * i) & 0xff];
            next ^= table[SLICES - 9 - i][high >> (8 * i) & 0xff];
        }
        state = next;
    }
    for (; length > 0; length--) state = state >> 8 ^ table[0][(state ^ *bytes++) & 0xff];
    return state;
}

#if defined(__x86_64__)

// Folding by carry-less multiplication (Gopal et al., "Fast CRC Computation for Generic Polynomials
// Using PCLMULQDQ Instruction", Intel 2009). What is left of the last block is at most 16 bytes,
// whose check the tables give.

__attribute__((target("pclmul,sse4.1"))) static inline __m128i forward(__m128i block, __m128i by) {
    return _mm_xor_si128(
        _mm_clmulepi64_si128(block, by, 0x00), _mm_clmulepi64_si128(block, by, 0x11));
}

// The check of blocks that stand for all before `bytes`, and of what is left.
__attribute__((target("pclmul,sse4.1"))) static uint64_t finish(
    const __m128i *blocks, int count, const uint8_t *bytes, size_t length) {
    const __m128i by = _mm_loadu_si128((const __m128i *)over_block);
    __m128i sum = blocks[0];
    for (int i = 1; i < count; i++) sum = _mm_xor_si128(forward(sum, by), blocks[i]);
    for (; length >= BLOCK; length -= BLOCK, bytes += BLOCK)
        sum = _mm_xor_si128(forward(sum, by), _mm_loadu_si128((const __m128i *)bytes));
    uint8_t last[BLOCK];
    _mm_storeu_si128((__m128i *)last, sum);
    return by_tables(by_tables(0, last, BLOCK), bytes, length);
}

__attribute__((target("pclmul,sse4.1"))) static uint64_t by_blocks(
    uint64_t state, const uint8_t *bytes, size_t length) {
    enum { COUNT = NARROW / BLOCK };
    const __m128i by = _mm_loadu_si128((const __m128i *)over_narrow);
    __m128i sums[COUNT];
    for (int i = 0; i < COUNT; i++) sums[i] = _mm_loadu_si128((const __m128i *)bytes + i);
    sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi64_si128((long long)state));
    for (length -= NARROW, bytes += NARROW; length >= NARROW; length -= NARROW, bytes += NARROW)
        for (int i = 0; i < COUNT; i++)
            sums[i] = _mm_xor_si128(
                forward(sums[i], by), _mm_loadu_si128((const __m128i *)bytes + i));
    return finish(sums, COUNT, bytes, length);
}

#define FOUR_BLOCKS __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.1")))

FOUR_BLOCKS static uint64_t by_four_blocks(uint64_t state, const uint8_t *bytes, size_t length) {
    enum { COUNT = WIDE / 64 };
    const __m512i by = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)over_wide));
    __m512i sums[COUNT];
    for (int i = 0; i < COUNT; i++) sums[i] = _mm512_loadu_si512(bytes + 64 * i);
    sums[0] = _mm512_xor_si512(
        sums[0], _mm512_zextsi128_si512(_mm_cvtsi64_si128((long long)state)));
    for (length -= WIDE, bytes += WIDE; length >= WIDE; length -= WIDE, bytes += WIDE)
        for (int i = 0; i < COUNT; i++) {
            const __m512i first = _mm512_clmulepi64_epi128(sums[i], by, 0x00);
            const __m512i second = _mm512_clmulepi64_epi128(sums[i], by, 0x11);
            const __m512i next = _mm512_loadu_si512(bytes + 64 * i);
            sums[i] = _mm512_ternarylogic_epi64(first, second, next, 0x96);
        }
    __m128i blocks[WIDE / BLOCK];
    memcpy(blocks, sums, sizeof blocks);
    return finish(blocks, WIDE / BLOCK, bytes, length);
}

static enum cyx_crc64_way fastest(void) {
    if (!__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("sse4.1"))
        return CYX_CRC64_TABLES;
    return __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512f")
               ? CYX_CRC64_FOUR_BLOCKS
               : CYX_CRC64_BLOCKS;
}

#endif

uint64_t cyx_crc64_nvme_by(
    enum cyx_crc64_way way, uint64_t crc, const void *input, size_t length) {
    const uint8_t *bytes = input;
    pthread_once(&once, fill);
#if defined(__x86_64__)
    const enum cyx_crc64_way most = fastest();
    if (way > most) way = most;
    if (way >= CYX_CRC64_FOUR_BLOCKS && length >= WIDE)
        return ~by_four_blocks(~crc, bytes, length);
    if (way >= CYX_CRC64_BLOCKS && length >= NARROW) return ~by_blocks(~crc, bytes, length);
#else
    (void)way;
#endif
    return ~by_tables(~crc, bytes, length);
}

uint64_t cyx_crc64_nvme(uint64_t crc, const void *input, size_t length) {
    return cyx_crc64_nvme_by(CYX_CRC64_FOUR_BLOCKS, crc, input, length);
}
