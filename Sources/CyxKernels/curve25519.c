#include "cyx_curve25519.h"

#include <string.h>

// Numbers modulo p = 2^255 - 19, as five limbs of 51 bits, little end first.
typedef uint64_t field[5];

static const uint64_t LIMB = ((uint64_t)1 << 51) - 1;

static uint64_t load(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

static void unpack(field r, const uint8_t bytes[32]) {
    r[0] = load(bytes) & LIMB;
    r[1] = load(bytes + 6) >> 3 & LIMB;
    r[2] = load(bytes + 12) >> 6 & LIMB;
    r[3] = load(bytes + 19) >> 1 & LIMB;
    // Without the highest bit, which is the sign of x.
    r[4] = load(bytes + 24) >> 12 & LIMB;
}

static void multiply(field r, const field a, const field b) {
    typedef unsigned __int128 wide;
    // 2^255 is 19: what leaves at the top comes back at the bottom.
    uint64_t b1 = b[1] * 19, b2 = b[2] * 19, b3 = b[3] * 19, b4 = b[4] * 19;
    wide t0 = (wide)a[0] * b[0] + (wide)a[1] * b4 + (wide)a[2] * b3 + (wide)a[3] * b2 + (wide)a[4] * b1;
    wide t1 = (wide)a[0] * b[1] + (wide)a[1] * b[0] + (wide)a[2] * b4 + (wide)a[3] * b3 + (wide)a[4] * b2;
    wide t2 = (wide)a[0] * b[2] + (wide)a[1] * b[1] + (wide)a[2] * b[0] + (wide)a[3] * b4 + (wide)a[4] * b3;
    wide t3 = (wide)a[0] * b[3] + (wide)a[1] * b[2] + (wide)a[2] * b[1] + (wide)a[3] * b[0] + (wide)a[4] * b4;
    wide t4 = (wide)a[0] * b[4] + (wide)a[1] * b[3] + (wide)a[2] * b[2] + (wide)a[3] * b[1] + (wide)a[4] * b[0];
    t1 += t0 >> 51;
    t2 += t1 >> 51;
    t3 += t2 >> 51;
    t4 += t3 >> 51;
    uint64_t low = ((uint64_t)t0 & LIMB) + (uint64_t)(t4 >> 51) * 19;
    r[0] = low & LIMB;
    r[1] = ((uint64_t)t1 & LIMB) + (low >> 51);
    r[2] = (uint64_t)t2 & LIMB;
    r[3] = (uint64_t)t3 & LIMB;
    r[4] = (uint64_t)t4 & LIMB;
}

static void square_times(field r, const field a, int times) {
    field x;
    memcpy(x, a, sizeof x);
    while (times-- > 0) multiply(x, x, x);
    memcpy(r, x, sizeof x);
}

// a^(p - 2), which is 1 / a: p - 2 is 250 ones and 01011 in binary.
static void invert(field r, const field a) {
    field a2, a9, a11, ones, more, t;
    square_times(a2, a, 1);
    square_times(t, a2, 2);
    multiply(a9, t, a);
    multiply(a11, a9, a2);
    square_times(t, a11, 1);
    multiply(ones, t, a9);  // 5 ones
    square_times(t, ones, 5);
    multiply(ones, t, ones);  // 10
    square_times(t, ones, 10);
    multiply(more, t, ones);  // 20
    square_times(t, more, 20);
    multiply(t, t, more);  // 40
    square_times(t, t, 10);
    multiply(ones, t, ones);  // 50
    square_times(t, ones, 50);
    multiply(more, t, ones);  // 100
    square_times(t, more, 100);
    multiply(t, t, more);  // 200
    square_times(t, t, 50);
    multiply(t, t, ones);  // 250
    square_times(t, t, 5);
    multiply(r, t, a11);
}

static void pack(uint8_t bytes[32], const field a) {
    field t;
    memcpy(t, a, sizeof t);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            t[i + 1] += t[i] >> 51;
            t[i] &= LIMB;
        }
        t[0] += (t[4] >> 51) * 19;
        t[4] &= LIMB;
    }
    // Below 2^255 now: one p too many if adding 19 reaches 2^255.
    uint64_t carry = (t[0] + 19) >> 51;
    for (int i = 1; i < 5; i++) carry = (t[i] + carry) >> 51;
    t[0] += 19 * carry;
    for (int i = 0; i < 4; i++) {
        t[i + 1] += t[i] >> 51;
        t[i] &= LIMB;
    }
    t[4] &= LIMB;
    uint64_t words[4] = {
        t[0] | t[1] << 51, t[1] >> 13 | t[2] << 38, t[2] >> 26 | t[3] << 25, t[3] >> 39 | t[4] << 12};
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
}

void cyx_montgomery_u(uint8_t u[32], const uint8_t point[32]) {
    field y, sum, difference;
    unpack(y, point);
    memcpy(sum, y, sizeof sum);
    sum[0] += 1;
    // 1 - y + 2 p, so that no limb falls below zero.
    difference[0] = 1 + 2 * (LIMB - 18) - y[0];
    for (int i = 1; i < 5; i++) difference[i] = 2 * LIMB - y[i];
    invert(difference, difference);
    multiply(sum, sum, difference);
    pack(u, sum);
}
