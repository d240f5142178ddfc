// The public half of X25519 keys.
#ifndef CYX_CURVE25519_H
#define CYX_CURVE25519_H

#include <stdint.h>

// The Montgomery u coordinate of the point whose compressed Edwards form is `point` (RFC 7748 §4.1:
// u = (1 + y) / (1 - y)). For public values: its time is the same for all, but nothing relies on it.
void cyx_montgomery_u(uint8_t u[32], const uint8_t point[32]);

#endif
