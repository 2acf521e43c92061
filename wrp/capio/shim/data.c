/* Reading a file that is being written. A descriptor without a slot costs one test; a read that gets what it asked for costs
   nothing more. At the end of an uncommitted file the call waits: for all it asked for, but what there is goes out when the
   writer has paused for CAPIO_PAUSE_MS (50): a program that reads what another one answers mustn't wait for a full buffer. */
#include "shim.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static int64_t pause_ns(void)
{
    static int64_t value = -1;
    if (value < 0) {
        const char *given = getenv("CAPIO_PAUSE_MS");
        value = 1000000LL * (given && given[0] ? atoll(given) : 50);
    }
    return value;
}

/* One step of a read, copy or splice: `call` moves at most what is left and returns the bytes moved, 0 at the end, -1. */
typedef ssize_t (*mover)(int fd, void *with, size_t done);

/* `offset`: where the call begins, NULL: at the descriptor's own position. */
static ssize_t stream(int fd, struct capio_fd *of, mover call, void *with, size_t wanted, const off64_t *offset)
{
    size_t done = 0;
    int64_t waited_ns = 0;
    int over = 0;

    for (;;) {
        struct capio_slot *at = capio_slot(of->slot);
        over |= __atomic_load_n(&at->state, __ATOMIC_ACQUIRE) != CAPIO_OPEN;
        unsigned seen = __atomic_load_n(&at->counter, __ATOMIC_SEQ_CST);
        ssize_t n = call(fd, with, done);
        if (n < 0)
            return done ? (ssize_t)done : n;
        done += n;
        of->nbytes += n;
        if (done >= wanted)
            return done;
        if (n > 0)
            waited_ns = 0;
        /* What says that it is over was looked at before the bytes: this is the end */
        if (n == 0 && (over || (done && waited_ns >= pause_ns())))
            return done;
        /* A writer is in the middle of a write: who reads on the heels of it gets crumbs, and both take turns for the file's pages */
        if (over)
            continue;
        if (!capio_still_open(fd, of)) {
            over = 1;
            continue;
        }
        off64_t from = offset ? *offset + (off64_t)done : REAL(lseek64)(fd, 0, SEEK_CUR);
        int rc = capio_wait_more(of, seen, from + 1, done > 0, &waited_ns);
        if (rc < 0)
            return done && errno == EINTR ? (ssize_t)done : -1;
        over = rc;
    }
}

#define READER(fd) ({ struct capio_fd *of_ = capio_of(fd); of_ && of_->kind == READING ? of_ : NULL; })

struct span { char *at; size_t nbytes; off64_t offset; };
static ssize_t move_read(int fd, void *with, size_t done)
{
    struct span *span = with;
    return REAL(read)(fd, span->at + done, span->nbytes - done);
}
static ssize_t move_pread(int fd, void *with, size_t done)
{
    struct span *span = with;
    return REAL(pread64)(fd, span->at + done, span->nbytes - done, span->offset + done);
}

HOOK ssize_t read(int fd, void *out, size_t nbytes)
{
    struct capio_fd *of = READER(fd);
    if (likely(!of))
        return REAL(read)(fd, out, nbytes);
    struct span span = {out, nbytes, 0};
    return stream(fd, of, move_read, &span, nbytes, NULL);
}

HOOK ssize_t pread64(int fd, void *out, size_t nbytes, off64_t offset)
{
    struct capio_fd *of = READER(fd);
    if (likely(!of))
        return REAL(pread64)(fd, out, nbytes, offset);
    struct span span = {out, nbytes, offset};
    return stream(fd, of, move_pread, &span, nbytes, &span.offset);
}

HOOK ssize_t pread(int fd, void *out, size_t nbytes, off_t offset) { return pread64(fd, out, nbytes, offset); }
HOOK ssize_t __read_chk(int fd, void *out, size_t nbytes, size_t room) { return nbytes > room ? (abort(), -1) : read(fd, out, nbytes); }
HOOK ssize_t __pread_chk(int fd, void *out, size_t nbytes, off_t offset, size_t room) { return nbytes > room ? (abort(), -1) : pread64(fd, out, nbytes, offset); }
HOOK ssize_t __pread64_chk(int fd, void *out, size_t nbytes, off64_t offset, size_t room) { return nbytes > room ? (abort(), -1) : pread64(fd, out, nbytes, offset); }

/* Vectors: one piece after the other, so that a short one waits like a read. */
static ssize_t read_vector(int fd, const struct iovec *parts, int count, off64_t offset)
{
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t n = offset < 0 ? read(fd, parts[i].iov_base, parts[i].iov_len) : pread64(fd, parts[i].iov_base, parts[i].iov_len, offset + done);
        if (n < 0)
            return done ? done : n;
        done += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return done;
}

