// libmicrohttpd as CyxHTTP uses it: its variadic calls behind plain functions, so that Swift sees
// neither `va_list` options nor the library's own header.
#ifndef CYX_HTTP_SHIMS_H
#define CYX_HTTP_SHIMS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cyx_http_tls.h"

// How a request ended: all that there was of the answer went out; the client ended its half of the
// connection before the body was complete; anything else.
enum { CYX_HTTP_ANSWERED, CYX_HTTP_HALF_CLOSED, CYX_HTTP_CUT_OFF };

typedef struct cyx_http_callbacks {
    void *context;
    // A request line came in: `target` undecoded, as sent. Returns what later calls see in
    // `*request`.
    void *(*begin)(void *context, const char *target, size_t target_count, void *connection);
    // The head is complete (`bytes` null), body bytes are there (`*count` of them; set it to how
    // many were left), or the body has ended (`bytes` null again). Returns 0 to drop the connection.
    int (*handle)(
        void *context, void *connection, const char *method, const char *version,
        const char *bytes, size_t *count, void **request);
    // The request is over; `how` is one of CYX_HTTP_ANSWERED, CYX_HTTP_HALF_CLOSED, CYX_HTTP_CUT_OFF.
    void (*end)(void *context, void *connection, void **request, int how);
    // The library is about to answer what it could not read, with that status and in words of its own.
    // Returns whether the connection has its answer: it is closed then.
    int (*unreadable)(void *context, void *connection, unsigned status);
    // A connection was opened or closed.
    void (*opened)(void *context, void *connection, int descriptor);
    void (*closed)(void *context, void *connection);
    // A connection was answered with `cyx_http_response_upgrade` and is the caller's from now on, by
    // `descriptor`, which `cyx_http_end_upgraded` gives back. `early` came behind the head.
    void (*upgraded)(
        void *context, void *request, const uint8_t *early, size_t early_count, int descriptor,
        void *handle);
} cyx_http_callbacks;

typedef struct cyx_http_limits {
    size_t connection_memory_bytes;
    unsigned connections;
    unsigned inactivity_seconds;
} cyx_http_limits;

// Listens on 16 bytes of IPv6 (or IPv4-mapped) address; returns the descriptor or minus errno.
int cyx_http_listen(const uint8_t *ip, uint16_t port, int backlog, uint16_t *bound_port);

// Fills in the 16 bytes of the IPv6 (or IPv4-mapped) address at the other end; returns 0 without one.
int cyx_http_remote(int descriptor, uint8_t *ip, uint16_t *port);

// Takes a connection that waits at a listener; returns its descriptor or minus errno.
int cyx_http_accept(int listener);

// The first byte that a connection has brought, without taking it; or nothing yet, or its end.
#define CYX_HTTP_SILENT (-1)
#define CYX_HTTP_ENDED (-2)
int cyx_http_first_byte(int descriptor);

// Starts a daemon without threads, which speaks TLS with an identity, else plain HTTP. Null if it
// could not. The callbacks are copied, the identity is retained.
void *cyx_http_start(
    const cyx_http_callbacks *callbacks, cyx_http_limits limits, cyx_tls_identity *identity);
void cyx_http_stop(void *daemon);

// Gives the daemon a connection, which it owns from then on; returns 0 if it closed it at once.
int cyx_http_add(void *daemon, int descriptor);

// What connections from now on are shown; those there are keep theirs.
void cyx_http_use(void *daemon, cyx_tls_identity *identity);

// Writes past the library, without blocking, as TLS where the connection speaks it; returns how many
// bytes were taken, or less than 0.
ssize_t cyx_http_write_beside(void *connection, int descriptor, const uint8_t *bytes, size_t count);

// The descriptor that is readable whenever `cyx_http_run` has something to do.
int cyx_http_descriptor(void *daemon);

// Does what can be done without blocking; returns 1 if more can be done at once.
int cyx_http_run(void *daemon);

void cyx_http_suspend(void *connection);
void cyx_http_resume(void *connection);

// Has a connection on which nothing happened for a second closed when the daemon next runs.
void cyx_http_expire(void *connection);

// How many bytes the head took.
size_t cyx_http_head_bytes(void *connection);

// Whether the head that was received last is as RFC 9112 wants it, so that no other server reads it
// otherwise. Only while the head is handled; `method` and `version` as that call gives them,
// `target_count` as `begin` had it.
int cyx_http_head_is_plain(
    void *connection, const char *method, size_t target_count, const char *version);

typedef void (*cyx_http_field)(
    void *context, const char *name, size_t name_count, const char *value, size_t value_count);
void cyx_http_each_header(void *connection, void *context, cyx_http_field field);

// Fills up to `capacity` bytes and returns how many; 0 after suspending the connection; -1 to fail.
typedef ssize_t (*cyx_http_reader)(void *context, uint64_t offset, char *buffer, size_t capacity);

void *cyx_http_response_bytes(const void *bytes, size_t count);
void *cyx_http_response_stream(
    uint64_t length, size_t block_bytes, cyx_http_reader reader, void *context,
    void (*release)(void *context));
void *cyx_http_response_upgrade(void *daemon);
void cyx_http_end_upgraded(void *handle);
int cyx_http_response_header(void *response, const char *name, const char *value);
// Queues and releases the response; returns 0 if the connection takes none now.
int cyx_http_respond(void *connection, unsigned status, void *response);

#endif
