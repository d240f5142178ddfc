#include "cyx_http_tls.h"

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls_choice.h"

// The server's own certificate and those above it.
#define CHAIN_MAX 10

struct cyx_tls_identity {
    atomic_uint holders;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_count;
    gnutls_x509_crt_t own;
    gnutls_privkey_t key;
};

static void *refuse(
    cyx_tls_identity *self, char *problem, size_t capacity, const char *what, int code) {
    snprintf(problem, capacity, "%s: %s", what, gnutls_strerror(code));
    cyx_tls_release(self);
    return NULL;
}

// Whether the key is that of the certificate: the IDs of their public keys are equal.
static int belong_together(gnutls_x509_crt_t certificate, gnutls_privkey_t key) {
    unsigned char ours[64], its[64];
    size_t ours_count = sizeof ours, its_count = sizeof its;
    gnutls_pubkey_t public_key;
    if (gnutls_pubkey_init(&public_key) != 0) return 0;
    int same =
        gnutls_pubkey_import_privkey(public_key, key, 0, 0) == 0 &&
        gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, ours, &ours_count) == 0 &&
        gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, its, &its_count) == 0 &&
        ours_count == its_count && memcmp(ours, its, its_count) == 0;
    gnutls_pubkey_deinit(public_key);
    return same;
}

