#define _GNU_SOURCE
#include "baselines.h"

#include <errno.h>
#include <stdlib.h>

// glibc's allocator under the names that it keeps for who replaces the public ones (glibc manual,
// "Replacing malloc"). Counting is off but for the runs that ask for it; then it costs a thread
// one addition to memory of its own.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static int counting;
static __thread unsigned long counted __attribute__((tls_model("initial-exec")));

static inline void count_one(void) {
    if (__builtin_expect(__atomic_load_n(&counting, __ATOMIC_RELAXED), 0)) counted++;
}

void *malloc(size_t size) {
    count_one();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    count_one();
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    count_one();
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    count_one();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count_one();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    count_one();
    void *block = __libc_memalign(alignment, size);
    if (!block) return ENOMEM;
    *memory = block;
    return 0;
}

void baseline_count_allocations(int on) { __atomic_store_n(&counting, on, __ATOMIC_RELAXED); }

unsigned long baseline_allocations(void) { return counted; }
