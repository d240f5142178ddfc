// MD5 (RFC 1321) of several inputs side by side. One MD5 is a chain of dependent steps that leaves
// most of a core idle; vector lanes run as many chains in about the time of one.
#ifndef CYX_MD5_H
#define CYX_MD5_H

#include <stddef.h>
#include <stdint.h>

#define CYX_MD5_BLOCK 64
// The most inputs that one call takes.
#define CYX_MD5_LANES 16

enum {
    CYX_MD5_VECTOR4 = 1,   // four lanes: the baseline vectors of every machine
    CYX_MD5_VECTOR8 = 2,   // eight lanes: AVX2
    CYX_MD5_VECTOR16 = 3,  // sixteen lanes, and rotations for fewer: AVX-512 F and VL
};

// A hash in progress and the blocks that it takes next.
struct cyx_md5_lane {
    uint32_t state[4];  // A, B, C, D
    const uint8_t *blocks;
    size_t count;  // of blocks
};

// The widest level that this machine has.
int cyx_md5_best_level(void);

// Feeds every lane its blocks; 1 to CYX_MD5_LANES lanes of any lengths.
void cyx_md5_update_many(int level, struct cyx_md5_lane *lanes, size_t count);

#endif
