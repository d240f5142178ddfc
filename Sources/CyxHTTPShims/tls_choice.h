// What libmicrohttpd asks for the certificate of a new connection; the session's pointer is a
// `cyx_tls_identity`.
#ifndef CYX_HTTP_TLS_CHOICE_H
#define CYX_HTTP_TLS_CHOICE_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

int cyx_tls_choose(
    gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
    unsigned *chain_count, gnutls_privkey_t *key);

#endif
