// What the parts of BLAKE3 share: constants, the compression function, and hashing side by side.
#ifndef CYX_BLAKE3_INTERNAL_H
#define CYX_BLAKE3_INTERNAL_H

#include "cyx_blake3.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the message words are read as little-endian"
#endif

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };
enum { BLOCKS_PER_CHUNK = CYX_BLAKE3_CHUNK / CYX_BLAKE3_BLOCK };

static const uint32_t IV[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// The message words of each round: the permutation of table 2 applied again and again.
static const uint8_t SCHEDULE[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

// The compression function, §2.2; all 16 words of output.
void cyx_blake3_compress(
    const uint32_t cv[8], const uint8_t block[CYX_BLAKE3_BLOCK], uint32_t length,
    uint64_t counter, uint32_t flags, uint32_t output[16]);

// The same in place, for the chaining value only.
void cyx_blake3_compress_cv(
    uint32_t cv[8], const uint8_t block[CYX_BLAKE3_BLOCK], uint32_t length, uint64_t counter,
    uint32_t flags);

// What is hashed side by side: chunks, or parents.
struct cyx_blake3_shape {
    size_t stride;  // bytes from one input to the next
    size_t blocks;
    uint32_t flags, first, last;  // of every block; besides, of the first and of the last
    int step;                     // 1 if the counter grows with the input
};

// Hashes `count` inputs of one shape to `count` chaining values. `output` may be where the inputs
// begin: values are never longer than their inputs, and the inputs they fall on have been read.
void cyx_blake3_hash_many(
    int level, const struct cyx_blake3_shape *shape, const uint32_t *key, const uint8_t *input,
    size_t count, uint64_t counter, uint8_t *output);

#endif
