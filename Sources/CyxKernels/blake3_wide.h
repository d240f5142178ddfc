// The wide kernel of BLAKE3, included once per lane count with LANES and NAME defined and, where it
// needs one, a target attribute in force. Lane i hashes an input of its own.

typedef uint32_t NAME(word) __attribute__((vector_size(LANES * 4)));

static inline __attribute__((always_inline)) NAME(word) NAME(rotate)(NAME(word) x, int by) {
    return x >> by | x << (32 - by);
}

// Half a round: the columns, or with `shift` 1 the diagonals, all four side by side.
static inline __attribute__((always_inline)) void NAME(mix)(
    NAME(word) * v, int shift, const NAME(word) * m, const uint8_t *schedule) {
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
#pragma clang loop unroll(full)
        for (int a = 0; a < 4; a++) {
            int b = 4 + (a + shift) % 4, d = 12 + (a + 3 * shift) % 4;
            v[a] += m[schedule[2 * a + half]] + v[b];
            v[d] = NAME(rotate)(v[d] ^ v[a], half ? 8 : 16);
        }
#pragma clang loop unroll(full)
        for (int a = 0; a < 4; a++) {
            int b = 4 + (a + shift) % 4, c = 8 + (a + 2 * shift) % 4, d = 12 + (a + 3 * shift) % 4;
            v[c] += v[d];
            v[b] = NAME(rotate)(v[b] ^ v[c], half ? 7 : 12);
        }
    }
}

#define IN_PARTS(a, b, indices, at)                                                                \
    __builtin_shufflevector(a, b, JOIN(PARTS_, LANES)(indices, at))

// Transposes the 4 x 4 words in each 128-bit part of four rows.
static inline __attribute__((always_inline)) void NAME(transpose)(
    const NAME(word) * rows, NAME(word) * columns) {
    NAME(word) a = IN_PARTS(rows[0], rows[1], ZIP, 0), b = IN_PARTS(rows[0], rows[1], ZIP, 2);
    NAME(word) c = IN_PARTS(rows[2], rows[3], ZIP, 0), d = IN_PARTS(rows[2], rows[3], ZIP, 2);
    columns[0] = IN_PARTS(a, c, PAIR, 0);
    columns[1] = IN_PARTS(a, c, PAIR, 2);
    columns[2] = IN_PARTS(b, d, PAIR, 0);
    columns[3] = IN_PARTS(b, d, PAIR, 2);
}

// Reads 8 words of every lane, from `input + offsets[i]` on, to one vector per word. A part holds
// neighbouring lanes after the transposition, so each row takes lanes that lie four apart.
static inline __attribute__((always_inline)) void NAME(load)(
    const uint8_t *input, const size_t *offsets, NAME(word) * m) {
#define LANE(type, i) (*(const type *)(input + offsets[i]))
    NAME(word) rows[4];
#if LANES == 16
    NAME(word) parts[2][4];
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++)
            rows[i] = __builtin_shufflevector(
                LANE(words8, 8 * half + i), LANE(words8, 8 * half + i + 4), 0, 1, 2, 3, 4, 5, 6, 7,
                8, 9, 10, 11, 12, 13, 14, 15);
        NAME(transpose)(rows, parts[half]);
    }
    // Lanes 0 to 7 and 8 to 15, each with words i and i + 4 by turns.
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        m[i] = __builtin_shufflevector(
            parts[0][i], parts[1][i], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
        m[i + 4] = __builtin_shufflevector(
            parts[0][i], parts[1][i], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
#else
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++)
#if LANES == 8
            rows[i] = __builtin_shufflevector(
                LANE(words4, i), LANE(words4, i + 4), 0, 1, 2, 3, 4, 5, 6, 7);
#else
            rows[i] = LANE(words4, i);
#endif
        NAME(transpose)(rows, m + 4 * half);
        input += sizeof(words4);
    }
#endif
#undef LANE
}

