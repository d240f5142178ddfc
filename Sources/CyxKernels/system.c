#define _GNU_SOURCE
#include "cyx_system.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

const int cyx_open_direct = O_DIRECT;

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {0};
    if (events & CYX_READABLE) event.events |= EPOLLIN;
    if (events & CYX_WRITABLE) event.events |= EPOLLOUT;
    event.data.u64 = token;
    return epoll_ctl(epoll, operation, fd, &event) == 0 ? 0 : -errno;
}

int cyx_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cyx_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_ADD, fd, events, token);
}

int cyx_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_MOD, fd, events, token);
}

int cyx_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int cyx_epoll_wait(int epoll, cyx_epoll_ready *out, int64_t nanoseconds) {
    struct epoll_event events[CYX_EPOLL_CAPACITY];
    struct timespec timeout = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    int count = epoll_pwait2(epoll, events, CYX_EPOLL_CAPACITY, &timeout, NULL);
    if (count < 0 && errno == ENOSYS) {
        int milliseconds = (int)((nanoseconds + 999999) / 1000000);
        count = epoll_wait(epoll, events, CYX_EPOLL_CAPACITY, milliseconds);
    }
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t bits = events[i].events;
        out[i].token = events[i].data.u64;
        out[i].events = 0;
        if (bits & (EPOLLIN | EPOLLERR | EPOLLHUP)) out[i].events |= CYX_READABLE;
        if (bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)) out[i].events |= CYX_WRITABLE;
    }
    return count;
}

int cyx_eventfd(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static sigset_t set_of(const int *numbers, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int index = 0; index < count; index++) sigaddset(&set, numbers[index]);
    return set;
}

void cyx_ignore_broken_pipes(void) { (void)signal(SIGPIPE, SIG_IGN); }

void cyx_block_signals(const int *numbers, int count) {
    sigset_t set = set_of(numbers, count);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int cyx_signals_fd(const int *numbers, int count) {
    sigset_t set = set_of(numbers, count);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int cyx_take_signal(int fd) {
    struct signalfd_siginfo taken;
    return read(fd, &taken, sizeof taken) == (ssize_t)sizeof taken ? (int)taken.ssi_signo : 0;
}

void cyx_thread_name(const char *name) {
    char short_name[16] = {0};
    strncpy(short_name, name, sizeof short_name - 1);
    (void)pthread_setname_np(pthread_self(), short_name);
}

int64_t cyx_random(void *bytes, size_t count) {
    ssize_t written = getrandom(bytes, count, 0);
    return written < 0 ? -errno : written;
}

void cyx_tune_allocator(int mapped, int kept, int arenas) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, mapped);
    mallopt(M_TRIM_THRESHOLD, kept);
    mallopt(M_ARENA_MAX, arenas);
#else
    (void)mapped, (void)kept, (void)arenas;
#endif
}

int64_t cyx_heap_bytes(void) {
#if defined(__GLIBC__)
    struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd);
#else
    return 0;
#endif
}
