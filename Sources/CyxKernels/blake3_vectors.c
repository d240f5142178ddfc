#include <string.h>

#include "blake3_internal.h"

enum { BLOCKS_PREFETCHED = 4 };

// 16 or 32 bytes of input, of whatever type, at any address.
typedef uint32_t words4 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint32_t words8 __attribute__((vector_size(32), aligned(1), may_alias));

// Indices for __builtin_shufflevector over two vectors of L words. ZIP and PAIR give four of them:
// from word `at` on, single words or pairs of words of the one and the other in turn.
#define ZIP(L, at) (at), L + (at), (at) + 1, L + (at) + 1
#define PAIR(L, at) (at), (at) + 1, L + (at), L + (at) + 1
// The same in each 128-bit part, where a shuffle costs least.
#define PARTS_4(F, at) F(4, at)
#define PARTS_8(F, at) F(8, at), F(8, at + 4)
#define PARTS_16(F, at) F(16, at), F(16, at + 4), F(16, at + 8), F(16, at + 12)
// Half a vector zipped into a whole one.
#define ZIPPED_4(at) ZIP(4, at)
#define ZIPPED_8(at) ZIP(8, at), ZIP(8, at + 2)
#define ZIPPED_16(at) ZIP(16, at), ZIP(16, at + 2), ZIP(16, at + 4), ZIP(16, at + 6)
#define JOINED(a, b) a##b
#define JOIN(a, b) JOINED(a, b)

#define LANES 4
#define NAME(x) wide4_##x
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("sse4.1"))), apply_to = function)
#include "blake3_wide.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LANES 8
#define NAME(x) wide8_##x
#include "blake3_wide.h"
#pragma clang attribute pop

// The same widths once more where AVX-512 VL gives them rotations and 32 registers, for the ends of
// inputs that do not fill sixteen lanes.
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl"))), apply_to = function)
#define LANES 4
#define NAME(x) rotating4_##x
#include "blake3_wide.h"
#define LANES 8
#define NAME(x) rotating8_##x
#include "blake3_wide.h"
#define LANES 16
#define NAME(x) wide16_##x
#include "blake3_wide.h"
#pragma clang attribute pop
#else
#include "blake3_wide.h"
#endif

int cyx_blake3_best_level(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        return CYX_BLAKE3_VECTOR16;
    if (__builtin_cpu_supports("avx2")) return CYX_BLAKE3_VECTOR8;
    if (__builtin_cpu_supports("sse4.1")) return CYX_BLAKE3_VECTOR4;
    return CYX_BLAKE3_PORTABLE;
#else
    return CYX_BLAKE3_VECTOR4;
#endif
}

typedef void hash_inputs(
    const struct cyx_blake3_shape *, const uint32_t *, const uint8_t *, size_t, uint64_t,
    uint8_t *);

static void hash_each(
    const struct cyx_blake3_shape *shape, const uint32_t *key, const uint8_t *input, size_t count,
    uint64_t counter, uint8_t *output) {
    for (size_t i = 0; i < count; i++) {
        uint32_t cv[8];
        memcpy(cv, key, sizeof cv);
        for (size_t block = 0; block < shape->blocks; block++) {
            uint32_t flags = shape->flags | (block == 0 ? shape->first : 0) |
                             (block + 1 == shape->blocks ? shape->last : 0);
            cyx_blake3_compress_cv(
                cv, input + block * CYX_BLAKE3_BLOCK, CYX_BLAKE3_BLOCK, counter, flags);
        }
        memcpy(output, cv, sizeof cv);
        input += shape->stride;
        output += CYX_BLAKE3_DIGEST;
        counter += shape->step ? 1 : 0;
    }
}

// The kernel to begin `count` inputs with, and how many lanes it has. A kernel may have more lanes
// than inputs: from two inputs on, idle lanes cost less than going one by one.
static hash_inputs *kernel(int level, size_t count, size_t *lanes) {
    *lanes = 1;
    if (level == CYX_BLAKE3_PORTABLE || count < 2) return hash_each;
#if defined(__x86_64__)
    if (level >= CYX_BLAKE3_VECTOR16) {
        *lanes = count > 8 ? 16 : count > 4 ? 8 : 4;
        return count > 8 ? wide16_hash : count > 4 ? rotating8_hash : rotating4_hash;
    }
    if (level == CYX_BLAKE3_VECTOR8 && count > 4) {
        *lanes = 8;
        return wide8_hash;
    }
#endif
    *lanes = 4;
    return wide4_hash;
}

void cyx_blake3_hash_many(
    int level, const struct cyx_blake3_shape *shape, const uint32_t *key, const uint8_t *input,
    size_t count, uint64_t counter, uint8_t *output) {
    while (count > 0) {
        size_t lanes;
        hash_inputs *hash = kernel(level, count, &lanes);
        size_t taken = count < lanes ? count : count / lanes * lanes;
        hash(shape, key, input, taken, counter, output);
        input += taken * shape->stride;
        output += taken * CYX_BLAKE3_DIGEST;
        counter += shape->step ? taken : 0;
        count -= taken;
    }
}
