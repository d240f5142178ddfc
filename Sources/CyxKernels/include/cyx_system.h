// epoll, thread names, direct access, randomness and cache hints, which Swift's Glibc module leaves out. Results below 0 are -errno.
#ifndef CYX_SYSTEM_H
#define CYX_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

#define CYX_READABLE 1
#define CYX_WRITABLE 2

typedef struct {
    uint64_t token;
    // CYX_READABLE | CYX_WRITABLE; an error or a hang-up sets both.
    uint32_t events;
} cyx_epoll_ready;

#define CYX_EPOLL_CAPACITY 128

int cyx_epoll_create(void);
int cyx_epoll_add(int epoll, int fd, uint32_t events, uint64_t token);
int cyx_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token);
int cyx_epoll_remove(int epoll, int fd);

// Waits at most `nanoseconds`, rounded up to milliseconds by kernels before 5.11; returns how many
// of CYX_EPOLL_CAPACITY are ready, 0 when a signal came.
int cyx_epoll_wait(int epoll, cyx_epoll_ready *out, int64_t nanoseconds);

// A non-blocking eventfd.
int cyx_eventfd(void);

// Keeps SIGPIPE from ending the process.
void cyx_ignore_broken_pipes(void);

// Keeps `count` signals from ending the process; before any thread is made.
void cyx_block_signals(const int *numbers, int count);

// A non-blocking signalfd that becomes readable when one of the signals arrives.
int cyx_signals_fd(const int *numbers, int count);

// Takes one signal from such a descriptor: its number, or 0 if there is none.
int cyx_take_signal(int fd);

// Names the calling thread; at most 15 bytes are kept.
void cyx_thread_name(const char *name);

// Keeps glibc's allocator from giving buffers back and asking for them again at once: every page of
// a new mapping costs a fault. From `mapped` bytes on an allocation has a mapping of its own; up to
// `kept` free bytes stay at the end of each of at most `arenas` heaps. Before any thread is made;
// does nothing where the C library is another.
void cyx_tune_allocator(int mapped, int kept, int arenas);

// Bytes that this process has allocated and not freed, in all arenas; 0 where nobody can tell.
int64_t cyx_heap_bytes(void);

// The flag O_DIRECT of open(2): past the page cache.
extern const int cyx_open_direct;

// getrandom(2); returns how many bytes were written.
int64_t cyx_random(void *bytes, size_t count);

// Asks for the cache lines of `length` bytes from `start` on, to be written soon. A hint: any
// address will do, and nothing is read or written.
static inline void cyx_prefetch_write(const void *start, size_t length) {
    const char *line = (const char *)start;
    for (size_t offset = 0; offset < length; offset += 64) {
#if defined(__x86_64__)
        __asm__ volatile("prefetchw %0" : : "m"(line[offset]));
#else
        __builtin_prefetch(line + offset, 1, 3);
#endif
    }
}

// The same for lines that are to be read soon.
static inline void cyx_prefetch_read(const void *start, size_t length) {
    const char *line = (const char *)start;
    for (size_t offset = 0; offset < length; offset += 64)
        __builtin_prefetch(line + offset, 0, 3);
}

#endif
