#include "cyx_crc64.h"

#include <pthread.h>
#include <string.h>

// Slicing by 16 (Kounavis and Berry 2005): table[i][b] is the check of byte b and i zeros after it.
enum { SLICES = 16 };
static const uint64_t POLYNOMIAL = 0x9a6c9329ac4bc9b5;  // ad93d23594c93659 reflected
static uint64_t table[SLICES][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void) {
    for (int byte = 0; byte < 256; byte++) {
        uint64_t crc = (uint64_t)byte;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        table[0][byte] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++)
        for (int byte = 0; byte < 256; byte++) {
            uint64_t crc = table[slice - 1][byte];
            table[slice][byte] = crc >> 8 ^ table[0][crc & 0xff];
        }
}

uint64_t cyx_crc64_nvme(uint64_t crc, const void *input, size_t length) {
    const uint8_t *bytes = input;
    pthread_once(&once, fill);
    crc = ~crc;
    for (; length >= SLICES; length -= SLICES, bytes += SLICES) {
        uint64_t low, high, next = 0;
        memcpy(&low, bytes, sizeof low);
        memcpy(&high, bytes + sizeof low, sizeof high);
        low ^= crc;
        for (int i = 0; i < 8; i++) {
            next ^= table[SLICES - 1 - i][low >> (8 * i) & 0xff];
            next ^= table[SLICES - 9 - i][high >> (8 * i) & 0xff];
        }
        crc = next;
    }
    for (; length > 0; length--) crc = crc >> 8 ^ table[0][(crc ^ *bytes++) & 0xff];
    return ~crc;
}
