// BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2021; specification version 20211102).
//
// Every function takes the instruction-set level to run at, so that tests reach each of them on one
// machine; callers pass cyx_blake3_best_level(), which costs one load after the first call.
#ifndef CYX_BLAKE3_H
#define CYX_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

#define CYX_BLAKE3_CHUNK 1024
#define CYX_BLAKE3_BLOCK 64
#define CYX_BLAKE3_DIGEST 32
// Chunks that one pass over the wide kernels takes: 1 MiB, 32 KiB of chaining values on the stack.
#define CYX_BLAKE3_PASS_CHUNKS 1024
// A tree over 2^64 - 1 bytes has 2^54 chunks; one more entry holds the newest subtree.
#define CYX_BLAKE3_STACK 55

enum {
    CYX_BLAKE3_PORTABLE = 0,  // one lane, plain C
    CYX_BLAKE3_VECTOR4 = 1,   // four lanes: SSE4.1, or the baseline vectors of other machines
    CYX_BLAKE3_VECTOR8 = 2,   // eight lanes: AVX2
    CYX_BLAKE3_VECTOR16 = 3,  // sixteen lanes: AVX-512 F and VL
};

enum {
    CYX_BLAKE3_KEYED_HASH = 1 << 4,
    CYX_BLAKE3_DERIVE_KEY_CONTEXT = 1 << 5,
    CYX_BLAKE3_DERIVE_KEY_MATERIAL = 1 << 6,
};

// A hash in progress. A plain value: copying it forks the hash.
struct cyx_blake3 {
    uint32_t key[8];
    uint32_t chunk_cv[8];
    uint64_t chunk_counter;
    uint64_t total;  // bytes fed so far
    uint8_t block[CYX_BLAKE3_BLOCK];
    uint32_t stack[CYX_BLAKE3_STACK * 8];
    uint8_t block_length;
    uint8_t blocks_compressed;
    uint8_t stack_length;
    uint8_t mode;   // KEYED_HASH, DERIVE_KEY_*, or 0
    uint8_t level;
};

// The widest level that this machine has.
int cyx_blake3_best_level(void);

// Starts a hash; `key` is 32 bytes, or null for the unkeyed modes.
void cyx_blake3_init(struct cyx_blake3 *state, int level, const void *key, int mode);
void cyx_blake3_update(struct cyx_blake3 *state, const void *input, size_t length);
// Writes `length` bytes of output from byte `seek` on; the state stays usable.
void cyx_blake3_finish(
    const struct cyx_blake3 *state, uint64_t seek, void *output, size_t length);

// Hashes `length` bytes at once into `output_length` bytes.
void cyx_blake3_hash(
    int level, const void *key, int mode, const void *input, size_t length, void *output,
    size_t output_length);

// The chaining values of `count` consecutive whole subtrees of `chunks` chunks each (a power of two,
// at most PASS_CHUNKS), the first of which starts at chunk `counter`; 32 bytes each to `output`.
void cyx_blake3_subtrees(
    int level, const void *key, int mode, const void *input, size_t count, size_t chunks,
    uint64_t counter, void *output);

// The chaining value of one subtree that may be partial: 1 to PASS_CHUNKS * CHUNK bytes, not the root.
void cyx_blake3_subtree(
    int level, const void *key, int mode, const void *input, size_t length, uint64_t counter,
    void *output);

// The chaining value of the parent of two chaining values that lie in 64 bytes, or with `root` the
// digest of the whole tree.
void cyx_blake3_parent(const void *key, int mode, int root, const void *children, void *output);

#endif
