#include "curve25519_lanes.h"
#include "cyx_curve25519.h"

#if defined(__x86_64__)
// The group of Ed25519 (RFC 8032 §5.1): points in extended coordinates, whose four numbers are the
// lanes X, Y, Z, T, so that an addition is two multiplications of lanes and a doubling a square and
// a multiplication (Hisil, Wong, Carter and Dawson, "Twisted Edwards curves revisited", 2008, §4).
typedef struct {
    lanes v;
} point;

// A point to be added: Y - X, Y + X, 2 Z, 2 d T.
typedef struct {
    lanes v;
} addend;

enum { DIGITS = 64, ROWS = DIGITS / 2, MULTIPLES = 8 };
enum { BASE_DIGIT_MAX = 63, KEY_DIGIT_MAX = 15, BITS = 256 };

// Multiples 1 to 8 of 256^row times the base point, and its odd multiples up to 63.
static addend base_rows[ROWS][MULTIPLES];
static addend base_odd[(BASE_DIGIT_MAX + 1) / 2];

static const field D = {
    0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff};
static const field TWICE_D = {
    0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff};
static const field ROOT_OF_MINUS_ONE = {
    0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d};
static const field BASE_X = {
    0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5};
static const field BASE_Y = {
    0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666};

#define TARGET __attribute__((target(VECTORS)))

VECTOR void set_point(point *p, const field x, const field y) {
    field t;
    multiply(t, x, y);
    for (int i = 0; i < 5; i++)
        p->v[i] = _mm256_set_epi64x((int64_t)t[i], i == 0, (int64_t)y[i], (int64_t)x[i]);
}

VECTOR void set_neutral(point *p) {
    for (int i = 0; i < 5; i++) p->v[i] = _mm256_set_epi64x(0, i == 0, i == 0, 0);
}

VECTOR void get_lane(field r, const lanes a, int lane) {
    for (int i = 0; i < 5; i++) {
        uint64_t words[4];
        _mm256_storeu_si256((__m256i *)words, a[i]);
        r[i] = words[lane];
    }
}

// Y - X, Y + X, Z, T.
VECTOR void mix(lanes r, const lanes p) {
    for (int i = 0; i < 5; i++) {
        __m256i x = PERMUTE(p[i], 0, 0, 0, 0), y = PERMUTE(p[i], 1, 1, 2, 3);
        r[i] = _mm256_mask_add_epi64(y, 0b0010, y, x);
        r[i] = _mm256_mask_sub_epi64(r[i], 0b0001, _mm256_add_epi64(y, bias_limb(i)), x);
    }
    carry_lanes(r);
}

VECTOR void to_addend(addend *r, const point *p) {
    lanes mixed, factor;
    mix(mixed, p->v);
    for (int i = 0; i < 5; i++)
        factor[i] = _mm256_set_epi64x((int64_t)TWICE_D[i], i == 0 ? 2 : 0, i == 0, i == 0);
    multiply_lanes(r->v, mixed, factor);
}

VECTOR void negate(addend *r, const addend *a) {
    for (int i = 0; i < 5; i++) {
        __m256i swapped = PERMUTE(a->v[i], 1, 0, 2, 3);
        r->v[i] = _mm256_mask_sub_epi64(swapped, 0b1000, bias_limb(i), swapped);
    }
    carry_lanes(r->v);
}

VECTOR void add_point(point *p, const addend *q) {
    lanes products, left, right;
    mix(left, p->v);
    // A, B, D, C.
    multiply_lanes(products, left, q->v);
    for (int i = 0; i < 5; i++) {
        __m256i s = products[i], bias = bias_limb(i);
        __m256i u = PERMUTE(s, 1, 2, 2, 1), v = PERMUTE(s, 0, 3, 3, 0);
        left[i] = _mm256_mask_sub_epi64(
            _mm256_add_epi64(u, v), 0b1101, _mm256_add_epi64(u, bias), v);
        u = PERMUTE(s, 2, 1, 2, 1), v = PERMUTE(s, 3, 0, 3, 0);
        right[i] = _mm256_mask_sub_epi64(
            _mm256_add_epi64(u, v), 0b0001, _mm256_add_epi64(u, bias), v);
    }
    // E, G, F, E times F, H, G, H.
    carry_lanes(left);
    carry_lanes(right);
    multiply_lanes(p->v, left, right);
}

