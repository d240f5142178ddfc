#include "cyx_http_shims.h"

#include <microhttpd.h>
#include <string.h>

// libmicrohttpd parses a head where it was read to: it writes NUL over the end of each line (two for
// CRLF, one for a bare LF), over colons and over the spaces of the request line, and tells names and
// values by where they are. So the head that another server would have read can be told from where
// things are. What the library passes over and RFC 9112 forbids (spaces before colons, folded lines,
// bare LF, NUL) leaves a gap or an overlap there. Version 1.0 refuses these itself
// (MHD_OPTION_CLIENT_DISCIPLINE_LVL) and parses otherwise.
#if MHD_VERSION < 0x01000000

typedef struct head_walk {
    // Where the next line must begin, and where the head ends.
    const char *line;
    const char *end;
    int is_plain;
} head_walk;

// RFC 9110 §5.6.2.
static int is_token(const char *text, size_t count) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t index = 0; index < count; index++) {
        unsigned char byte = (unsigned char)text[index];
        unsigned char letter = byte | 0x20;
        if ((byte >= '0' && byte <= '9') || (letter >= 'a' && letter <= 'z')) continue;
        if (byte == 0 || strchr(others, byte) == NULL) return 0;
    }
    return count > 0;
}

// RFC 9110 §5.5: visible bytes, spaces, tabs.
static int is_field_value(const char *text, size_t count) {
    for (size_t index = 0; index < count; index++) {
        unsigned char byte = (unsigned char)text[index];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7F) return 0;
    }
    return 1;
}

static int ends_line(const head_walk *walk, const char *at) {
    return at >= walk->line && walk->end - at >= 2 && at[0] == 0 && at[1] == 0;
}

static enum MHD_Result on_field(
    void *context, enum MHD_ValueKind kind, const char *name, size_t name_count,
    const char *value, size_t value_count) {
    (void)kind;
    head_walk *walk = context;
    walk->is_plain = 0;
    if (name != walk->line || !is_token(name, name_count) || value == NULL) return MHD_NO;
    const char *colon = name + name_count;
    if (value <= colon || value > walk->end || (size_t)(walk->end - value) < value_count) {
        return MHD_NO;
    }
    for (const char *space = colon + 1; space < value; space++) {
        if (*space != ' ' && *space != '\t') return MHD_NO;
    }
    if (!is_field_value(value, value_count) || !ends_line(walk, value + value_count)) {
        return MHD_NO;
    }
    walk->line = value + value_count + 2;
    walk->is_plain = 1;
    return MHD_YES;
}

int cyx_http_head_is_plain(
    void *connection, const char *method, size_t target_count, const char *version) {
    size_t method_count = strlen(method);
    if (!is_token(method, method_count)) return 0;
    const char *target = method + method_count + 1;
    if (version != target + target_count + 1) return 0;
    const char *after = version + strlen(version);
    head_walk walk = {after, method + cyx_http_head_bytes(connection), 1};
    if (!ends_line(&walk, after)) return 0;
    walk.line = after + 2;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_field, &walk);
    return walk.is_plain && ends_line(&walk, walk.line) && walk.line + 2 == walk.end;
}

#else

int cyx_http_head_is_plain(
    void *connection, const char *method, size_t target_count, const char *version) {
    (void)connection;
    (void)method;
    (void)target_count;
    (void)version;
    return 1;
}

#endif
