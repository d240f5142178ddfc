#include "cyx_blake3.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the message words are read as little-endian"
#endif

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };
enum { PREFETCH_DISTANCE = 4 * CYX_BLAKE3_BLOCK };
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

// The compression function, §2.2; all 16 words of output.
static void compress(
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

static void compress_cv(
    uint32_t cv[8], const uint8_t *block, uint32_t length, uint64_t counter, uint32_t flags) {
    uint32_t output[16];
    compress(cv, block, length, counter, flags, output);
    memcpy(cv, output, CYX_BLAKE3_DIGEST);
}

#define LANES 4
#define NAME(x) wide4_##x
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("sse4.1"))), apply_to = function)
#include "blake3_wide.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LANES 8
#define NAME(x) wide8_##x
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#include "blake3_wide.h"
#pragma clang attribute pop

// The same widths once more where AVX-512 VL gives them rotations and 32 registers, for the ends of
// inputs that do not fill sixteen lanes.
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl"))), apply_to = function)
#define LANES 4
#define NAME(x) rotating4_##x
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#include "blake3_wide.h"
#define LANES 8
#define NAME(x) rotating8_##x
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#include "blake3_wide.h"
#define LANES 16
#define NAME(x) wide16_##x
#define ZIP_LOW(a, b)                                                                              \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define ZIP_HIGH(a, b)                                                                             \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
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

// What is hashed in parallel: chunks, or parents.
struct shape {
    size_t stride;  // bytes from one input to the next
    size_t blocks;
    uint32_t flags, first, last;
    int step;  // 1 if the counter grows with the input
};

typedef void wide_hash(
    const uint8_t *const *, size_t, const uint32_t *, uint64_t, int, uint32_t, uint32_t, uint32_t,
    uint8_t *);