VECTOR void double_point(point *p) {
    lanes squares, left, right, h;
    for (int i = 0; i < 5; i++) {
        __m256i sum = _mm256_add_epi64(p->v[i], PERMUTE(p->v[i], 1, 0, 2, 3));
        left[i] = _mm256_mask_mov_epi64(p->v[i], 0b1000, PERMUTE(sum, 0, 0, 0, 0));
    }
    carry_lanes(left);
    // X², Y², Z², (X + Y)².
    square_lanes(squares, left);
    // F and H of the paper with the other sign, which changes that of all coordinates.
    for (int i = 0; i < 5; i++) {
        __m256i s = squares[i], a = PERMUTE(s, 0, 0, 0, 0), b = PERMUTE(s, 1, 1, 1, 1);
        __m256i u = PERMUTE(s, 3, 1, 2, 3);
        h[i] = _mm256_add_epi64(a, b);
        u = _mm256_add_epi64(_mm256_mask_add_epi64(u, 0b0100, u, u), bias_limb(i));
        u = _mm256_mask_sub_epi64(u, 0b1001, u, h[i]);
        u = _mm256_mask_sub_epi64(u, 0b0010, u, a);
        left[i] = _mm256_mask_sub_epi64(_mm256_mask_add_epi64(u, 0b0100, u, a), 0b0100,
                                        _mm256_add_epi64(u, a), b);
    }
    carry_lanes(left);
    carry_lanes(h);
    for (int i = 0; i < 5; i++)
        right[i] = _mm256_mask_mov_epi64(PERMUTE(left[i], 2, 2, 1, 1), 0b1010, h[i]);
    // E, G, F, E times F, H, G, H.
    multiply_lanes(p->v, left, right);
}

TARGET void cyx_ed25519_prepare(void) {
    point row, multiple;
    addend twice;
    set_point(&row, BASE_X, BASE_Y);
    multiple = row;
    double_point(&multiple);
    to_addend(&twice, &multiple);
    multiple = row;
    for (int i = 0; i <= BASE_DIGIT_MAX / 2; i++) {
        to_addend(&base_odd[i], &multiple);
        add_point(&multiple, &twice);
    }
    for (int i = 0; i < ROWS; i++) {
        multiple = row;
        for (int j = 0; j < MULTIPLES; j++) {
            to_addend(&base_rows[i][j], &multiple);
            add_point(&multiple, &base_rows[i][0]);
        }
        for (int j = 0; j < 8; j++) double_point(&row);
    }
}

// `digit` times what `row` has the multiples of: no branch and no address depends on it.
VECTOR void select_multiple(addend *r, const addend row[MULTIPLES], int digit) {
    int64_t negative = digit >> 8;
    int64_t size = (digit ^ negative) - negative;
    point neutral;
    set_neutral(&neutral);
    to_addend(r, &neutral);
    for (int j = 0; j < MULTIPLES; j++) {
        __mmask8 same =
            _mm256_cmpeq_epi64_mask(_mm256_set1_epi64x(size), _mm256_set1_epi64x(j + 1));
        for (int i = 0; i < 5; i++) r->v[i] = _mm256_mask_mov_epi64(r->v[i], same, row[j].v[i]);
    }
    addend other;
    negate(&other, r);
    __mmask8 minus =
        _mm256_cmpeq_epi64_mask(_mm256_set1_epi64x(negative), _mm256_set1_epi64x(-1));
    for (int i = 0; i < 5; i++) r->v[i] = _mm256_mask_mov_epi64(r->v[i], minus, other.v[i]);
}

// `scalar`, below 2^255, times the base point, in constant time.
VECTOR void multiply_base(point *p, const uint8_t scalar[32]) {
    // Digits of -8 to 8, two a byte.
    int8_t digits[DIGITS];
    int carry = 0;
    for (int i = 0; i < DIGITS; i++) {
        int digit = (scalar[i / 2] >> (4 * (i % 2)) & 15) + carry;
        carry = i < DIGITS - 1 ? (digit + 8) >> 4 : 0;
        digits[i] = (int8_t)(digit - 16 * carry);
    }
    set_neutral(p);
    addend multiple;
    for (int i = 1; i < DIGITS; i += 2) {
        select_multiple(&multiple, base_rows[i / 2], digits[i]);
        add_point(p, &multiple);
    }
    for (int i = 0; i < 4; i++) double_point(p);
    for (int i = 0; i < DIGITS; i += 2) {
        select_multiple(&multiple, base_rows[i / 2], digits[i]);
        add_point(p, &multiple);
    }
    explicit_bzero(digits, sizeof digits);
    explicit_bzero(&multiple, sizeof multiple);
}

VECTOR void encode(uint8_t bytes[32], const point *p) {
    field x, y, z;
    uint8_t sign[32];
    get_lane(x, p->v, 0);
    get_lane(y, p->v, 1);
    get_lane(z, p->v, 2);
    invert(z, z);
    multiply(x, x, z);
    multiply(y, y, z);
    pack(bytes, y);
    pack(sign, x);
    bytes[31] |= (uint8_t)(sign[0] << 7);
}

TARGET void cyx_ed25519_base(uint8_t result[32], const uint8_t scalar[32]) {
    point p;
    multiply_base(&p, scalar);
    encode(result, &p);
}

TARGET void cyx_x25519_base(uint8_t u[32], const uint8_t scalar[32]) {
    uint8_t k[32];
    clamp(k, scalar);
    point p;
    field y, z, sum, difference;
    multiply_base(&p, k);
    // RFC 7748 §4.1: u = (1 + y) / (1 - y).
    get_lane(y, p.v, 1);
    get_lane(z, p.v, 2);
    add(sum, z, y);
    subtract(difference, z, y);
    invert(difference, difference);
    multiply(sum, sum, difference);
    pack(u, sum);
    explicit_bzero(k, sizeof k);
}

