// What the benchmarks compare with: the libraries called straight from C. Each returns CPU seconds
// per call of the calling thread.
#ifndef CYX_BASELINES_H
#define CYX_BASELINES_H

#include <stddef.h>

// ISA-L over k + m shards: encodes m parity shards, or with `decodes` recovers the first m data
// shards from the others.
double baseline_erasure(int decodes, long k, long m, long shard_size, long calls);

// ISA-L's CRC-64/XZ over `size` bytes.
double baseline_crc64(long size, long calls);

// OpenSSL's AES-256-GCM over one packet, keyed once; below zero if OpenSSL fails.
double baseline_aes_gcm(int seals, long packet_size, long calls);

// `appends` appends of `size` bytes by `writers` threads (at most 64) to the file at `path`, each
// durable before its writer goes on; returns elapsed seconds, below zero if it failed.
double baseline_durable_appends(const char *path, long writers, long appends, long size);

// `bytes` over loopback UDP between two threads in packets of 1400 bytes, each sealed and opened
// with AES-256-GCM (libipsec-mb's with `multibuffer`, else OpenSSL's), GSO and GRO, at most 512 KiB
// unacknowledged. Returns elapsed seconds, below zero if it failed; `cpu` gets the CPU seconds of
// the sender and of the receiver.
double baseline_udp_stream(int multibuffer, long bytes, double cpu[2]);

// Messages of `size` bytes from `clients` UDP sockets behind one epoll to one that sends them back,
// two threads, no encryption, `concurrency` on their way. `latencies` gets the seconds that each of
// the `messages` took, `cpu` the CPU seconds of clients and server. Returns elapsed seconds, below
// zero if it failed.
double baseline_udp_messages(
    long clients, long messages, long size, long concurrency, double *latencies, double cpu[2]);

// What one side of a handshake cannot do without, by OpenSSL: an X25519 key pair, three shared
// secrets with keys that it is given as bytes, an Ed25519 signature and a verification. Below zero
// if OpenSSL fails.
double baseline_handshake(long calls);

// Counts the heap allocations of each thread (malloc, calloc, realloc and the aligned ones, of
// Swift's runtime and of libraries alike) while `on`; off at first.
void baseline_count_allocations(int on);

// Those of the calling thread so far.
unsigned long baseline_allocations(void);

#endif
