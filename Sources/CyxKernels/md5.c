#include "cyx_md5.h"

#include <string.h>

// 16 bytes of input at any address. The words of MD5 and of the machines that this is built for have
// their low byte first.
typedef uint32_t words4 __attribute__((vector_size(16), aligned(1), may_alias));
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "MD5 takes words low byte first");

// floor(2^32 * abs(sin(step + 1))), RFC 1321 §3.4.
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a,
    0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
    0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
    0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
    0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
    0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
    0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
    0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
    0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

// By round and step.
static const int rotations[4][4] = {
    {7, 12, 17, 22},
    {5, 9, 14, 20},
    {4, 11, 16, 23},
    {6, 10, 15, 21},
};

// Which word of the block a step takes.
static inline __attribute__((always_inline)) int word_of_step(int step) {
    return step < 16 ? step : step < 32 ? (5 * step + 1) % 16 : step < 48 ? (3 * step + 5) % 16 : 7 * step % 16;
}

// Keeps the compiler from changing the order in which a value is made.
#if defined(__x86_64__)
#define SETTLE(vector) __asm__("" : "+v"(vector))
#else
#define SETTLE(vector) (void)0
#endif

#define LANES 4
#define NAME(x) wide4_##x
#include "md5_wide.h"
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LANES 8
#define NAME(x) wide8_##x
#include "md5_wide.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl"))), apply_to = function)
#define LANES 4
#define NAME(x) rotating4_##x
#include "md5_wide.h"
#define LANES 8
#define NAME(x) rotating8_##x
#include "md5_wide.h"
#define LANES 16
#define NAME(x) wide16_##x
#include "md5_wide.h"
#pragma clang attribute pop
#endif

int cyx_md5_best_level(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        return CYX_MD5_VECTOR16;
    if (__builtin_cpu_supports("avx2")) return CYX_MD5_VECTOR8;
#endif
    return CYX_MD5_VECTOR4;
}

typedef void update_lanes(uint32_t (*)[CYX_MD5_LANES], const uint8_t *const *, size_t);

// The kernel for `count` lanes or more, and how many it takes.
static update_lanes *kernel(int level, size_t count, size_t *lanes) {
#if defined(__x86_64__)
    if (level >= CYX_MD5_VECTOR16) {
        *lanes = count > 8 ? 16 : count > 4 ? 8 : 4;
        return count > 8 ? wide16_update : count > 4 ? rotating8_update : rotating4_update;
    }
    if (level == CYX_MD5_VECTOR8 && count > 4) {
        *lanes = 8;
        return wide8_update;
    }
#endif
    *lanes = 4;
    return wide4_update;
}

void cyx_md5_update_many(int level, struct cyx_md5_lane *lanes, size_t count) {
    while (1) {
        // Lanes with blocks left come together, as many as a kernel takes; they go on side by side
        // until the first of them is done.
        struct cyx_md5_lane *active[CYX_MD5_LANES];
        size_t found = 0, width = 0, blocks = SIZE_MAX;
        for (size_t i = 0; i < count && found < CYX_MD5_LANES; i++)
            if (lanes[i].count > 0) active[found++] = &lanes[i];
        if (found == 0) return;
        update_lanes *update = kernel(level, found, &width);
        if (found > width) found = width;
        uint32_t state[4][CYX_MD5_LANES] = {{0}};
        const uint8_t *next[CYX_MD5_LANES];
        for (size_t i = 0; i < width; i++) {
            // Lanes beyond the last repeat the first, and what they make is dropped.
            const struct cyx_md5_lane *lane = active[i < found ? i : 0];
            for (int word = 0; word < 4; word++) state[word][i] = lane->state[word];
            next[i] = lane->blocks;
            if (lane->count < blocks) blocks = lane->count;
        }
        update(state, next, blocks);
        for (size_t i = 0; i < found; i++) {
            for (int word = 0; word < 4; word++) active[i]->state[word] = state[word][i];
            active[i]->blocks += blocks * CYX_MD5_BLOCK;
            active[i]->count -= blocks;
        }
    }
}
