// UDP batch I/O: what needs control messages, which C macros build (architecture §3).
//
// Addresses are 16 bytes in network order, IPv4 as IPv4-mapped IPv6. Every function returns a
// negative errno when it fails and is safe to call from any thread on different sockets.
#ifndef CYX_UDP_H
#define CYX_UDP_H

#include <stddef.h>
#include <stdint.h>

// Room for the largest batch that GRO hands over: one IP datagram.
#define CYX_UDP_SLOT_BYTES 65536
#define CYX_UDP_MAX_SLOTS 32

typedef struct {
    uint8_t ip[16];
    uint16_t port;
    uint32_t length;
    // Bytes per datagram inside `length`, the last one possibly shorter.
    uint32_t segment;
    // The mark that all of them came with: the two ECN bits of the IP header (RFC 3168 §5).
    uint8_t ecn;
} cyx_udp_received;

typedef struct {
    uint8_t ip[16];
    uint16_t port;
    // 1 where the kernel splits a send (UDP_SEGMENT) and joins what it received (UDP_GRO).
    int has_gso;
    int has_gro;
    // Socket buffers as granted, in bytes.
    int receive_buffer;
    int send_buffer;
} cyx_udp_info;

// Opens and binds a non-blocking socket of the address's family; returns its descriptor. Probes
// GSO and GRO unless `allow_offload` is 0.
int cyx_udp_open(
    const uint8_t ip[16], uint16_t port, int buffer_bytes, int allow_offload,
    cyx_udp_info *info);

// Receives up to `slots` batches into `buffer`, slot i at i * CYX_UDP_SLOT_BYTES; returns how many.
int cyx_udp_receive(int fd, uint8_t *buffer, unsigned slots, cyx_udp_received *out);

// Sends `length` bytes as datagrams of `segment` bytes in one call, marked with `ecn`; with more
// than one datagram the kernel must have UDP_SEGMENT. Returns 0.
int cyx_udp_send(
    int fd, int is_ipv4, const uint8_t *bytes, size_t length, size_t segment, uint8_t ecn,
    const uint8_t ip[16], uint16_t port);

#endif
