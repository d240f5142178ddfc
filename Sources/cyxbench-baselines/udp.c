#define _GNU_SOURCE
#include "baselines.h"

#include <arpa/inet.h>
#include <intel-ipsec-mb.h>
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

// One direction's AES-256-GCM: libipsec-mb's where there is a manager, else OpenSSL's.
typedef struct {
    // The library's header aligns its key only if the compiler is told of LINUX.
    _Alignas(64) struct gcm_key_data key;
    struct gcm_context_data scratch;
    IMB_MGR *manager;
    EVP_CIPHER_CTX *evp;
} cipher;

typedef struct {
    int fd, multibuffer;
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

// Shared by both threads: its functions keep no state.
static IMB_MGR *manager;
static void make_manager(void) {
    manager = alloc_mb_mgr(0);
    if (manager) init_mb_mgr_auto(manager, 0);
    if (manager && !manager->gcm256_pre) manager = 0;
}

static int open_cipher(cipher *self, int multibuffer, int seals) {
    static const unsigned char key[32] = {7};
    memset(self, 0, sizeof *self);
    if (multibuffer) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, make_manager);
        self->manager = manager;
        if (manager) IMB_AES256_GCM_PRE(manager, key, &self->key);
        return manager != 0;
    }
    self->evp = EVP_CIPHER_CTX_new();
    return self->evp && EVP_CipherInit_ex(self->evp, EVP_aes_256_gcm(), 0, key, 0, seals);
}

static int seal_packet(cipher *self, unsigned char *packet, const unsigned char *data) {
    unsigned char nonce[12] = {0};
    EVP_CIPHER_CTX *evp = self->evp;
    int written;
    memcpy(nonce + 4, packet, HEADER);
    if (self->manager) {
        IMB_AES256_GCM_ENC(
            self->manager, &self->key, &self->scratch, packet + HEADER, data, PAYLOAD, nonce,
            packet, HEADER, packet + PACKET - TAG, TAG);
        return 1;
    }
    return EVP_EncryptInit_ex(evp, 0, 0, 0, nonce) &&
           EVP_EncryptUpdate(evp, 0, &written, packet, HEADER) &&
           EVP_EncryptUpdate(evp, packet + HEADER, &written, data, PAYLOAD) &&
           EVP_EncryptFinal_ex(evp, packet + HEADER + PAYLOAD, &written) &&
           EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, TAG, packet + PACKET - TAG);
}

static int open_packet(cipher *self, unsigned char *packet, unsigned char *data) {
    unsigned char nonce[12] = {0}, tag[TAG];
    EVP_CIPHER_CTX *evp = self->evp;
    int written;
    memcpy(nonce + 4, packet, HEADER);
    if (self->manager) {
        IMB_AES256_GCM_DEC(
            self->manager, &self->key, &self->scratch, data, packet + HEADER, PAYLOAD, nonce,
            packet, HEADER, tag, TAG);
        return memcmp(tag, packet + PACKET - TAG, TAG) == 0;
    }
    return EVP_DecryptInit_ex(evp, 0, 0, 0, nonce) &&
           EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, TAG, packet + PACKET - TAG) &&
           EVP_DecryptUpdate(evp, 0, &written, packet, HEADER) &&
           EVP_DecryptUpdate(evp, data, &written, packet + HEADER, PAYLOAD) &&
           EVP_DecryptFinal_ex(evp, data + PAYLOAD, &written);
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
    cipher crypt;
    uint64_t sent = 0, acked = 0, total = (uint64_t)self->packets;
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    self->good = open_cipher(&crypt, self->multibuffer, 1);
    while (self->good && acked < total) {
        while (self->good && sent < total && (sent - acked) * PACKET < WINDOW) {
            int count = 0;
            for (; count < BATCH && sent < total; count++, sent++) {
                unsigned char *packet = buffer + count * PACKET;
                memcpy(packet, &sent, HEADER);
                self->good = seal_packet(
                    &crypt, packet, data + sent * PAYLOAD % (sizeof data - PAYLOAD));
            }
            self->good = self->good && send_batch(self, buffer, count);
        }
        uint64_t value;
        self->good = self->good && recv(self->fd, &value, sizeof value, 0) == sizeof value;
        if (self->good && value > acked) acked = value;
    }
    self->cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    EVP_CIPHER_CTX_free(crypt.evp);
    return 0;
}

static void *receiver(void *argument) {
    side *self = argument;
    static unsigned char slots[SLOTS * SLOT], data[1 << 20];
    cipher crypt;
    uint64_t received = 0, total = (uint64_t)self->packets;
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    self->good = open_cipher(&crypt, self->multibuffer, 0);
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
                    &crypt, slots + i * SLOT + at,
                    data + received * PAYLOAD % (sizeof data - PAYLOAD));
                received++;
            }
        sendto(self->fd, &received, sizeof received, 0, (struct sockaddr *)&self->peer,
               sizeof self->peer);
    }
    self->cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    EVP_CIPHER_CTX_free(crypt.evp);
    return 0;
}

double baseline_udp_stream(int multibuffer, long bytes, double cpu[2]) {
    struct sockaddr_in first, second;
    side sending = {.fd = open_socket(&first), .packets = (bytes + PAYLOAD - 1) / PAYLOAD};
    side receiving = {.fd = open_socket(&second), .packets = sending.packets};
    double elapsed = -1;
    sending.multibuffer = receiving.multibuffer = multibuffer;
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
