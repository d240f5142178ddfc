// The wide kernel of BLAKE3, included once per lane count with LANES and NAME defined and, where it
// needs one, a target attribute in force. Lane i hashes `blocks` blocks of its own input.

typedef uint32_t NAME(word) __attribute__((vector_size(LANES * 4)));
typedef uint32_t NAME(word_unaligned) __attribute__((vector_size(LANES * 4), aligned(1)));

static inline __attribute__((always_inline)) void NAME(mix)(
    NAME(word) * v, int a, int b, int c, int d, const NAME(word) * x, const NAME(word) * y) {
    v[a] += v[b] + *x;
    v[d] ^= v[a];
    v[d] = (v[d] >> 16) | (v[d] << 16);
    v[c] += v[d];
    v[b] ^= v[c];
    v[b] = (v[b] >> 12) | (v[b] << 20);
    v[a] += v[b] + *y;
    v[d] ^= v[a];
    v[d] = (v[d] >> 8) | (v[d] << 24);
    v[c] += v[d];
    v[b] ^= v[c];
    v[b] = (v[b] >> 7) | (v[b] << 25);
}

// Transposes a LANES x LANES matrix: rows in, columns out. Each stage zips rows that lie half the
// matrix apart, so that after log2(LANES) stages element (i, j) has moved to (j, i).
static inline __attribute__((always_inline)) void NAME(transpose)(NAME(word) * rows) {
    NAME(word) next[LANES];
#pragma clang loop unroll(full)
    for (int stage = 1; stage < LANES; stage *= 2) {
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = ZIP_LOW(rows[i], rows[i + LANES / 2]);
            next[2 * i + 1] = ZIP_HIGH(rows[i], rows[i + LANES / 2]);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES; i++) rows[i] = next[i];
    }
}

// `input[i]` is the first byte of lane i. `step` is 1 if lane i counts from counter + i, 0 if all
// count from `counter`. Writes LANES chaining values of 32 bytes.
static void NAME(hash)(
    const uint8_t *const *input, size_t blocks, const uint32_t *key, uint64_t counter, int step,
    uint32_t flags, uint32_t first, uint32_t last, uint8_t *output) {
    NAME(word) h[8], counter_low, counter_high;
    for (int i = 0; i < 8; i++) h[i] = (NAME(word)){0} + key[i];
    for (int i = 0; i < LANES; i++) {
        uint64_t lane = counter + (step ? (uint64_t)i : 0);
        counter_low[i] = (uint32_t)lane;
        counter_high[i] = (uint32_t)(lane >> 32);
    }
    for (size_t block = 0; block < blocks; block++) {
        NAME(word) m[16];
        // 16 words a block come as 16 / LANES square matrices side by side.
#pragma clang loop unroll(full)
        for (int part = 0; part < 16 / LANES; part++) {
#pragma clang loop unroll(full)
            for (int i = 0; i < LANES; i++)
                m[part * LANES + i] = *(const NAME(word_unaligned) *)(
                    input[i] + block * CYX_BLAKE3_BLOCK + part * LANES * 4);
            NAME(transpose)(m + part * LANES);
        }
        // Lanes lie a chunk apart, too far for the hardware to see one stream. The address may be past
        // the input, where a prefetch does nothing.
        for (int i = 0; i < LANES; i++)
            __builtin_prefetch((const void *)(
                (uintptr_t)input[i] + block * CYX_BLAKE3_BLOCK + PREFETCH_DISTANCE));
        uint32_t now = flags | (block == 0 ? first : 0) | (block + 1 == blocks ? last : 0);
        NAME(word) v[16] = {
            h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
            (NAME(word)){0} + IV[0], (NAME(word)){0} + IV[1], (NAME(word)){0} + IV[2],
            (NAME(word)){0} + IV[3], counter_low, counter_high,
            (NAME(word)){0} + (uint32_t)CYX_BLAKE3_BLOCK, (NAME(word)){0} + now};
#pragma clang loop unroll(full)
        for (int round = 0; round < 7; round++) {
            const uint8_t *s = SCHEDULE[round];
            NAME(mix)(v, 0, 4, 8, 12, &m[s[0]], &m[s[1]]);
            NAME(mix)(v, 1, 5, 9, 13, &m[s[2]], &m[s[3]]);
            NAME(mix)(v, 2, 6, 10, 14, &m[s[4]], &m[s[5]]);
            NAME(mix)(v, 3, 7, 11, 15, &m[s[6]], &m[s[7]]);
            NAME(mix)(v, 0, 5, 10, 15, &m[s[8]], &m[s[9]]);
            NAME(mix)(v, 1, 6, 11, 12, &m[s[10]], &m[s[11]]);
            NAME(mix)(v, 2, 7, 8, 13, &m[s[12]], &m[s[13]]);
            NAME(mix)(v, 3, 4, 9, 14, &m[s[14]], &m[s[15]]);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[i + 8];
    }
    // The values come as rows of words and leave as one row of 8 words per lane.
    NAME(word) rows[LANES > 8 ? LANES : 8] = {h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]};
#pragma clang loop unroll(full)
    for (int part = 0; part < (LANES > 8 ? 1 : 8 / LANES); part++) {
        NAME(transpose)(rows + part * LANES);
#pragma clang loop unroll(full)
        for (int lane = 0; lane < LANES; lane++)
            memcpy(
                output + lane * CYX_BLAKE3_DIGEST + part * LANES * 4, &rows[part * LANES + lane],
                LANES > 8 ? CYX_BLAKE3_DIGEST : LANES * 4);
    }
}

#undef LANES
#undef NAME
#undef ZIP_LOW
#undef ZIP_HIGH
