// Curve25519 in its Montgomery form (RFC 7748).
#ifndef CYX_CURVE25519_H
#define CYX_CURVE25519_H

#include <stdint.h>

// The Montgomery u coordinate of the point whose compressed Edwards form is `point` (RFC 7748 §4.1:
// u = (1 + y) / (1 - y)). For public values: its time is the same for all, but nothing relies on it.
void cyx_montgomery_u(uint8_t u[32], const uint8_t point[32]);

// X25519 of RFC 7748 §5, in constant time: `scalar` is clamped, the highest bit of `point` ignored.
// All zeros where `point` has small order.
void cyx_x25519(uint8_t result[32], const uint8_t scalar[32], const uint8_t point[32]);

// The same without instructions that not every processor has.
void cyx_x25519_portable(uint8_t result[32], const uint8_t scalar[32], const uint8_t point[32]);

#endif
