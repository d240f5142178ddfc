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
