// The kernel of MD5 over LANES inputs at once, included once per lane count with LANES and NAME
// defined and, where it needs one, a target attribute in force.

typedef uint32_t NAME(word) __attribute__((vector_size(LANES * 4)));

static inline __attribute__((always_inline)) NAME(word) NAME(rotate)(NAME(word) x, int by) {
    return x << by | x >> (32 - by);
}

// Word `first` to `first` + 3 of each lane's block, to one vector per word: 4 x 4 words at a time
// are transposed and take their place among the other lanes' in memory.
static inline __attribute__((always_inline)) void NAME(load)(
    const uint8_t *const *blocks, size_t at, int first, uint32_t (*m)[LANES]) {
#pragma clang loop unroll(full)
    for (int lane = 0; lane < LANES; lane += 4) {
        words4 rows[4];
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++)
            rows[i] = *(const words4 *)(blocks[lane + i] + at + 4 * (size_t)first);
        words4 a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
        words4 b = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
        words4 c = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
        words4 d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
        *(words4 *)&m[first][lane] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
        *(words4 *)&m[first + 1][lane] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
        *(words4 *)&m[first + 2][lane] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
        *(words4 *)&m[first + 3][lane] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
    }
}

// `count` blocks of every lane; `state` holds A of all lanes, then B, C and D.
static void NAME(update)(uint32_t (*state)[CYX_MD5_LANES], const uint8_t *const *blocks, size_t count) {
    NAME(word) v[4];
    for (int i = 0; i < 4; i++) memcpy(&v[i], state[i], sizeof v[i]);
    for (size_t at = 0; at < count * CYX_MD5_BLOCK; at += CYX_MD5_BLOCK) {
        _Alignas(64) uint32_t m[16][LANES];
#pragma clang loop unroll(full)
        for (int first = 0; first < 16; first += 4) NAME(load)(blocks, at, first, m);
        NAME(word) a = v[0], b = v[1], c = v[2], d = v[3];
#pragma clang loop unroll(full)
        for (int step = 0; step < 64; step++) {
            // What does not wait for `b`, the newest word, is added up beside it; a compiler that
            // moves the constant to the end makes each step longer by one addition.
            NAME(word) ready = a + (*(NAME(word) *)m[word_of_step(step)] + sines[step]);
            SETTLE(ready);
            NAME(word) sum = step < 16   ? ready + (d ^ (b & (c ^ d)))
                             : step < 32 ? ready + (c & ~d) + (b & d)
                             : step < 48 ? ready + (b ^ (c ^ d))
                                         : ready + (c ^ (b | ~d));
            a = d;
            d = c;
            c = b;
            b += NAME(rotate)(sum, rotations[step / 16][step % 4]);
        }
        v[0] += a;
        v[1] += b;
        v[2] += c;
        v[3] += d;
    }
    for (int i = 0; i < 4; i++) memcpy(state[i], &v[i], sizeof v[i]);
}

#undef LANES
#undef NAME