cyx_tls_identity *cyx_tls_load(
    const uint8_t *chain, size_t chain_count, const uint8_t *key, size_t key_count, char *problem,
    size_t problem_capacity) {
    cyx_tls_identity *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    atomic_init(&self->holders, 1);
    const gnutls_datum_t chain_pem = {(unsigned char *)chain, (unsigned)chain_count};
    const gnutls_datum_t key_pem = {(unsigned char *)key, (unsigned)key_count};

    gnutls_x509_crt_t *certificates = NULL;
    unsigned count = 0;
    int code = gnutls_x509_crt_list_import2(
        &certificates, &count, &chain_pem, GNUTLS_X509_FMT_PEM,
        GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    if (code < 0) return refuse(self, problem, problem_capacity, "the certificate", code);
    if (count == 0 || count > CHAIN_MAX) code = GNUTLS_E_INSUFFICIENT_CREDENTIALS;
    for (unsigned i = 0; i < count; i++) {
        if (code >= 0) {
            code = gnutls_pcert_import_x509(&self->chain[i], certificates[i], 0);
            if (code >= 0) self->chain_count++;
        }
        if (i == 0) self->own = certificates[i];
        else gnutls_x509_crt_deinit(certificates[i]);
    }
    gnutls_free(certificates);
    if (code < 0) return refuse(self, problem, problem_capacity, "the certificate", code);

    code = gnutls_privkey_init(&self->key);
    if (code >= 0) {
        code = gnutls_privkey_import_x509_raw(self->key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (code < 0) return refuse(self, problem, problem_capacity, "the key", code);
    if (!belong_together(self->own, self->key)) {
        snprintf(problem, problem_capacity, "the key is not that of the certificate");
        cyx_tls_release(self);
        return NULL;
    }
    return self;
}

cyx_tls_identity *cyx_tls_retain(cyx_tls_identity *self) {
    if (self) atomic_fetch_add_explicit(&self->holders, 1, memory_order_relaxed);
    return self;
}

void cyx_tls_release(cyx_tls_identity *self) {
    if (!self || atomic_fetch_sub_explicit(&self->holders, 1, memory_order_acq_rel) != 1) return;
    for (unsigned i = 0; i < self->chain_count; i++) gnutls_pcert_deinit(&self->chain[i]);
    if (self->own) gnutls_x509_crt_deinit(self->own);
    if (self->key) gnutls_privkey_deinit(self->key);
    free(self);
}

void cyx_tls_fingerprint(const cyx_tls_identity *self, uint8_t *digest) {
    size_t count = 32;
    if (gnutls_x509_crt_get_fingerprint(self->own, GNUTLS_DIG_SHA256, digest, &count) != 0) {
        memset(digest, 0, 32);
    }
}

void cyx_tls_validity(const cyx_tls_identity *self, int64_t *from, int64_t *until) {
    *from = gnutls_x509_crt_get_activation_time(self->own);
    *until = gnutls_x509_crt_get_expiration_time(self->own);
}

int cyx_tls_is_for(const cyx_tls_identity *self, const char *name) {
    // A name with a wildcard is compared as it stands.
    unsigned flags = name[0] == '*' ? GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS : 0;
    return gnutls_x509_crt_check_hostname2(self->own, name, flags) != 0;
}

const char *cyx_tls_words(int code) { return gnutls_strerror(code); }

// MARK: What a handshake is given

int cyx_tls_choose(
    gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
    unsigned *chain_count, gnutls_privkey_t *key) {
    (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    cyx_tls_identity *given = gnutls_session_get_ptr(session);
    if (given == NULL) return -1;
    *chain = given->chain;
    *chain_count = given->chain_count;
    *key = given->key;
    return 0;
}

// MARK: A certificate of one's own making

static int add_name(gnutls_x509_crt_t certificate, const char *name) {
    unsigned char address[16];
    unsigned count = inet_pton(AF_INET, name, address) == 1 ? 4 : 0;
    if (count == 0 && inet_pton(AF_INET6, name, address) == 1) count = 16;
    if (count != 0) {
        return gnutls_x509_crt_set_subject_alt_name(
            certificate, GNUTLS_SAN_IPADDRESS, address, count, GNUTLS_FSAN_APPEND);
    }
    return gnutls_x509_crt_set_subject_alt_name(
        certificate, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int fill_in(
    gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *const *names,
    size_t name_count, int64_t from, int64_t until) {
    static const char issuer[] = "CN=CyxCloud self-signed";
    unsigned char serial[16], key_id[20];
    size_t key_id_count = sizeof key_id;
    int code = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
    // Positive, and not zero (RFC 5280 §4.1.2.2).
    serial[0] = (serial[0] & 0x7f) | 0x40;
#define STEP(call) if (code >= 0) code = (call)
    STEP(gnutls_x509_crt_set_version(certificate, 3));
    STEP(gnutls_x509_crt_set_serial(certificate, serial, sizeof serial));
    STEP(gnutls_x509_crt_set_dn(certificate, issuer, NULL));
    STEP(gnutls_x509_crt_set_activation_time(certificate, (time_t)from));
    STEP(gnutls_x509_crt_set_expiration_time(certificate, (time_t)until));
    STEP(gnutls_x509_crt_set_key(certificate, key));
    // No authority for others: who trusts it trusts this server alone.
    STEP(gnutls_x509_crt_set_basic_constraints(certificate, 0, -1));
    STEP(gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE));
    STEP(gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0));
    STEP(gnutls_x509_crt_get_key_id(certificate, 0, key_id, &key_id_count));
    STEP(gnutls_x509_crt_set_subject_key_id(certificate, key_id, key_id_count));
    STEP(gnutls_x509_crt_set_authority_key_id(certificate, key_id, key_id_count));
    for (size_t i = 0; i < name_count; i++) STEP(add_name(certificate, names[i]));
    STEP(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0));
#undef STEP
    return code < 0 ? code : 0;
}

int cyx_tls_make(
    const char *const *names, size_t name_count, int64_t from, int64_t until, char *chain,
    size_t chain_capacity, char *key, size_t key_capacity) {
    gnutls_x509_privkey_t made_key = NULL;
    gnutls_x509_crt_t made = NULL;
    int code = gnutls_x509_privkey_init(&made_key);
    if (code >= 0) {
        code = gnutls_x509_privkey_generate(
            made_key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    }
    if (code >= 0) code = gnutls_x509_crt_init(&made);
    if (code >= 0) code = fill_in(made, made_key, names, name_count, from, until);
    size_t count = chain_capacity;
    if (code >= 0) code = gnutls_x509_crt_export(made, GNUTLS_X509_FMT_PEM, chain, &count);
    if (code >= 0) {
        count = key_capacity;
        code = gnutls_x509_privkey_export_pkcs8(
            made_key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, key, &count);
    }
    if (made) gnutls_x509_crt_deinit(made);
    if (made_key) gnutls_x509_privkey_deinit(made_key);
    return code < 0 ? code : 0;
}
