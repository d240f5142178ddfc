#include <string.h>

#include "blake3_internal.h"

static void hash_chunks(
    int level, const uint32_t *key, int mode, const uint8_t *input, size_t count, uint64_t counter,
    uint8_t *output) {
    struct cyx_blake3_shape shape = {
        CYX_BLAKE3_CHUNK, BLOCKS_PER_CHUNK, (uint32_t)mode, CHUNK_START, CHUNK_END, 1};
    cyx_blake3_hash_many(level, &shape, key, input, count, counter, output);
}

// One level of the tree, in place: pairs become parents and an odd last value moves up as it is,
// which grows the same tree as §2.1's "the left subtree is the largest power of two that fits".
static size_t merge_level(int level, const uint32_t *key, int mode, uint8_t *cvs, size_t count) {
    struct cyx_blake3_shape shape = {CYX_BLAKE3_BLOCK, 1, (uint32_t)mode | PARENT, 0, 0, 0};
    size_t pairs = count / 2;
    cyx_blake3_hash_many(level, &shape, key, cvs, pairs, 0, cvs);
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
        cyx_blake3_compress_cv(node.cv, input, CYX_BLAKE3_BLOCK, counter, node.flags);
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
    cyx_blake3_compress_cv(cv, node->block, node->length, node->counter, node->flags);
    memcpy(output, cv, sizeof cv);
}

// Output of any length, §2.6: the root is compressed with one counter per 64 bytes.
static void node_output(const struct node *node, uint64_t seek, uint8_t *output, size_t length) {
    uint64_t counter = seek / CYX_BLAKE3_BLOCK;
    size_t offset = seek % CYX_BLAKE3_BLOCK;
    while (length > 0) {
        uint32_t words[16];
        cyx_blake3_compress(
            node->cv, node->block, node->length, counter, node->flags | ROOT, words);
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

// Incremental hashing: §5.1.2's stack of subtrees. A chunk or subtree is pushed only once more
// input is known to follow, so a merge never compresses the root and the open chunk is never empty
// behind a stack.

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
            cyx_blake3_compress_cv(
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
