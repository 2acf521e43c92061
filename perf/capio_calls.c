/* Nanoseconds of single calls, for perf/capio.py: "MODE PATH COUNT" prints {"median_ns", "least_ns"} of COUNT calls, or of batches of cheap ones.
   Knows nothing of the shim: it runs with it and without. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 200, PAUSE_NS = 200000 };
static double *taken;
static char data[4096];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * t.tv_sec + t.tv_nsec;
}

static int by_size(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

static int fail(const char *path) { perror(path); return 1; }

/* The files PATH0, PATH1, …, each closed again; a writer leaves a byte in each. `pause_ns` of computing come before each open. */
static int opens(const char *path, long count, int flags, double pause_ns)
{
    char name[4096];
    for (long i = 0; i < count; i++) {
        for (double until = now() + pause_ns; pause_ns && now() < until;)
            ;
        snprintf(name, sizeof name, "%s%ld", path, i);
        double begun = now();
        int fd = open(name, flags | O_CLOEXEC, 0600);
        taken[i] = now() - begun;
        if (fd < 0 || (flags & O_CREAT && write(fd, data, 1) != 1) || close(fd) < 0)
            return fail(name);
    }
    return 0;
}

/* A question to another process, which only answers: both sleep until they are woken. What asking costs at least without staying awake. */
static int asks(const char *path, long count)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return fail(path);
    if (fork() == 0) {
        close(pair[0]);
        while (recv(pair[1], data, 64, 0) > 0 && send(pair[1], data, 64, 0) > 0)
            ;
        _exit(0);
    }
    close(pair[1]);
    for (long i = 0; i < count; i++) {
        for (double until = now() + PAUSE_NS; now() < until;)
            ;
        double begun = now();
        if (send(pair[0], data, 64, 0) < 0 || recv(pair[0], data, 64, 0) < 0)
            return fail(path);
        taken[i] = now() - begun;
    }
    close(pair[0]);
    wait(NULL);
    return 0;
}

/* Each in batches, because a look at the clock costs as much as the shim. */
#define BATCHES(calls, call) for (long i = 0; i < count; i++) { double begun = now(); for (int k = 0; k < BATCH; k += calls) if ((call) < 0) return fail(path); \
                                                                taken[i] = (now() - begun) / BATCH; } return 0

static int reads(const char *path, long count)
{
    int fd = open(path, O_RDONLY);
    BATCHES(1, pread(fd, data, sizeof data, 0));
}

static int writes(const char *path, long count)
{
    int fd = open("/dev/null", O_WRONLY);
    BATCHES(1, write(fd, data, 1));
}

static int stats(const char *path, long count)
{
    struct stat found;
    BATCHES(1, stat(path, &found));
}

static int opens_and_closes(const char *path, long count)
{
    BATCHES(2, close(open(path, O_RDONLY)));
}

static int run(const char *mode, const char *path, long count)
{
    int writing = O_WRONLY | O_CREAT | O_TRUNC;
    return strcmp(mode, "open-write") == 0 ? opens(path, count, writing, PAUSE_NS) : strcmp(mode, "open-write at once") == 0 ? opens(path, count, writing, 0)
         : strcmp(mode, "open-read") == 0 ? opens(path, count, O_RDONLY, PAUSE_NS) : strcmp(mode, "open-read at once") == 0 ? opens(path, count, O_RDONLY, 0)
         : strcmp(mode, "ask") == 0 ? asks(path, count)
         : strcmp(mode, "read") == 0 ? reads(path, count) : strcmp(mode, "write") == 0 ? writes(path, count)
         : strcmp(mode, "stat") == 0 ? stats(path, count) : strcmp(mode, "open and close") == 0 ? opens_and_closes(path, count) : fail(mode);
}

int main(int argc, char **argv)
{
    long count = argc == 4 ? atol(argv[3]) : 0;
    if (count < 1 || !(taken = malloc(count * sizeof *taken)))
        return 2;
    if (run(argv[1], argv[2], count))
        return 1;
    qsort(taken, count, sizeof *taken, by_size);
    printf("{\"median_ns\": %.1f, \"least_ns\": %.1f}\n", taken[count / 2], taken[0]);
    return 0;
}
