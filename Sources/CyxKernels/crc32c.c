#include "cyx_crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static const uint32_t POLYNOMIAL = 0x82f63b78;  // 1edc6f41 reflected

uint32_t cyx_crc32c_portable(uint32_t checksum, const void *bytes, size_t count) {
    uint32_t state = ~checksum;
    const uint8_t *next = bytes;
    for (; count > 0; count--) {
        state ^= *next++;
        for (int bit = 0; bit < 8; bit++) state = state & 1 ? state >> 1 ^ POLYNOMIAL : state >> 1;
    }
    return ~state;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t extend(
    uint32_t checksum, const uint8_t *next, size_t count) {
    uint64_t wide = ~checksum;
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    uint32_t state = (uint32_t)wide;
    for (; count > 0; count--) state = _mm_crc32_u8(state, *next++);
    return ~state;
}

uint32_t cyx_crc32c(uint32_t checksum, const void *bytes, size_t count) {
    if (!__builtin_cpu_supports("sse4.2")) return cyx_crc32c_portable(checksum, bytes, count);
    return extend(checksum, bytes, count);
}

// Distributions build RocksDB for the oldest processors, where its checksum goes through tables:
// about a gigabyte a second, the dearest part of writing large values. The library calls
// `rocksdb::crc32c::Extend(unsigned int, const char *, unsigned long)` through its linkage table,
// so this definition in the program is taken instead. A library that names it otherwise, or is
// linked into the program, keeps its own: hence weak.
uint32_t cyx_rocksdb_crc32c(uint32_t checksum, const char *bytes, size_t count) __asm__(
    "_ZN7rocksdb6crc32c6ExtendEjPKcm") __attribute__((weak));

uint32_t cyx_rocksdb_crc32c(uint32_t checksum, const char *bytes, size_t count) {
    return cyx_crc32c(checksum, bytes, count);
}

#else

uint32_t cyx_crc32c(uint32_t checksum, const void *bytes, size_t count) {
    return cyx_crc32c_portable(checksum, bytes, count);
}

#endif