// The kernel to hash `count` inputs with, and how many lanes it has; null for plain C. A kernel may
// have more lanes than inputs: from two inputs on, idle lanes cost less than going one by one.
static wide_hash *kernel(int level, size_t count, size_t *lanes) {
    *lanes = 1;
    if (level == CYX_BLAKE3_PORTABLE || count < 2) return 0;
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

// Hashes `count` inputs of one shape to `count` chaining values. `output` may be where the inputs
// begin: a pass reads its inputs before it writes the fewer bytes of its output.
static void hash_many(
    int level, const struct shape *shape, const uint32_t *key, const uint8_t *input, size_t count,
    uint64_t counter, uint8_t *output) {
    while (count > 0) {
        size_t lanes;
        wide_hash *hash = kernel(level, count, &lanes);
        size_t taken = count < lanes ? count : lanes;
        if (hash) {
            const uint8_t *inputs[16];
            uint8_t padded[16 * CYX_BLAKE3_DIGEST];
            for (size_t i = 0; i < lanes; i++)
                inputs[i] = input + (i < taken ? i : taken - 1) * shape->stride;
            hash(
                inputs, shape->blocks, key, counter, shape->step, shape->flags, shape->first,
                shape->last, taken < lanes ? padded : output);
            if (taken < lanes) memcpy(output, padded, taken * CYX_BLAKE3_DIGEST);
        } else {
            uint32_t cv[8];
            memcpy(cv, key, sizeof cv);
            for (size_t block = 0; block < shape->blocks; block++) {
                uint32_t flags = shape->flags | (block == 0 ? shape->first : 0) |
                                 (block + 1 == shape->blocks ? shape->last : 0);
                compress_cv(
                    cv, input + block * CYX_BLAKE3_BLOCK, CYX_BLAKE3_BLOCK, counter, flags);
            }
            memcpy(output, cv, sizeof cv);
        }
        input += taken * shape->stride;
        output += taken * CYX_BLAKE3_DIGEST;
        counter += shape->step ? taken : 0;
        count -= taken;
    }
}

static void hash_chunks(
    int level, const uint32_t *key, int mode, const uint8_t *input, size_t count, uint64_t counter,
    uint8_t *output) {
    struct shape shape = {
        CYX_BLAKE3_CHUNK, BLOCKS_PER_CHUNK, (uint32_t)mode, CHUNK_START, CHUNK_END, 1};
    hash_many(level, &shape, key, input, count, counter, output);
}

// One level of the tree, in place: pairs become parents and an odd last value moves up as it is,
// which grows the same tree as §2.1's "the left subtree is the largest power of two that fits".
static size_t merge_level(int level, const uint32_t *key, int mode, uint8_t *cvs, size_t count) {
    struct shape shape = {CYX_BLAKE3_BLOCK, 1, (uint32_t)mode | PARENT, 0, 0, 0};
    size_t pairs = count / 2;
    hash_many(level, &shape, key, cvs, pairs, 0, cvs);
    if (count % 2)
        memmove(
            cvs + pairs * CYX_BLAKE3_DIGEST, cvs + (count - 1) * CYX_BLAKE3_DIGEST,
            CYX_BLAKE3_DIGEST);
    return pairs + count % 2;
}

// What is left to compress for a node: a chunk's last block, or a parent.
struct node {
    uint32_t cv[8];
    uint8_t block[CYX_BLAKE3_BLOCK];
    uint32_t length;
    uint64_t counter;
    uint32_t flags;
};

static struct node parent_node(const uint32_t *key, int mode, const uint8_t *children) {
    struct node node = {.length = CYX_BLAKE3_BLOCK, .flags = (uint32_t)mode | PARENT};
    memcpy(node.cv, key, sizeof node.cv);
    memcpy(node.block, children, sizeof node.block);
    return node;
}

static struct node chunk_node(
    const uint32_t *key, int mode, const uint8_t *input, size_t length, uint64_t counter) {
    struct node node = {.counter = counter, .flags = (uint32_t)mode | CHUNK_START};
    memcpy(node.cv, key, sizeof node.cv);
    while (length > CYX_BLAKE3_BLOCK) {
        compress_cv(node.cv, input, CYX_BLAKE3_BLOCK, counter, node.flags);
        node.flags = (uint32_t)mode;
        input += CYX_BLAKE3_BLOCK;
        length -= CYX_BLAKE3_BLOCK;
    }
    if (length > 0) memcpy(node.block, input, length);
    node.length = (uint32_t)length;
    node.flags |= CHUNK_END;
    return node;
}

static void node_cv(const struct node *node, void *output) {
    uint32_t cv[8];
    memcpy(cv, node->cv, sizeof cv);
    compress_cv(cv, node->block, node->length, node->counter, node->flags);
    memcpy(output, cv, sizeof cv);
}

// Output of any length, §2.6: the root is compressed with one counter per 64 bytes.
static void node_output(const struct node *node, uint64_t seek, uint8_t *output, size_t length) {
    uint64_t counter = seek / CYX_BLAKE3_BLOCK;
    size_t offset = seek % CYX_BLAKE3_BLOCK;
    while (length > 0) {
        uint32_t words[16];
        compress(node->cv, node->block, node->length, counter, node->flags | ROOT, words);
        size_t taken = CYX_BLAKE3_BLOCK - offset;
        if (taken > length) taken = length;
        memcpy(output, (const uint8_t *)words + offset, taken);
        output += taken;
        length -= taken;
        offset = 0;
        counter++;
    }
}

static void load_key(uint32_t *words, const void *key) {
    memcpy(words, key ? key : IV, CYX_BLAKE3_DIGEST);
}

// The top node of at most PASS_CHUNKS chunks, the last of which may be partial or empty.
static struct node tree_node(
    int level, const uint32_t *key, int mode, const uint8_t *input, size_t length,
    uint64_t counter) {
    if (length <= CYX_BLAKE3_CHUNK) return chunk_node(key, mode, input, length, counter);
    uint8_t cvs[CYX_BLAKE3_PASS_CHUNKS * CYX_BLAKE3_DIGEST];
    size_t whole = length / CYX_BLAKE3_CHUNK, count = whole;
    hash_chunks(level, key, mode, input, whole, counter, cvs);
    if (length % CYX_BLAKE3_CHUNK) {
        struct node last = chunk_node(
            key, mode, input + whole * CYX_BLAKE3_CHUNK, length % CYX_BLAKE3_CHUNK,
            counter + whole);
        node_cv(&last, cvs + count++ * CYX_BLAKE3_DIGEST);
    }
    while (count > 2) count = merge_level(level, key, mode, cvs, count);
    return parent_node(key, mode, cvs);
}

void cyx_blake3_hash(
    int level, const void *key, int mode, const void *input, size_t length, void *output,
    size_t output_length) {
    if (length > CYX_BLAKE3_PASS_CHUNKS * CYX_BLAKE3_CHUNK) {
        struct cyx_blake3 state;
        cyx_blake3_init(&state, level, key, mode);
        cyx_blake3_update(&state, input, length);
        cyx_blake3_finish(&state, 0, output, output_length);
        return;
    }
    uint32_t words[8];
    load_key(words, key);
    struct node root = tree_node(level, words, mode, input, length, 0);
    node_output(&root, 0, output, output_length);
}

void cyx_blake3_subtrees(
    int level, const void *key, int mode, const void *input, size_t count, size_t chunks,
    uint64_t counter, void *output) {
    uint32_t words[8];
    uint8_t cvs[CYX_BLAKE3_PASS_CHUNKS * CYX_BLAKE3_DIGEST];
    const uint8_t *next = input;
    uint8_t *end = output;
    load_key(words, key);
    while (count > 0) {
        size_t taken = CYX_BLAKE3_PASS_CHUNKS / chunks;
        if (taken > count) taken = count;
        hash_chunks(level, words, mode, next, taken * chunks, counter, cvs);
        for (size_t left = taken * chunks; left > taken;)
            left = merge_level(level, words, mode, cvs, left);
        memcpy(end, cvs, taken * CYX_BLAKE3_DIGEST);
        end += taken * CYX_BLAKE3_DIGEST;
        next += taken * chunks * CYX_BLAKE3_CHUNK;
        counter += taken * chunks;
        count -= taken;
    }
}

void cyx_blake3_subtree(
    int level, const void *key, int mode, const void *input, size_t length, uint64_t counter,
    void *output) {
    uint32_t words[8];
    load_key(words, key);
    struct node node = tree_node(level, words, mode, input, length, counter);
    node_cv(&node, output);
}

void cyx_blake3_parent(const void *key, int mode, int root, const void *children, void *output) {
    uint32_t words[8];
    load_key(words, key);
    struct node node = parent_node(words, mode, children);
    if (root) node.flags |= ROOT;
    node_cv(&node, output);
}

// Incremental hashing: §5.1.2's stack of subtrees. A chunk or subtree is pushed only once more input
// is known to follow, so a merge never compresses the root and the open chunk is never empty behind
// a stack.

static void start_chunk(struct cyx_blake3 *state, uint64_t counter) {
    memcpy(state->chunk_cv, state->key, sizeof state->key);
    state->chunk_counter = counter;
    state->block_length = 0;
    state->blocks_compressed = 0;
    memset(state->block, 0, sizeof state->block);
}

void cyx_blake3_init(struct cyx_blake3 *state, int level, const void *key, int mode) {
    memset(state, 0, sizeof *state);
    load_key(state->key, key);
    state->mode = (uint8_t)mode;
    state->level = (uint8_t)level;
    start_chunk(state, 0);
}

// Pushes the newest subtree, merges until as many subtrees are left as `chunks`, the chunks so far,
// has one bits, and opens the next chunk.
static void push(struct cyx_blake3 *state, const void *cv, uint64_t chunks) {
    memcpy(state->stack + state->stack_length * 8, cv, CYX_BLAKE3_DIGEST);
    state->stack_length++;
    while (state->stack_length > __builtin_popcountll(chunks)) {
        uint32_t *left = state->stack + (state->stack_length - 2) * 8;
        cyx_blake3_parent(state->key, state->mode, 0, left, left);
        state->stack_length--;
    }
    start_chunk(state, chunks);
}

static size_t chunk_length(const struct cyx_blake3 *state) {
    return (size_t)state->blocks_compressed * CYX_BLAKE3_BLOCK + state->block_length;
}

// The open chunk as a node; its last block waits uncompressed.
static struct node open_chunk(const struct cyx_blake3 *state) {
    struct node node = {.length = state->block_length, .counter = state->chunk_counter};
    memcpy(node.cv, state->chunk_cv, sizeof node.cv);
    memcpy(node.block, state->block, sizeof node.block);
    node.flags = state->mode | (state->blocks_compressed == 0 ? CHUNK_START : 0) | CHUNK_END;
    return node;
}

// Feeds at most the rest of one chunk.
static void feed_chunk(struct cyx_blake3 *state, const uint8_t *input, size_t length) {
    while (length > 0) {
        if (state->block_length == CYX_BLAKE3_BLOCK) {
            uint32_t flags = state->mode | (state->blocks_compressed == 0 ? CHUNK_START : 0);
            compress_cv(
                state->chunk_cv, state->block, CYX_BLAKE3_BLOCK, state->chunk_counter, flags);
            state->blocks_compressed++;
            state->block_length = 0;
            memset(state->block, 0, sizeof state->block);
        }
        size_t taken = CYX_BLAKE3_BLOCK - state->block_length;
        if (taken > length) taken = length;
        memcpy(state->block + state->block_length, input, taken);
        state->block_length += (uint8_t)taken;
        input += taken;
        length -= taken;
    }
}

// Closes the open chunk, which more input is known to follow.
static void close_chunk(struct cyx_blake3 *state) {
    uint8_t cv[CYX_BLAKE3_DIGEST];
    struct node node = open_chunk(state);
    node_cv(&node, cv);
    push(state, cv, state->chunk_counter + 1);
}

void cyx_blake3_update(struct cyx_blake3 *state, const void *bytes, size_t length) {
    const uint8_t *input = bytes;
    state->total += length;
    while (length > 0) {
        size_t filled = chunk_length(state);
        if (filled == CYX_BLAKE3_CHUNK) {
            close_chunk(state);
            filled = 0;
        }
        if (filled > 0 || length <= CYX_BLAKE3_CHUNK) {
            size_t taken = CYX_BLAKE3_CHUNK - filled;
            if (taken > length) taken = length;
            feed_chunk(state, input, taken);
            input += taken;
            length -= taken;
            continue;
        }
        // The largest whole subtree that starts here and that more input follows.
        size_t chunks = CYX_BLAKE3_PASS_CHUNKS;
        while (chunks * CYX_BLAKE3_CHUNK >= length || state->chunk_counter % chunks) chunks /= 2;
        uint8_t cv[CYX_BLAKE3_DIGEST];
        cyx_blake3_subtree(
            state->level, state->key, state->mode, input, chunks * CYX_BLAKE3_CHUNK,
            state->chunk_counter, cv);
        push(state, cv, state->chunk_counter + chunks);
        input += chunks * CYX_BLAKE3_CHUNK;
        length -= chunks * CYX_BLAKE3_CHUNK;
    }
}

void cyx_blake3_finish(
    const struct cyx_blake3 *state, uint64_t seek, void *output, size_t length) {
    struct node node = open_chunk(state);
    int left = state->stack_length;
    while (left > 0) {
        uint8_t children[CYX_BLAKE3_BLOCK];
        left--;
        memcpy(children, state->stack + left * 8, CYX_BLAKE3_DIGEST);
        node_cv(&node, children + CYX_BLAKE3_DIGEST);
        node = parent_node(state->key, state->mode, children);
    }
    node_output(&node, seek, output, length);
}
