// Durable appends by many writers to one plain file, sharing fdatasync: what a store that keeps no
// index would cost.
#define _GNU_SOURCE
#include "baselines.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t synced;
    int fd;
    int failed;
    int syncing;
    off_t end;          // where the next append goes
    long written;       // appends that are in the file
    long durable;       // appends that a finished fdatasync covered
    long remaining;
    size_t size;
    const char *bytes;
} shared_file;

static void *append_all(void *argument) {
    shared_file *file = argument;
    pthread_mutex_lock(&file->lock);
    while (file->remaining > 0 && !file->failed) {
        file->remaining--;
        off_t offset = file->end;
        file->end += (off_t)file->size;
        pthread_mutex_unlock(&file->lock);
        ssize_t count = pwrite(file->fd, file->bytes, file->size, offset);
        pthread_mutex_lock(&file->lock);
        if (count != (ssize_t)file->size) file->failed = 1;
        long mine = ++file->written;
        while (file->durable < mine && !file->failed) {
            if (file->syncing) {
                pthread_cond_wait(&file->synced, &file->lock);
                continue;
            }
            file->syncing = 1;
            long covered = file->written;
            pthread_mutex_unlock(&file->lock);
            int result = fdatasync(file->fd);
            pthread_mutex_lock(&file->lock);
            if (result != 0) file->failed = 1;
            file->syncing = 0;
            file->durable = covered;
            pthread_cond_broadcast(&file->synced);
        }
    }
    pthread_cond_broadcast(&file->synced);
    pthread_mutex_unlock(&file->lock);
    return NULL;
}

double baseline_durable_appends(const char *path, long writers, long appends, long size) {
    shared_file file = {.remaining = appends, .size = (size_t)size};
    pthread_t threads[64];
    struct timespec start, end;
    if (writers > 64) return -1;
    file.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file.fd < 0) return -1;
    char *bytes = malloc((size_t)size);
    memset(bytes, 0x5A, (size_t)size);
    file.bytes = bytes;
    pthread_mutex_init(&file.lock, NULL);
    pthread_cond_init(&file.synced, NULL);
    clock_gettime(CLOCK_MONOTONIC, &start);
    long started = 0;
    while (started < writers
           && pthread_create(&threads[started], NULL, append_all, &file) == 0) started++;
    for (long i = 0; i < started; i++) pthread_join(threads[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    pthread_cond_destroy(&file.synced);
    pthread_mutex_destroy(&file.lock);
    free(bytes);
    close(file.fd);
    unlink(path);
    if (file.failed || started < writers) return -1;
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}
