#define _GNU_SOURCE
#include "cyx_udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Linux's numbers, for C libraries whose headers are older than the kernel.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static int is_mapped(const uint8_t ip[16]) {
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return memcmp(ip, prefix, sizeof prefix) == 0;
}

static socklen_t write_address(
    struct sockaddr_storage *storage, int is_ipv4, const uint8_t ip[16], uint16_t port) {
    memset(storage, 0, sizeof *storage);
    if (is_ipv4) {
        struct sockaddr_in *address = (struct sockaddr_in *)storage;
        address->sin_family = AF_INET;
        address->sin_port = htons(port);
        memcpy(&address->sin_addr, ip + 12, 4);
        return sizeof *address;
    }
    struct sockaddr_in6 *address = (struct sockaddr_in6 *)storage;
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(port);
    memcpy(&address->sin6_addr, ip, 16);
    return sizeof *address;
}

static void read_address(const struct sockaddr_storage *storage, uint8_t ip[16], uint16_t *port) {
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)storage;
        memset(ip, 0, 10);
        ip[10] = ip[11] = 0xFF;
        memcpy(ip + 12, &address->sin_addr, 4);
        *port = ntohs(address->sin_port);
    } else {
        const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)storage;
        memcpy(ip, &address->sin6_addr, 16);
        *port = ntohs(address->sin6_port);
    }
}

static int granted(int fd, int option, int wanted) {
    int value = wanted;
    socklen_t length = sizeof value;
    (void)setsockopt(fd, SOL_SOCKET, option, &value, sizeof value);
    if (getsockopt(fd, SOL_SOCKET, option, &value, &length) != 0) return 0;
    return value;
}

int cyx_udp_open(
    const uint8_t ip[16], uint16_t port, int buffer_bytes, int allow_offload,
    cyx_udp_info *info) {
    int ipv4 = is_mapped(ip);
    int fd = socket(ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_storage storage;
    socklen_t length = write_address(&storage, ipv4, ip, port);
    int zero = 0, one = 1;
    if (!ipv4) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    // Path MTU discovery is the transport's: never fragment, report what is too long.
    int probe = IP_PMTUDISC_PROBE;
    (void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe);
    if (!ipv4) {
        int probe6 = IPV6_PMTUDISC_PROBE;
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6);
    }
    // The mark of each datagram (RFC 3168 §5); an IPv6 socket gets it both ways, by peer.
    (void)setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof one);
    if (!ipv4) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&storage, length) != 0) goto fail;
    length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0) goto fail;
    read_address(&storage, info->ip, &info->port);
    info->receive_buffer = granted(fd, SO_RCVBUF, buffer_bytes);
    info->send_buffer = granted(fd, SO_SNDBUF, buffer_bytes);
    info->has_gso =
        allow_offload && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &zero, sizeof zero) == 0;
    info->has_gro =
        allow_offload && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one) == 0;
    return fd;
fail: {
    int error = errno;
    close(fd);
    return -error;
}
}

// The mark in a control message, or -1 if it is about something else.
static int read_mark(const struct cmsghdr *control) {
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
        return *(const uint8_t *)CMSG_DATA(control) & 3;
    }
    if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
        int class = 0;
        memcpy(&class, CMSG_DATA(control), sizeof class);
        return class & 3;
    }
    return -1;
}

int cyx_udp_receive(int fd, uint8_t *buffer, unsigned slots, cyx_udp_received *out) {
    struct mmsghdr messages[CYX_UDP_MAX_SLOTS];
    struct iovec vectors[CYX_UDP_MAX_SLOTS];
    struct sockaddr_storage names[CYX_UDP_MAX_SLOTS];
    union {
        char bytes[CMSG_SPACE(sizeof(int)) * 2];
        struct cmsghdr align;
    } controls[CYX_UDP_MAX_SLOTS];
    if (slots > CYX_UDP_MAX_SLOTS) slots = CYX_UDP_MAX_SLOTS;
    for (unsigned i = 0; i < slots; i++) {
        vectors[i].iov_base = buffer + (size_t)i * CYX_UDP_SLOT_BYTES;
        vectors[i].iov_len = CYX_UDP_SLOT_BYTES;
        memset(&messages[i], 0, sizeof messages[i]);
        messages[i].msg_hdr.msg_name = &names[i];
        messages[i].msg_hdr.msg_namelen = sizeof names[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = controls[i].bytes;
        messages[i].msg_hdr.msg_controllen = sizeof controls[i].bytes;
    }
    int count = recvmmsg(fd, messages, slots, MSG_DONTWAIT, NULL);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) {
        struct msghdr *header = &messages[i].msg_hdr;
        read_address(&names[i], out[i].ip, &out[i].port);
        out[i].length = messages[i].msg_len;
        out[i].segment = messages[i].msg_len;
        out[i].ecn = 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
            int mark = read_mark(c);
            if (mark >= 0) out[i].ecn = (uint8_t)mark;
            if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO) continue;
            int segment = 0;
            size_t room = c->cmsg_len - CMSG_LEN(0);
            memcpy(&segment, CMSG_DATA(c), room < sizeof segment ? room : sizeof segment);
            if (segment > 0) out[i].segment = (uint32_t)segment;
        }
    }
    return count;
}

int cyx_udp_send(
    int fd, int is_ipv4, const uint8_t *bytes, size_t length, size_t segment, uint8_t ecn,
    const uint8_t ip[16], uint16_t port) {
    struct sockaddr_storage storage;
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    if (is_ipv4 && !is_mapped(ip)) return -EAFNOSUPPORT;
    struct msghdr message = {
        .msg_name = &storage,
        .msg_namelen = write_address(&storage, is_ipv4, ip, port),
        .msg_iov = &vector,
        .msg_iovlen = 1,
    };
    if (segment < length || ecn != 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        size_t used = 0;
        if (segment < length) {
            uint16_t size = (uint16_t)segment;
            header->cmsg_level = IPPROTO_UDP;
            header->cmsg_type = UDP_SEGMENT;
            header->cmsg_len = CMSG_LEN(sizeof size);
            memcpy(CMSG_DATA(header), &size, sizeof size);
            used += CMSG_SPACE(sizeof size);
            header = CMSG_NXTHDR(&message, header);
        }
        if (ecn != 0) {
            // To an IPv4 peer, an IPv6 socket takes the mark as IPv4 does.
            int class = ecn, mapped = is_ipv4 || is_mapped(ip);
            header->cmsg_level = mapped ? IPPROTO_IP : IPPROTO_IPV6;
            header->cmsg_type = mapped ? IP_TOS : IPV6_TCLASS;
            header->cmsg_len = CMSG_LEN(sizeof class);
            memcpy(CMSG_DATA(header), &class, sizeof class);
            used += CMSG_SPACE(sizeof class);
        }
        message.msg_controllen = used;
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
        if (errno != EINTR) return -errno;
    }
}