// Turns 8 vectors of one word per lane into LANES rows of 8 words, in memory order: each zip of
// vectors that lie half of all apart moves one bit of the word's number below the lane's.
static inline __attribute__((always_inline)) void NAME(to_rows)(NAME(word) * h) {
    NAME(word) next[8];
#pragma clang loop unroll(full)
    for (int stage = 0; stage < 3; stage++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            next[2 * i] = __builtin_shufflevector(h[i], h[i + 4], JOIN(ZIPPED_, LANES)(0));
            next[2 * i + 1] =
                __builtin_shufflevector(h[i], h[i + 4], JOIN(ZIPPED_, LANES)(LANES / 2));
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) h[i] = next[i];
    }
}

// Hashes `count` inputs: fewer than LANES, or whole groups of LANES.
static void NAME(hash)(
    const struct cyx_blake3_shape *shape, const uint32_t *key, const uint8_t *input, size_t count,
    uint64_t counter, uint8_t *output) {
    const size_t blocks = shape->blocks, group = LANES * shape->stride;
    size_t offsets[LANES];  // idle lanes repeat the last input
    NAME(word) step;
    for (size_t i = 0; i < LANES; i++) {
        offsets[i] = (i < count ? i : count - 1) * shape->stride;
        step[i] = shape->step ? (uint32_t)i : 0;
    }
    // Shuffles and rotations use one execution port each, so the next block is read and transposed
    // amid the rounds of this one, also from one group to the next. Messages lie in memory: an
    // addition takes its operand from there at no cost, and the registers are left to the state.
    NAME(word) messages[2][16];
    int turn = 0;
    NAME(load)(input, offsets, messages[0]);
    NAME(load)(input + CYX_BLAKE3_BLOCK / 2, offsets, messages[0] + 8);
    while (count > 0) {
        const size_t done = count < LANES ? count : LANES;
        // After the last group its first block is read once more.
        const uint8_t *after = count > LANES ? input + group : input;
        NAME(word) h[8];
        for (int i = 0; i < 8; i++) h[i] = (NAME(word)){0} + key[i];
        const NAME(word) counter_low = step + (uint32_t)counter;
        // A comparison gives all ones, which is -1, in the lanes whose low half overflowed.
        const NAME(word) counter_high =
            (uint32_t)(counter >> 32) - (NAME(word))(counter_low < step);
        for (size_t block = 0; block < blocks; block++, turn ^= 1) {
            const NAME(word) *m = messages[turn];
            NAME(word) *next = messages[turn ^ 1];
            const uint8_t *ahead =
                block + 1 < blocks ? input + (block + 1) * CYX_BLAKE3_BLOCK : after;
            // Lanes lie a chunk apart, too far for the hardware to see one stream. Parents need no
            // prefetch: their inputs were written just before.
            if (blocks > BLOCKS_PREFETCHED) {
                const size_t soon = block + BLOCKS_PREFETCHED;
                const uint8_t *at = soon < blocks ? input + soon * CYX_BLAKE3_BLOCK
                                                  : after + (soon - blocks) * CYX_BLAKE3_BLOCK;
                for (int i = 0; i < LANES; i++) __builtin_prefetch(at + offsets[i]);
            }
            uint32_t flags = shape->flags | (block == 0 ? shape->first : 0) |
                             (block + 1 == blocks ? shape->last : 0);
            NAME(word) v[16] = {
                h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
                (NAME(word)){0} + IV[0], (NAME(word)){0} + IV[1], (NAME(word)){0} + IV[2],
                (NAME(word)){0} + IV[3], counter_low, counter_high,
                (NAME(word)){0} + (uint32_t)CYX_BLAKE3_BLOCK, (NAME(word)){0} + flags};
#pragma clang loop unroll(full)
            for (int round = 0; round < 7; round++) {
                NAME(mix)(v, 0, m, SCHEDULE[round]);
                NAME(mix)(v, 1, m, SCHEDULE[round] + 8);
                if (round == 1) NAME(load)(ahead, offsets, next);
                if (round == 4) NAME(load)(ahead + CYX_BLAKE3_BLOCK / 2, offsets, next + 8);
            }
#pragma clang loop unroll(full)
            for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[i + 8];
        }
        NAME(to_rows)(h);
        memcpy(output, h, done * CYX_BLAKE3_DIGEST);
        input = after;
        output += done * CYX_BLAKE3_DIGEST;
        counter += shape->step ? LANES : 0;
        count -= done;
    }
}

#undef LANES
#undef NAME
#undef IN_PARTS
