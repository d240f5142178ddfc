// The one-shot contexts of SHA-256, SHA-1 and MD5 are plain values, which OpenSSL 3 deprecates for
// heap objects; values can be copied, need no release and start without a look-up.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

// An X25519 key pair out of its halves of 32 bytes each, which belong together; NULL if memory is
// out. A function, as the names of parameters are macros that Swift does not see.
static inline EVP_PKEY *cyx_x25519_pair(
    const unsigned char private_key[32], const unsigned char public_key[32]) {
    EVP_PKEY *pair = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    // Taken through mutable pointers and only read.
    OSSL_PARAM parameters[3] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)private_key, 32),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)public_key, 32),
        OSSL_PARAM_construct_end()};
    if (context && EVP_PKEY_fromdata_init(context) == 1)
        (void)EVP_PKEY_fromdata(context, &pair, EVP_PKEY_KEYPAIR, parameters);
    EVP_PKEY_CTX_free(context);
    return pair;
}
