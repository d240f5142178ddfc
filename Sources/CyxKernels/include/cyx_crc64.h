// CRC-64/NVME: polynomial ad93d23594c93659, reflected, all ones before and after (NVM Command Set
// Specification 1.0, §5.2.1.3.4).
#ifndef CYX_CRC64_H
#define CYX_CRC64_H

#include <stddef.h>
#include <stdint.h>

// Continues from `crc`, the value of what came before, 0 for nothing.
uint64_t cyx_crc64_nvme(uint64_t crc, const void *input, size_t length);

// The same in one way, or in the best that the processor has below it.
enum cyx_crc64_way { CYX_CRC64_TABLES, CYX_CRC64_BLOCKS, CYX_CRC64_FOUR_BLOCKS };
uint64_t cyx_crc64_nvme_by(enum cyx_crc64_way way, uint64_t crc, const void *input, size_t length);

#endif
