#define _GNU_SOURCE
#include "baselines.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE_MAX_BYTES = 1400, EVENTS = 128, SLOTS = 16, WAIT_MS = 2000 };

typedef struct {
    int fd;
    long size;
    double cpu;
} echo;

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int open_socket(struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t length = sizeof *address;
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)address, sizeof *address) ||
                    getsockname(fd, (struct sockaddr *)address, &length))) {
        close(fd);
        fd = -1;
    }
    // Room for a message of every client: what does not fit is lost, and nothing repeats it.
    int room = 4 << 20;
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    return fd;
}

// Sends back whatever comes until an empty datagram does.
static void *serve(void *argument) {
    echo *self = argument;
    static unsigned char slots[SLOTS][SIZE_MAX_BYTES];
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (int done = 0; !done;) {
        struct mmsghdr messages[SLOTS];
        struct iovec vectors[SLOTS];
        struct sockaddr_in names[SLOTS];
        memset(messages, 0, sizeof messages);
        for (int i = 0; i < SLOTS; i++) {
            vectors[i] = (struct iovec){slots[i], SIZE_MAX_BYTES};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &vectors[i],
                .msg_iovlen = 1};
        }
        int count = recvmmsg(self->fd, messages, SLOTS, MSG_WAITFORONE, 0);
        if (count < 0) break;
        for (int i = 0; i < count; i++) {
            if (messages[i].msg_len == 0) done = 1;
            else
                sendto(self->fd, slots[i], messages[i].msg_len, 0, (struct sockaddr *)&names[i],
                       sizeof names[i]);
        }
    }
    self->cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    return 0;
}

// One thread's clients: `concurrency` messages on their way, each next one from the next socket.
static long exchange(
    int epoll, const int *sockets, long clients, long messages, long size, long concurrency,
    double *latencies) {
    static unsigned char bytes[SIZE_MAX_BYTES];
    double *sent = calloc((size_t)clients, sizeof *sent);
    long started = 0, done = 0;
    if (!sent) return 0;
    for (; started < concurrency && started < messages; started++) {
        sent[started % clients] = seconds(CLOCK_MONOTONIC);
        send(sockets[started % clients], bytes, (size_t)size, 0);
    }
    while (done < messages) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, WAIT_MS);
        if (count <= 0) break;
        for (int i = 0; i < count; i++) {
            long client = (long)events[i].data.u64;
            if (recv(sockets[client], bytes, sizeof bytes, MSG_DONTWAIT) != size) continue;
            double now = seconds(CLOCK_MONOTONIC);
            latencies[done++] = now - sent[client];
            if (started == messages) continue;
            // With all clients busy, nobody but this one is free.
            long next = concurrency == clients ? client : started % clients;
            started++;
            sent[next] = now;
            send(sockets[next], bytes, (size_t)size, 0);
        }
    }
    free(sent);
    return done;
}

double baseline_udp_messages(
    long clients, long messages, long size, long concurrency, double *latencies, double cpu[2]) {
    struct sockaddr_in server, own;
    echo serving = {.fd = open_socket(&server), .size = size};
    int epoll = epoll_create1(0), good = serving.fd >= 0 && epoll >= 0;
    int *sockets = calloc((size_t)clients, sizeof *sockets);
    double elapsed = -1;
    pthread_t thread;
    if (concurrency > clients) concurrency = clients;
    for (long i = 0; sockets && i < clients; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)i};
        sockets[i] = open_socket(&own);
        good = good && sockets[i] >= 0 &&
               !connect(sockets[i], (struct sockaddr *)&server, sizeof server) &&
               !epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &event);
    }
    if (sockets && good && size <= SIZE_MAX_BYTES && !pthread_create(&thread, 0, serve, &serving)) {
        double start = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_THREAD_CPUTIME_ID);
        if (exchange(epoll, sockets, clients, messages, size, concurrency, latencies) == messages)
            elapsed = seconds(CLOCK_MONOTONIC) - start;
        cpu[0] = seconds(CLOCK_THREAD_CPUTIME_ID) - used;
        send(sockets[0], &own, 0, 0);
        pthread_join(thread, 0);
        cpu[1] = serving.cpu;
    }
    for (long i = 0; sockets && i < clients; i++)
        if (sockets[i] >= 0) close(sockets[i]);
    free(sockets);
    if (serving.fd >= 0) close(serving.fd);
    if (epoll >= 0) close(epoll);
    return elapsed;
}
