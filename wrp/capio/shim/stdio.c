/* FILE streams. What libc reads inside stdio is seen by nobody, so the stream of a file that is still being written is one of our
   own making (fopencookie) over the same descriptor; all others are libc's. */
#include "shim.h"
#include <pthread.h>
#include <stdlib.h>

#define STREAMS 256
static struct { FILE *stream; int fd; } ours[STREAMS];
static int count;                       /* streams of ours that are open: 0 costs fileno one test */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t cookie_read(void *cookie, char *out, size_t nbytes) { return read((int)(intptr_t)cookie, out, nbytes); }
static int cookie_seek(void *cookie, off64_t *offset, int whence)
{
    off64_t at = lseek64((int)(intptr_t)cookie, *offset, whence);
    return at < 0 ? -1 : (*offset = at, 0);
}
static int cookie_close(void *cookie)
{
    int fd = (int)(intptr_t)cookie;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < STREAMS; i++)
        if (ours[i].stream && ours[i].fd == fd) {
            ours[i].stream = NULL;
            count--;
            break;
        }
    pthread_mutex_unlock(&lock);
    return close(fd);
}

/* A reading stream of ours over fd, or NULL where there is no room: the caller makes an ordinary one. */
static FILE *our_stream(int fd)
{
    cookie_io_functions_t calls = {.read = cookie_read, .seek = cookie_seek, .close = cookie_close};
    FILE *stream = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < STREAMS && !stream; i++)
        if (!ours[i].stream && (stream = fopencookie((void *)(intptr_t)fd, "r", calls))) {
            ours[i].stream = stream;
            ours[i].fd = fd;
            count++;
        }
    pthread_mutex_unlock(&lock);
    return stream;
}

static int reading(int fd) { struct capio_fd *of = capio_of(fd); return of && of->kind == READING; }

HOOK FILE *fdopen(int fd, const char *mode)
{
    FILE *stream = mode && mode[0] == 'r' && !strchr(mode, '+') && reading(fd) ? our_stream(fd) : NULL;
    return stream ? stream : REAL(fdopen)(fd, mode);
}

static int flags_of(const char *mode)
{
    int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    flags |= mode[0] == 'w' ? O_CREAT | O_TRUNC : mode[0] == 'a' ? O_CREAT | O_APPEND : 0;
    return flags | (strchr(mode, 'e') ? O_CLOEXEC : 0) | (strchr(mode, 'x') ? O_EXCL : 0);
}

static FILE *open_stream(const char *path, const char *mode)
{
    char full[PATH_MAX];
    if (!mode || !strchr("rwa", mode[0]) || !capio_opens(AT_FDCWD, path, full))
        return NULL;
    int fd = capio_open(AT_FDCWD, path, flags_of(mode), 0666);
    if (fd < 0)
        return NULL;
    FILE *stream = fdopen(fd, mode);
    if (!stream) {
        int why = errno;
        close(fd);
        errno = why;
    }
    return stream;
}

static int is_ours(const char *path)
{
    char full[PATH_MAX];
    return capio_opens(AT_FDCWD, path, full);
}

HOOK FILE *fopen(const char *path, const char *mode) { return is_ours(path) ? open_stream(path, mode) : REAL(fopen)(path, mode); }
HOOK FILE *fopen64(const char *path, const char *mode) { return is_ours(path) ? open_stream(path, mode) : REAL(fopen64)(path, mode); }

/* freopen keeps the stream, so the file must be whole, or written: libc opens it itself once the server agrees. */
static FILE *reopen(const char *path, const char *mode, FILE *stream)
{
    int fd = capio_open(AT_FDCWD, path, flags_of(mode), 0666);
    char link[40];
    if (fd < 0) {
        int why = errno;
        REAL(freopen)("/dev/null", "r", stream);
        fclose(stream);
        return errno = why, NULL;
    }
    if (reading(fd) && capio_wait_committed(fd) < 0) {
        close(fd);
        return NULL;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    FILE *again = REAL(freopen)(link, mode[0] == 'w' ? "r+" : mode, stream);
    if (again)
        capio_copied(fd, fileno(again));
    close(fd);
    return again;
}

HOOK FILE *freopen(const char *path, const char *mode, FILE *stream) { return is_ours(path) ? reopen(path, mode, stream) : REAL(freopen)(path, mode, stream); }
HOOK FILE *freopen64(const char *path, const char *mode, FILE *stream) { return is_ours(path) ? reopen(path, mode, stream) : REAL(freopen64)(path, mode, stream); }

static int our_fileno(FILE *stream)
{
    if (count)
        for (int i = 0; i < STREAMS; i++)
            if (ours[i].stream == stream)
                return ours[i].fd;
    return -1;
}

HOOK int fileno(FILE *stream) { int fd = our_fileno(stream); return fd >= 0 ? fd : REAL(fileno)(stream); }
HOOK int fileno_unlocked(FILE *stream) { int fd = our_fileno(stream); return fd >= 0 ? fd : REAL(fileno_unlocked)(stream); }

/* Standard input that a shell opened: called when the program begins. */
void capio_stdin(void)
{
    if (reading(0)) {
        FILE *stream = our_stream(0);
        if (stream)
            stdin = stream;
    }
}

/* In the child of a fork: another thread may have had the lock. */
void capio_stdio_forked(void) { lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }
