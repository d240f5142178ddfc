// For accept4(2) and RTLD_NEXT.
#define _GNU_SOURCE
#include "cyx_http_shims.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls_choice.h"

typedef struct server {
    struct MHD_Daemon *daemon;
    cyx_http_callbacks callbacks;
    // What new connections are shown; null if the server speaks plain HTTP.
    cyx_tls_identity *identity;
} server;

// TLS 1.2 with forward secrecy and authenticated ciphers, and TLS 1.3 (RFC 9325).
static const char priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:-CIPHER-ALL:+AES-128-GCM:"
    "+AES-256-GCM:+CHACHA20-POLY1305";

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

int cyx_http_listen(const uint8_t *ip, uint16_t port, int backlog, uint16_t *bound_port) {
    struct sockaddr_storage storage;
    memset(&storage, 0, sizeof storage);
    socklen_t size;
    int family;
    if (memcmp(ip, mapped, 12) == 0) {
        struct sockaddr_in *address = (struct sockaddr_in *)&storage;
        family = address->sin_family = AF_INET;
        memcpy(&address->sin_addr, ip + 12, 4);
        address->sin_port = htons(port);
        size = sizeof *address;
    } else {
        struct sockaddr_in6 *address = (struct sockaddr_in6 *)&storage;
        family = address->sin6_family = AF_INET6;
        memcpy(&address->sin6_addr, ip, 16);
        address->sin6_port = htons(port);
        size = sizeof *address;
    }
    int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -errno;
    int on = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(descriptor, (struct sockaddr *)&storage, size) != 0 ||
        listen(descriptor, backlog) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&storage, &size) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    *bound_port = ntohs(
        family == AF_INET ? ((struct sockaddr_in *)&storage)->sin_port
                          : ((struct sockaddr_in6 *)&storage)->sin6_port);
    return descriptor;
}

int cyx_http_accept(int listener) {
    int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0) return -errno;
    // What is written in two pieces must not wait for an acknowledgement of the first.
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return descriptor;
}

int cyx_http_first_byte(int descriptor) {
    uint8_t byte;
    ssize_t count = recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count == 1) return byte;
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? CYX_HTTP_SILENT : CYX_HTTP_ENDED;
}

int cyx_http_remote(int descriptor, uint8_t *ip, uint16_t *port) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    if (getpeername(descriptor, (struct sockaddr *)&storage, &size) != 0) return 0;
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)&storage;
        memcpy(ip, mapped, 12);
        memcpy(ip + 12, &address->sin_addr, 4);
        *port = ntohs(address->sin_port);
        return 1;
    }
    if (storage.ss_family != AF_INET6) return 0;
    const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)&storage;
    memcpy(ip, &address->sin6_addr, 16);
    *port = ntohs(address->sin6_port);
    return 1;
}

// Percent escapes stay as they are: keys are decoded once, by who knows what they are.
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    return strlen(text);
}

static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
    server *self = context;
    return self->callbacks.begin(self->callbacks.context, target, strlen(target), connection);
}

static enum MHD_Result on_request(
    void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *bytes, size_t *count, void **request) {
    (void)url;
    server *self = context;
    int kept = self->callbacks.handle(
        self->callbacks.context, connection, method, version, bytes, count, request);
    return kept ? MHD_YES : MHD_NO;
}

static void on_completed(
    void *context, struct MHD_Connection *connection, void **request,
    enum MHD_RequestTerminationCode code) {
    server *self = context;
    int how = CYX_HTTP_CUT_OFF;
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK) how = CYX_HTTP_ANSWERED;
    if (code == MHD_REQUEST_TERMINATED_CLIENT_ABORT) how = CYX_HTTP_HALF_CLOSED;
    self->callbacks.end(self->callbacks.context, connection, request, how);
}

// Null on a connection without TLS.
static gnutls_session_t session_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

static void on_connection(
    void *context, struct MHD_Connection *connection, void **socket_context,
    enum MHD_ConnectionNotificationCode code) {
    server *self = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        gnutls_session_t session = session_of(connection);
        if (session != NULL) {
            // The library uses this pointer for shared keys alone, of which there are none here.
            *socket_context = cyx_tls_retain(self->identity);
            gnutls_session_set_ptr(session, *socket_context);
        }
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        self->callbacks.opened(
            self->callbacks.context, connection, info ? info->connect_fd : -1);
    } else {
        self->callbacks.closed(self->callbacks.context, connection);
        cyx_tls_release(*socket_context);
        *socket_context = NULL;
    }
}

void *cyx_http_start(
    const cyx_http_callbacks *callbacks, cyx_http_limits limits, cyx_tls_identity *identity) {
    server *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->callbacks = *callbacks;
    self->identity = cyx_tls_retain(identity);
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)cyx_tls_choose},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
        MHD_USE_NO_LISTEN_SOCKET;
    self->daemon = MHD_start_daemon(
        identity ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, on_request, self,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits.connection_memory_bytes,
        MHD_OPTION_CONNECTION_LIMIT, limits.connections,
        MHD_OPTION_CONNECTION_TIMEOUT, limits.inactivity_seconds,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, self,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, self,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, self,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, self,
        MHD_OPTION_ARRAY, identity ? secure : plain,
        MHD_OPTION_END);
    if (self->daemon == NULL) {
        cyx_tls_release(self->identity);
        free(self);
        return NULL;
    }
    return self;
}

int cyx_http_add(void *daemon, int descriptor) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getpeername(descriptor, (struct sockaddr *)&address, &size) != 0) {
        close(descriptor);
        return 0;
    }
    struct MHD_Daemon *self = ((server *)daemon)->daemon;
    return MHD_add_connection(self, descriptor, (struct sockaddr *)&address, size) == MHD_YES;
}

void cyx_http_use(void *daemon, cyx_tls_identity *identity) {
    server *self = daemon;
    cyx_tls_release(self->identity);
    self->identity = cyx_tls_retain(identity);
}

ssize_t cyx_http_write_beside(
    void *connection, int descriptor, const uint8_t *bytes, size_t count) {
    gnutls_session_t session = session_of(connection);
    if (session != NULL) return gnutls_record_send(session, bytes, count);
    return send(descriptor, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void cyx_http_stop(void *daemon) {
    server *self = daemon;
    MHD_stop_daemon(self->daemon);
    cyx_tls_release(self->identity);
    free(self);
}

int cyx_http_descriptor(void *daemon) {
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(((server *)daemon)->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

// Whose turn it is on this thread, and whether it is answering.
static _Thread_local server *running;
static _Thread_local int is_answering;

typedef enum MHD_Result (*queue_function)(struct MHD_Connection *, unsigned, struct MHD_Response *);

// The library answers by itself what it cannot read: in HTML, and 0.9.75 with the head twice, and has
// no option for another answer (1.0 has none either). But it calls `MHD_queue_response` for that
// through its linkage table, so that this definition in the program is taken instead; and it closes a
// connection whose answer cannot be queued. A library that is linked otherwise, or into the program,
// keeps its own answers: hence weak.
__attribute__((weak)) enum MHD_Result MHD_queue_response(
    struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
    static _Atomic(queue_function) known;
    queue_function next = known;
    if (next == NULL) known = next = (queue_function)dlsym(RTLD_NEXT, "MHD_queue_response");
    if (next == NULL) return MHD_NO;
    int is_ours = is_answering;
    is_answering = 0;
    if (!is_ours && running != NULL &&
        running->callbacks.unreadable(running->callbacks.context, connection, status)) {
        return MHD_NO;
    }
    return next(connection, status, response);
}

int cyx_http_run(void *daemon) {
    struct MHD_Daemon *self = ((server *)daemon)->daemon;
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    running = daemon;
    MHD_run(self);
    running = NULL;
    return MHD_get_timeout(self, &milliseconds) == MHD_YES && milliseconds == 0;
}

void cyx_http_suspend(void *connection) { MHD_suspend_connection(connection); }

void cyx_http_resume(void *connection) { MHD_resume_connection(connection); }

void cyx_http_expire(void *connection) {
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 1u);
}

size_t cyx_http_head_bytes(void *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

typedef struct header_walk {
    void *context;
    cyx_http_field field;
} header_walk;

static enum MHD_Result on_header(
    void *context, enum MHD_ValueKind kind, const char *name, size_t name_count,
    const char *value, size_t value_count) {
    (void)kind;
    header_walk *walk = context;
    walk->field(walk->context, name, name_count, value ? value : "", value ? value_count : 0);
    return MHD_YES;
}

void cyx_http_each_header(void *connection, void *context, cyx_http_field field) {
    header_walk walk = {context, field};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, &walk);
}

void *cyx_http_response_bytes(const void *bytes, size_t count) {
    return MHD_create_response_from_buffer(count, (void *)bytes, MHD_RESPMEM_MUST_COPY);
}

void *cyx_http_response_stream(
    uint64_t length, size_t block_bytes, cyx_http_reader reader, void *context,
    void (*release)(void *context)) {
    return MHD_create_response_from_callback(length, block_bytes, reader, context, release);
}

static void on_upgraded(
    void *context, struct MHD_Connection *connection, void *request, const char *early,
    size_t early_count, MHD_socket descriptor, struct MHD_UpgradeResponseHandle *handle) {
    (void)connection;
    server *self = context;
    self->callbacks.upgraded(
        self->callbacks.context, request, (const uint8_t *)early, early_count, descriptor, handle);
}

void *cyx_http_response_upgrade(void *daemon) {
    return MHD_create_response_for_upgrade(on_upgraded, daemon);
}

void cyx_http_end_upgraded(void *handle) {
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

int cyx_http_response_header(void *response, const char *name, const char *value) {
    // The library refuses empty values, which are good HTTP; the space is no part of the value
    // (RFC 9110 section 5.5).
    return MHD_add_response_header(response, name, *value ? value : " ") == MHD_YES;
}

int cyx_http_respond(void *connection, unsigned status, void *response) {
    is_answering = 1;
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    is_answering = 0;
    MHD_destroy_response(response);
    return queued == MHD_YES;
}
