#include "baselines.h"

#include <isa-l.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double thread_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

enum { MAX_SHARDS = 48, MAX_TABLES = 32 * 32 * 32 };

double baseline_erasure(int decodes, long k, long m, long shard_size, long calls) {
    unsigned char matrix[MAX_SHARDS * 32], survivors[32 * 32], inverse[32 * 32];
    static _Thread_local unsigned char tables[MAX_TABLES];
    unsigned char *shards[MAX_SHARDS], *outputs[16];
    // Shards lie one after the other, as in the file that a caller has in memory.
    unsigned char *bytes = malloc((size_t)((k + m) * shard_size));
    if (!bytes) abort();
    for (long i = 0; i < k + m; i++) {
        shards[i] = bytes + i * shard_size;
        memset(shards[i], (int)(i * 29 + 1), (size_t)shard_size);
    }
    gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
    if (decodes) {
        memcpy(survivors, matrix + m * k, (size_t)(k * k));
        if (gf_invert_matrix(survivors, inverse, (int)k) != 0) abort();
        ec_init_tables((int)k, (int)m, inverse, tables);
        for (long i = 0; i < m; i++) outputs[i] = shards[i];
    } else {
        ec_init_tables((int)k, (int)m, matrix + k * k, tables);
        for (long i = 0; i < m; i++) outputs[i] = shards[k + i];
    }
    unsigned char **inputs = decodes ? shards + m : shards;
    double start = thread_seconds();
    for (long call = 0; call < calls; call++)
        ec_encode_data((int)shard_size, (int)k, (int)m, tables, inputs, outputs);
    double seconds = (thread_seconds() - start) / (double)calls;
    free(bytes);
    return seconds;
}

double baseline_crc64(long size, long calls) {
    unsigned char *bytes = malloc((size_t)size);
    if (!bytes) abort();
    for (long i = 0; i < size; i++) bytes[i] = (unsigned char)(i % 251);
    volatile uint64_t sum = 0;
    double start = thread_seconds();
    for (long call = 0; call < calls; call++)
        sum ^= crc64_ecma_refl(0, bytes, (uint64_t)size);
    double seconds = (thread_seconds() - start) / (double)calls;
    free(bytes);
    return seconds;
}

static int seal(EVP_CIPHER_CTX *context, unsigned char *packet, int size, unsigned char *sealed) {
    unsigned char nonce[12] = {1}, aad[12] = {2};
    int written;
    return EVP_EncryptInit_ex(context, 0, 0, 0, nonce) &&
           EVP_EncryptUpdate(context, 0, &written, aad, sizeof aad) &&
           EVP_EncryptUpdate(context, sealed, &written, packet, size) &&
           EVP_EncryptFinal_ex(context, sealed + size, &written) &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, sealed + size);
}

static int open(EVP_CIPHER_CTX *context, unsigned char *sealed, int size, unsigned char *packet) {
    unsigned char nonce[12] = {1}, aad[12] = {2};
    int written;
    return EVP_DecryptInit_ex(context, 0, 0, 0, nonce) &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, sealed + size) &&
           EVP_DecryptUpdate(context, 0, &written, aad, sizeof aad) &&
           EVP_DecryptUpdate(context, packet, &written, sealed, size) &&
           EVP_DecryptFinal_ex(context, packet + size, &written);
}

double baseline_aes_gcm(int seals, long packet_size, long calls) {
    unsigned char key[32] = {7};
    unsigned char *packet = calloc(1, (size_t)packet_size + 16);
    unsigned char *sealed = calloc(1, (size_t)packet_size + 16);
    EVP_CIPHER_CTX *sealing = EVP_CIPHER_CTX_new(), *opening = EVP_CIPHER_CTX_new();
    int size = (int)packet_size;
    int good = sealing && opening && packet && sealed &&
               EVP_EncryptInit_ex(sealing, EVP_aes_256_gcm(), 0, key, 0) &&
               EVP_DecryptInit_ex(opening, EVP_aes_256_gcm(), 0, key, 0) &&
               seal(sealing, packet, size, sealed);
    double start = thread_seconds();
    for (long call = 0; good && call < calls; call++)
        good = seals ? seal(sealing, packet, size, sealed) : open(opening, sealed, size, packet);
    double seconds = (thread_seconds() - start) / (double)calls;
    EVP_CIPHER_CTX_free(sealing);
    EVP_CIPHER_CTX_free(opening);
    free(packet);
    free(sealed);
    return good ? seconds : -1;
}

static int agree(EVP_PKEY *own, const unsigned char *bytes, unsigned char *secret) {
    size_t size = 32;
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, 0, bytes, size);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, 0);
    int good = other && context && EVP_PKEY_derive_init(context) == 1 &&
               EVP_PKEY_derive_set_peer(context, other) == 1 &&
               EVP_PKEY_derive(context, secret, &size) == 1;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(other);
    return good;
}

static int sign_and_verify(EVP_PKEY *key, EVP_PKEY *public_key) {
    unsigned char statement[49] = {3}, signature[64];
    size_t size = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context && EVP_DigestSignInit(context, 0, 0, 0, key) == 1 &&
               EVP_DigestSign(context, signature, &size, statement, sizeof statement) == 1 &&
               EVP_MD_CTX_reset(context) == 1 &&
               EVP_DigestVerifyInit(context, 0, 0, 0, public_key) == 1 &&
               EVP_DigestVerify(context, signature, size, statement, sizeof statement) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

double baseline_handshake(long calls) {
    unsigned char seed[32] = {4}, bytes[32], secret[32];
    size_t size = sizeof bytes;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, 0, seed, sizeof seed);
    int good = key && EVP_PKEY_get_raw_public_key(key, bytes, &size) == 1;
    EVP_PKEY *public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, 0, bytes, size);
    EVP_PKEY *other = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, 0, seed, sizeof seed);
    good = good && public_key && other && EVP_PKEY_get_raw_public_key(other, bytes, &size) == 1;
    double start = thread_seconds();
    for (long call = 0; good && call < calls; call++) {
        EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, 0, seed, sizeof seed);
        good = pair != NULL;
        for (int i = 0; good && i < 3; i++) good = agree(pair, bytes, secret);
        memcpy(seed, secret, sizeof seed);
        good = good && sign_and_verify(key, public_key);
        EVP_PKEY_free(pair);
    }
    double seconds = (thread_seconds() - start) / (double)calls;
    EVP_PKEY_free(other);
    EVP_PKEY_free(public_key);
    EVP_PKEY_free(key);
    return good ? seconds : -1;
}
