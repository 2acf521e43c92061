/* Opening files below CAPIO_DIR, and the calls that make, copy and close descriptors. */
#include "shim.h"
#include <stdarg.h>
#include <sys/stat.h>

static mode_t mode_of(int flags, va_list more)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

/* A descriptor beyond our table: its file is read when it is complete. */
static int whole(int slot, const char *full)
{
    struct capio_answer answer;
    while (capio_state(slot) == CAPIO_OPEN)
        if (capio_ask(CAPIO_MORE, 0, INT64_MAX, full, NULL, &answer) < 0)
            return -1;
        else if (!(answer.what & CAPIO_STREAM))
            break;
    return 0;
}

#define ASK -2                          /* instead of a descriptor: the server has to say what it thinks */

/* Open for reading what is known to be complete. */
static int open_whole(int dirfd, const char *path, const char *full, int flags)
{
    struct capio_whole as;
    struct stat found;
    int fd = capio_is_whole(full, &as) ? REAL(openat64)(dirfd, path, flags) : -1;
    if (fd < 0)
        return ASK;
    if (fstat(fd, &found) < 0 || !capio_is_same(&as, &found))
        return REAL(close)(fd), ASK;
    if (S_ISDIR(found.st_mode))
        capio_watch(fd, FOLDER, -1, full);
    return fd;
}

/* Make a file that isn't there and hasn't been: the server reads what was posted before it hears of the file. O_EXCL because else the file
   might be somebody else's by now, whose writing the open would have to be told apart from. */
static int open_new(int dirfd, const char *path, const char *full, int flags, mode_t mode)
{
    struct stat found;
    int64_t turn;
    if (!(flags & O_CREAT) || flags & O_EXCL || ((flags & O_ACCMODE) == O_RDWR && !(flags & O_TRUNC)) || !capio_may_post(full))
        return ASK;
    if (capio_plain_stat(dirfd, path, &found, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT || (turn = capio_post(full)) < 0)
        return ASK;
    int fd = REAL(openat64)(dirfd, path, flags | O_EXCL, mode), why = errno;
    capio_posted(turn, fd >= 0);
    if (fd < 0) {
        capio_tell(CAPIO_OPENED, flags, why, 0, full, NULL);
        return why == EEXIST ? ASK : (errno = why, -1);
    }
    capio_watch(fd, WRITING, CAPIO_UNKNOWN, full);
    return fd;
}

/* Ask where it is needed, open, and note the descriptor where its calls matter. `path` lies below CAPIO_DIR as `full`. */
static int managed_open(int dirfd, const char *path, const char *full, int flags, mode_t mode)
{
    struct capio_answer answer;
    char there[PATH_MAX];
    int folder = flags & O_DIRECTORY, writes = !folder && ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC));

    if (flags & O_PATH || (flags & __O_TMPFILE) == __O_TMPFILE)
        return REAL(openat64)(dirfd, path, flags, mode);
    if (unlikely(flags & O_NOFOLLOW) && !(flags & O_EXCL) && capio_in_depot(dirfd, path, there))
        path = there;                   /* no link, for the program */
    int kept = errno, fd = writes ? open_new(dirfd, path, full, flags, mode) : open_whole(dirfd, path, full, flags);
    if (fd != ASK)
        return fd;
    errno = kept;
    if (capio_ask(folder ? CAPIO_LIST : writes ? CAPIO_WRITE : CAPIO_READ, flags, 0, full, NULL, &answer) < 0)
        return -1;
    if (unlikely(answer.what & CAPIO_REDIRECT))
        fd = capio_make_in_depot(dirfd, path, answer.text, flags, mode);
    else
        fd = REAL(openat64)(dirfd, path, flags, mode);
    if (answer.what & CAPIO_WATCHED)
        capio_folder_is_watched(full);
    if (writes)
        capio_tell(CAPIO_OPENED, flags, fd < 0 ? errno : 0, 0, full, NULL);
    if (fd < 0)
        return fd;
    if (folder) {
        capio_watch(fd, FOLDER, -1, full);
    } else if (answer.what & CAPIO_STREAM) {
        capio_watch(fd, writes ? WRITING : READING, answer.slot, full);
        if (!writes && fd >= CAPIO_FDS && whole(answer.slot, full) < 0) {
            int why = errno;
            REAL(close)(fd);
            return errno = why, -1;
        }
    } else {
        struct stat found;
        if (!writes && fstat(fd, &found) == 0 && S_ISDIR(found.st_mode))
            capio_watch(fd, FOLDER, -1, full);
    }
    return fd;
}

int capio_open(int dirfd, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    if (likely(!capio_opens(dirfd, path, full)))
        return REAL(openat64)(dirfd, path, flags, mode);
    return managed_open(dirfd, path, full, flags, mode);
}

#define MODE va_list more; va_start(more, flags); mode_t mode = mode_of(flags, more); va_end(more)

HOOK int open(const char *path, int flags, ...) { MODE; return capio_open(AT_FDCWD, path, flags, mode); }
HOOK int open64(const char *path, int flags, ...) { MODE; return capio_open(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
HOOK int openat(int dirfd, const char *path, int flags, ...) { MODE; return capio_open(dirfd, path, flags, mode); }
HOOK int openat64(int dirfd, const char *path, int flags, ...) { MODE; return capio_open(dirfd, path, flags | O_LARGEFILE, mode); }
HOOK int __open_2(const char *path, int flags) { return capio_open(AT_FDCWD, path, flags, 0); }
HOOK int __open64_2(const char *path, int flags) { return capio_open(AT_FDCWD, path, flags | O_LARGEFILE, 0); }
HOOK int __openat_2(int dirfd, const char *path, int flags) { return capio_open(dirfd, path, flags, 0); }
HOOK int __openat64_2(int dirfd, const char *path, int flags) { return capio_open(dirfd, path, flags | O_LARGEFILE, 0); }
HOOK int creat(const char *path, mode_t mode) { return capio_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
HOOK int creat64(const char *path, mode_t mode) { return capio_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC | O_LARGEFILE, mode); }

HOOK int close(int fd)
{
    if (capio_of(fd))
        capio_forget(fd);
    return REAL(close)(fd);
}

HOOK int dup(int fd)
{
    int copy = REAL(dup)(fd);
    if (copy >= 0 && (capio_of(fd) || capio_of(copy)))
        capio_copied(fd, copy);
    return copy;
}

HOOK int dup2(int fd, int to)
{
    int copy = REAL(dup2)(fd, to);
    if (copy >= 0 && (capio_of(fd) || capio_of(copy)))
        capio_copied(fd, copy);
    return copy;
}

HOOK int dup3(int fd, int to, int flags)
{
    int copy = REAL(dup3)(fd, to, flags);
    if (copy >= 0 && (capio_of(fd) || capio_of(copy)))
        capio_copied(fd, copy);
    return copy;
}

static int after_fcntl(int fd, int command, int rc)
{
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && rc >= 0 && (capio_of(fd) || capio_of(rc)))
        capio_copied(fd, rc);
    return rc;
}

/* Whatever the third argument is, one word passes it on. */
#define ARGUMENT va_list more; va_start(more, command); void *argument = va_arg(more, void *); va_end(more)
HOOK int fcntl(int fd, int command, ...) { ARGUMENT; return after_fcntl(fd, command, REAL(fcntl)(fd, command, argument)); }
HOOK int fcntl64(int fd, int command, ...) { ARGUMENT; return after_fcntl(fd, command, REAL(fcntl64)(fd, command, argument)); }