// Whether two numbers are the same.
INLINE int equal(const field a, const field b) {
    uint8_t left[32], right[32];
    pack(left, a);
    pack(right, b);
    return memcmp(left, right, 32) == 0;
}

// Minus the point that `bytes` stand for (RFC 8032 §5.1.3); 0 if there is none.
VECTOR int decode_negative(point *p, const uint8_t bytes[32]) {
    static const field one = {1}, zero = {0};
    field x, y, u, v, v3, t, unused, root;
    unpack(y, bytes);
    square_times(t, y, 1);
    subtract(u, t, one);
    multiply(v, t, D);
    add(v, v, one);
    // x = u v³ (u v⁷)^((p - 5) / 8), whose exponent is 250 ones and 01 in binary.
    square_times(t, v, 1);
    multiply(v3, t, v);
    square_times(t, v3, 1);
    multiply(t, t, v);
    multiply(t, t, u);
    power_of_ones(root, unused, t);
    square_times(root, root, 2);
    multiply(root, root, t);
    multiply(x, root, v3);
    multiply(x, x, u);
    square_times(t, x, 1);
    multiply(t, t, v);
    if (!equal(t, u)) {
        add(t, t, u);
        if (!equal(t, zero)) return 0;
        multiply(x, x, ROOT_OF_MINUS_ONE);
    }
    uint8_t packed[32];
    pack(packed, x);
    if ((packed[0] & 1) == bytes[31] >> 7) {
        subtract(x, zero, x);
        multiply(x, x, one);
    }
    set_point(p, x, y);
    return 1;
}

// Odd digits of at most `largest` by absolute value, with zeros between them.
static void slide(int8_t digits[BITS], const uint8_t scalar[32], int largest) {
    for (int i = 0; i < BITS; i++) digits[i] = scalar[i / 8] >> (i % 8) & 1;
    for (int i = 0; i < BITS; i++) {
        if (!digits[i]) continue;
        for (int j = 1; 1 << j <= 2 * largest && i + j < BITS; j++) {
            if (!digits[i + j]) continue;
            if (digits[i] + (1 << j) <= largest) {
                digits[i] = (int8_t)(digits[i] + (1 << j));
                digits[i + j] = 0;
            } else if (digits[i] - (1 << j) >= -largest) {
                digits[i] = (int8_t)(digits[i] - (1 << j));
                int k = i + j;
                while (k < BITS && digits[k]) digits[k++] = 0;
                if (k < BITS) digits[k] = 1;
            } else {
                break;
            }
        }
    }
}

VECTOR void add_digit(point *p, const addend *odd, int digit) {
    if (digit == 0) return;
    if (digit > 0) return add_point(p, &odd[digit / 2]);
    addend other;
    negate(&other, &odd[-digit / 2]);
    add_point(p, &other);
}

TARGET int cyx_ed25519_is_sum(
    const uint8_t sum[32], const uint8_t base_factor[32], const uint8_t key_factor[32],
    const uint8_t key[32]) {
    point p, multiple;
    addend twice, odd[(KEY_DIGIT_MAX + 1) / 2];
    if (!decode_negative(&multiple, key)) return 0;
    p = multiple;
    double_point(&p);
    to_addend(&twice, &p);
    for (int i = 0; i <= KEY_DIGIT_MAX / 2; i++) {
        to_addend(&odd[i], &multiple);
        add_point(&multiple, &twice);
    }
    int8_t base_digits[BITS], key_digits[BITS];
    slide(base_digits, base_factor, BASE_DIGIT_MAX);
    slide(key_digits, key_factor, KEY_DIGIT_MAX);
    set_neutral(&p);
    int i = BITS - 1;
    while (i >= 0 && !base_digits[i] && !key_digits[i]) i--;
    for (; i >= 0; i--) {
        double_point(&p);
        add_digit(&p, odd, key_digits[i]);
        add_digit(&p, base_odd, base_digits[i]);
    }
    uint8_t bytes[32];
    encode(bytes, &p);
    return memcmp(bytes, sum, 32) == 0;
}
#else
// Never called: the best level says so.
void cyx_ed25519_prepare(void) {}
void cyx_ed25519_base(uint8_t result[32], const uint8_t scalar[32]) {
    (void)scalar;
    memset(result, 0, 32);
}
void cyx_x25519_base(uint8_t u[32], const uint8_t scalar[32]) {
    (void)scalar;
    memset(u, 0, 32);
}
int cyx_ed25519_is_sum(
    const uint8_t sum[32], const uint8_t base_factor[32], const uint8_t key_factor[32],
    const uint8_t key[32]) {
    (void)sum, (void)base_factor, (void)key_factor, (void)key;
    return 0;
}
#endif
