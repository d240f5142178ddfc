// Curve25519 in its Montgomery form (RFC 7748) and its Edwards form (RFC 8032).
#ifndef CYX_CURVE25519_H
#define CYX_CURVE25519_H

#include <stdint.h>

// The Montgomery u coordinate of the point whose compressed Edwards form is `point` (RFC 7748 §4.1:
// u = (1 + y) / (1 - y)). For public values: its time is the same for all, but nothing relies on it.
void cyx_montgomery_u(uint8_t u[32], const uint8_t point[32]);

// Ways of doing the same; each needs what its processor has, and is faster than those before.
typedef enum { CYX_X25519_PORTABLE, CYX_X25519_BMI2, CYX_X25519_IFMA } cyx_x25519_level;

// The fastest that this processor has.
cyx_x25519_level cyx_x25519_best(void);

// X25519 of RFC 7748 §5, in constant time: `scalar` is clamped, the highest bit of `point` ignored.
// All zeros where `point` has small order. `level` is at most the best.
void cyx_x25519(
    cyx_x25519_level level, uint8_t result[32], const uint8_t scalar[32], const uint8_t point[32]);

// What follows works where the best level is CYX_X25519_IFMA, once this has made its tables.
void cyx_ed25519_prepare(void);

// The encoded point that is `scalar`, below 2^255, times the base point; in constant time.
void cyx_ed25519_base(uint8_t result[32], const uint8_t scalar[32]);

// The X25519 public key of `scalar`, which is clamped; in constant time.
void cyx_x25519_base(uint8_t u[32], const uint8_t scalar[32]);

// Whether `sum` is the encoding of base_factor B - key_factor A, where `key` encodes A: the equation
// of RFC 8032 §5.1.7 without the cofactor. For public values only.
int cyx_ed25519_is_sum(
    const uint8_t sum[32], const uint8_t base_factor[32], const uint8_t key_factor[32],
    const uint8_t key[32]);

#endif
