#define _GNU_SOURCE
#include "baselines.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// A packet: 8 bytes of number in clear, payload, tag. 46 of 1400 bytes fill one send.
enum { PACKET = 1400, HEADER = 8, TAG = 16, PAYLOAD = PACKET - HEADER - TAG, BATCH = 46 };
enum { WINDOW = 512 * 1024, SLOTS = 16, SLOT = 65536, POLL_SECONDS = 2 };

typedef struct {
    int fd;
    struct sockaddr_in peer;
    long packets;
    double cpu;
    int good;
} side;

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int open_socket(struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20, on = 1;
    struct timeval wait = {POLL_SECONDS, 0};
    socklen_t length = sizeof *address;
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof *address) ||
        getsockname(fd, (struct sockaddr *)address, &length))
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    return fd;
}

static EVP_CIPHER_CTX *context(int seals) {
    static const unsigned char key[32] = {7};
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher) EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), 0, key, 0, seals);
    return cipher;
}

static int send_batch(side *self, unsigned char *bytes, int packets) {
    char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct iovec vector = {bytes, (size_t)packets * PACKET};
    struct msghdr message = {
        .msg_name = &self->peer, .msg_namelen = sizeof self->peer, .msg_iov = &vector,
        .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    uint16_t segment = PACKET;
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(header), &segment, sizeof segment);
    return sendmsg(self->fd, &message, 0) > 0;
}

static void *sender(void *argument) {
    side *self = argument;
    static unsigned char data[1 << 20], buffer[BATCH * PACKET];
    EVP_CIPHER_CTX *cipher = context(1);
    uint64_t sent = 0, acked = 0, total = (uint64_t)self->packets;
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    self->good = cipher != 0;
    while (self->good && acked < total) {
        while (self->good && sent < total && (sent - acked) * PACKET < WINDOW) {
            int count = 0;
            for (; count < BATCH && sent < total; count++, sent++) {
                unsigned char *packet = buffer + count * PACKET, nonce[12] = {0};
                int written;
                memcpy(packet, &sent, HEADER);
                memcpy(nonce + 4, &sent, HEADER);
                self->good = EVP_EncryptInit_ex(cipher, 0, 0, 0, nonce) &&
                             EVP_EncryptUpdate(cipher, 0, &written, packet, HEADER) &&
                             EVP_EncryptUpdate(
                                 cipher, packet + HEADER, &written,
                                 data + sent * PAYLOAD % (sizeof data - PAYLOAD), PAYLOAD) &&
                             EVP_EncryptFinal_ex(cipher, packet + HEADER + PAYLOAD, &written) &&
                             EVP_CIPHER_CTX_ctrl(
                                 cipher, EVP_CTRL_AEAD_GET_TAG, TAG, packet + PACKET - TAG);
            }
            self->good = self->good && send_batch(self, buffer, count);
        }
        uint64_t value;
        self->good = self->good && recv(self->fd, &value, sizeof value, 0) == sizeof value;
        if (self->good && value > acked) acked = value;
    }
    self->cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    EVP_CIPHER_CTX_free(cipher);
    return 0;
}

static int open_packet(EVP_CIPHER_CTX *cipher, unsigned char *packet, unsigned char *data) {
    unsigned char nonce[12] = {0};
    int written;
    memcpy(nonce + 4, packet, HEADER);
    return EVP_DecryptInit_ex(cipher, 0, 0, 0, nonce) &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG, packet + PACKET - TAG) &&
           EVP_DecryptUpdate(cipher, 0, &written, packet, HEADER) &&
           EVP_DecryptUpdate(cipher, data, &written, packet + HEADER, PAYLOAD) &&
           EVP_DecryptFinal_ex(cipher, data + PAYLOAD, &written);
}

static void *receiver(void *argument) {
    side *self = argument;
    static unsigned char slots[SLOTS * SLOT], data[1 << 20];
    EVP_CIPHER_CTX *cipher = context(0);
    uint64_t received = 0, total = (uint64_t)self->packets;
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    self->good = cipher != 0;
    while (self->good && received < total) {
        struct mmsghdr messages[SLOTS];
        struct iovec vectors[SLOTS];
        memset(messages, 0, sizeof messages);
        for (int i = 0; i < SLOTS; i++) {
            vectors[i] = (struct iovec){slots + i * SLOT, SLOT};
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        int count = recvmmsg(self->fd, messages, SLOTS, MSG_WAITFORONE, 0);
        self->good = count > 0;
        for (int i = 0; i < count; i++)
            for (unsigned at = 0; self->good && at + PACKET <= messages[i].msg_len; at += PACKET) {
                self->good = open_packet(
                    cipher, slots + i * SLOT + at,
                    data + received * PAYLOAD % (sizeof data - PAYLOAD));
                received++;
            }
        sendto(self->fd, &received, sizeof received, 0, (struct sockaddr *)&self->peer,
               sizeof self->peer);
    }
    self->cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    EVP_CIPHER_CTX_free(cipher);
    return 0;
}

double baseline_udp_stream(long bytes, double cpu[2]) {
    struct sockaddr_in first, second;
    side sending = {.fd = open_socket(&first), .packets = (bytes + PAYLOAD - 1) / PAYLOAD};
    side receiving = {.fd = open_socket(&second), .packets = sending.packets};
    double elapsed = -1;
    sending.peer = second;
    receiving.peer = first;
    if (sending.fd >= 0 && receiving.fd >= 0) {
        pthread_t threads[2];
        double start = seconds(CLOCK_MONOTONIC);
        if (pthread_create(&threads[0], 0, receiver, &receiving) == 0) {
            int started = pthread_create(&threads[1], 0, sender, &sending) == 0;
            if (started) pthread_join(threads[1], 0);
            pthread_join(threads[0], 0);
            if (started && sending.good && receiving.good)
                elapsed = seconds(CLOCK_MONOTONIC) - start;
        }
    }
    if (sending.fd >= 0) close(sending.fd);
    if (receiving.fd >= 0) close(receiving.fd);
    cpu[0] = sending.cpu;
    cpu[1] = receiving.cpu;
    return elapsed;
}
