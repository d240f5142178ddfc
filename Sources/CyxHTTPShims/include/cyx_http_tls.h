// Certificates for CyxHTTP, read, checked and made by GnuTLS, which libmicrohttpd speaks TLS with.
#ifndef CYX_HTTP_TLS_H
#define CYX_HTTP_TLS_H

#include <stddef.h>
#include <stdint.h>

// A certificate chain and its key, counted: a server holds one, and each connection the one that it
// was given, since GnuTLS keeps pointers into it.
typedef struct cyx_tls_identity cyx_tls_identity;

// Reads a chain (the server's own certificate first) and its key, both PEM. Null if they cannot be
// used or do not belong together; `problem` then says why.
cyx_tls_identity *cyx_tls_load(
    const uint8_t *chain, size_t chain_count, const uint8_t *key, size_t key_count, char *problem,
    size_t problem_capacity);
cyx_tls_identity *cyx_tls_retain(cyx_tls_identity *identity);
void cyx_tls_release(cyx_tls_identity *identity);

// SHA-256 of the server's own certificate (DER), 32 bytes.
void cyx_tls_fingerprint(const cyx_tls_identity *identity, uint8_t *digest);
// When the server's own certificate begins and ceases to be valid, in seconds since 1970.
void cyx_tls_validity(const cyx_tls_identity *identity, int64_t *from, int64_t *until);
// Whether the server's own certificate is one for that host name or address (RFC 6125).
int cyx_tls_is_for(const cyx_tls_identity *identity, const char *name);

// Makes a P-256 key and a certificate that it signs itself, for names and addresses (RFC 5280), and
// writes both as PEM with a zero byte behind. Returns 0, or a code for `cyx_tls_words`.
int cyx_tls_make(
    const char *const *names, size_t name_count, int64_t from, int64_t until, char *chain,
    size_t chain_capacity, char *key, size_t key_capacity);
const char *cyx_tls_words(int code);

#endif
