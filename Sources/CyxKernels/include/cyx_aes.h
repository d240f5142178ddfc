// Single blocks of AES-256 (FIPS 197), for header protection: a library's call for so little costs
// more than the block does.
#ifndef CYX_AES_H
#define CYX_AES_H

#include <stdint.h>

enum { CYX_AES256_ROUND_KEYS = 15 };

typedef struct {
    uint8_t bytes[CYX_AES256_ROUND_KEYS * 16];
} cyx_aes256_key;

// Whether the processor has the instructions that the rest needs, which take the same time for any
// key and block.
int cyx_aes256_available(void);

void cyx_aes256_expand(cyx_aes256_key *result, const uint8_t key[32]);
void cyx_aes256_encrypt(const cyx_aes256_key *key, uint8_t result[16], const uint8_t block[16]);

#endif
