/* Files that lie elsewhere than CAPIO_DIR does: each is a link there to a file in the server's depot, and is shown to the program as the file itself. */
#include "shim.h"
#include <stdlib.h>
#include <sys/stat.h>

static char links[PATH_MAX], files[PATH_MAX];   /* what such links begin with, and the paths of such files, both with a slash at the end */
static size_t links_nbytes, files_nbytes;

/* 1 where there is a depot. It is looked for until there is one: a server may start later than this program. */
static int is_known(void)
{
    char beside[PATH_MAX], at[PATH_MAX];
    if (links_nbytes)
        return 1;
    capio_beside("depot", beside);
    char *name = strrchr(beside, '/');
    *name = 0;
    if (!realpath(beside, at) || snprintf(links, sizeof links, "%s/depot/", at) >= (int)sizeof links)
        return 0;
    *name = '/';
    if (!realpath(beside, at) || snprintf(files, sizeof files, "%s/", at) >= (int)sizeof files)
        return 0;
    files_nbytes = strlen(files);
    links_nbytes = strlen(links);
    return 1;
}

/* 1 when the path is a link to a file in the depot, which goes to `there`, if that isn't NULL. */
int capio_in_depot(int dirfd, const char *path, char *there)
{
    char found[PATH_MAX];
    int kept = errno;
    ssize_t n = capio_enabled ? REAL(readlinkat)(dirfd, path, found, sizeof found - 1) : -1;
    int is_so = n > 0 && is_known() && (size_t)n > links_nbytes && memcmp(found, links, links_nbytes) == 0;
    errno = kept;
    if (is_so && there) {
        found[n] = 0;
        strcpy(there, found);
    }
    return is_so;
}

/* 1 when the path is that of a file in the depot: its name below CAPIO_DIR goes to `full`. */
int capio_of_depot(const char *path, char full[PATH_MAX])
{
    struct capio_answer answer;
    if (!is_known() || strncmp(path, files, files_nbytes) || capio_ask(CAPIO_NAME, 0, 0, path, NULL, &answer) < 0 || !answer.text[0])
        return 0;
    strcpy(full, answer.text);
    return 1;
}

/* Make a new file where it is to lie, then its name here. Who was quicker with the name has it. */
int capio_make_in_depot(int dirfd, const char *path, const char *there, int flags, mode_t mode)
{
    int fd = REAL(openat64)(AT_FDCWD, there, flags | O_EXCL, mode);
    if (fd < 0 || symlinkat(there, dirfd, path) == 0)
        return fd;
    int why = errno;
    REAL(close)(fd);
    REAL(unlink)(there);
    return why == EEXIST && !(flags & O_EXCL) ? REAL(openat64)(dirfd, path, flags, mode) : (errno = why, -1);
}

/* The file goes with its last name, at once; the server does so for who isn't seen. The link itself is held meanwhile: it knows whether it has names left, whatever
   others rename to this path, and this link to, at the same moment. */
static int removed(int dirfd, const char *path, int flags)
{
    char there[PATH_MAX], full[PATH_MAX];
    struct stat found;
    int link = unlikely(capio_enabled) && !(flags & AT_REMOVEDIR) && capio_below(dirfd, path, full) && capio_in_depot(dirfd, path, NULL)
             ? REAL(openat64)(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    int is_known = link >= 0 && capio_in_depot(link, "", there);
    int rc = REAL(unlinkat)(dirfd, path, flags), kept = errno;
    if (rc == 0 && is_known && fstat(link, &found) == 0 && found.st_nlink == 0)
        REAL(unlink)(there);
    if (link >= 0)
        REAL(close)(link);
    errno = kept;
    return rc;
}

HOOK int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
HOOK int unlinkat(int dirfd, const char *path, int flags) { return removed(dirfd, path, flags); }
HOOK int remove(const char *path) { return removed(AT_FDCWD, path, 0) == 0 ? 0 : errno == EISDIR ? REAL(unlinkat)(AT_FDCWD, path, AT_REMOVEDIR) : -1; }

/* A program that asks where such a link leads is told that it is none. */
static ssize_t led(int dirfd, const char *path, ssize_t n) { return n > 0 && capio_in_depot(dirfd, path, NULL) ? (errno = EINVAL, -1) : n; }

HOOK ssize_t readlink(const char *path, char *out, size_t room) { return led(AT_FDCWD, path, REAL(readlink)(path, out, room)); }
HOOK ssize_t readlinkat(int dirfd, const char *path, char *out, size_t room) { return led(dirfd, path, REAL(readlinkat)(dirfd, path, out, room)); }
ssize_t __readlink_chk(const char *path, char *out, size_t room, size_t size);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *out, size_t room, size_t size);
HOOK ssize_t __readlink_chk(const char *path, char *out, size_t room, size_t size) { return led(AT_FDCWD, path, REAL(__readlink_chk)(path, out, room, size)); }
HOOK ssize_t __readlinkat_chk(int dirfd, const char *path, char *out, size_t room, size_t size)
{
    return led(dirfd, path, REAL(__readlinkat_chk)(dirfd, path, out, room, size));
}