HOOK ssize_t readv(int fd, const struct iovec *parts, int count)
{
    return READER(fd) ? read_vector(fd, parts, count, -1) : REAL(readv)(fd, parts, count);
}

HOOK ssize_t preadv64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return READER(fd) && offset >= 0 ? read_vector(fd, parts, count, offset) : REAL(preadv64)(fd, parts, count, offset);
}

HOOK ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset) { return preadv64(fd, parts, count, offset); }

struct pipe_of { int out; off64_t *from, *to; size_t nbytes; unsigned flags; };
static ssize_t move_sendfile(int fd, void *with, size_t done)
{
    struct pipe_of *p = with;
    return REAL(sendfile64)(p->out, fd, p->from, p->nbytes - done);
}
static ssize_t move_range(int fd, void *with, size_t done)
{
    struct pipe_of *p = with;
    return REAL(copy_file_range)(fd, p->from, p->out, p->to, p->nbytes - done, p->flags);
}
static ssize_t move_splice(int fd, void *with, size_t done)
{
    struct pipe_of *p = with;
    return REAL(splice)(fd, p->from, p->out, p->to, p->nbytes - done, p->flags);
}

/* Copies inside the kernel return what there is: their callers go on until they get 0. */
static ssize_t some(int fd, mover call, struct pipe_of *p)
{
    struct capio_fd *of = READER(fd);
    ssize_t n = of ? stream(fd, of, call, p, 1, p->from) : call(fd, p, 0);
    if (n > 0)
        capio_grown(p->out);
    return n;
}

HOOK ssize_t sendfile64(int out, int fd, off64_t *from, size_t nbytes)
{
    struct pipe_of p = {out, from, NULL, nbytes, 0};
    return some(fd, move_sendfile, &p);
}
HOOK ssize_t sendfile(int out, int fd, off_t *from, size_t nbytes) { return sendfile64(out, fd, (off64_t *)from, nbytes); }
HOOK ssize_t copy_file_range(int fd, off64_t *from, int out, off64_t *to, size_t nbytes, unsigned flags)
{
    struct pipe_of p = {out, from, to, nbytes, flags};
    return some(fd, move_range, &p);
}
HOOK ssize_t splice(int fd, off64_t *from, int out, off64_t *to, size_t nbytes, unsigned flags)
{
    struct pipe_of p = {out, from, to, nbytes, flags};
    return some(fd, move_splice, &p);
}

/* Who asks for the end wants the true one. */
HOOK off64_t lseek64(int fd, off64_t offset, int whence)
{
    if (unlikely(whence != SEEK_SET && whence != SEEK_CUR && READER(fd)) && capio_wait_committed(fd) < 0)
        return -1;
    return REAL(lseek64)(fd, offset, whence);
}
HOOK off_t lseek(int fd, off_t offset, int whence) { return lseek64(fd, offset, whence); }

HOOK void *mmap64(void *at, size_t nbytes, int protection, int flags, int fd, off64_t offset)
{
    if (unlikely(fd >= 0 && READER(fd)) && capio_wait_committed(fd) < 0)
        return MAP_FAILED;
    return REAL(mmap64)(at, nbytes, protection, flags, fd, offset);
}
HOOK void *mmap(void *at, size_t nbytes, int protection, int flags, int fd, off_t offset) { return mmap64(at, nbytes, protection, flags, fd, offset); }

#define WROTE(fd, call) ssize_t n_ = call; if (unlikely(capio_of(fd)) && n_ > 0) capio_grown(fd); return n_
HOOK ssize_t write(int fd, const void *data, size_t nbytes) { WROTE(fd, REAL(write)(fd, data, nbytes)); }
HOOK ssize_t pwrite(int fd, const void *data, size_t nbytes, off_t offset) { WROTE(fd, REAL(pwrite)(fd, data, nbytes, offset)); }
HOOK ssize_t pwrite64(int fd, const void *data, size_t nbytes, off64_t offset) { WROTE(fd, REAL(pwrite64)(fd, data, nbytes, offset)); }
HOOK ssize_t writev(int fd, const struct iovec *parts, int count) { WROTE(fd, REAL(writev)(fd, parts, count)); }
HOOK ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { WROTE(fd, REAL(pwritev)(fd, parts, count, offset)); }
HOOK ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { WROTE(fd, REAL(pwritev64)(fd, parts, count, offset)); }
