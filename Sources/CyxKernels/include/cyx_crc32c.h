// CRC-32C (RFC 3720 appendix B.4).
#ifndef CYX_CRC32C_H
#define CYX_CRC32C_H

#include <stddef.h>
#include <stdint.h>

// The checksum of what `checksum` covers followed by `count` bytes; begins with 0.
uint32_t cyx_crc32c(uint32_t checksum, const void *bytes, size_t count);

// The same bit by bit, for processors without the instruction.
uint32_t cyx_crc32c_portable(uint32_t checksum, const void *bytes, size_t count);

#endif
