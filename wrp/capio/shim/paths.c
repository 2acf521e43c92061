/* Which paths lie below CAPIO_DIR. Lexical: a symbolic link elsewhere that leads there isn't followed, but for the names of descriptors. */
#include "shim.h"
#include <stdlib.h>
#include <sys/stat.h>

int capio_enabled, capio_cwd_near;
char capio_dir[PATH_MAX], capio_given[PATH_MAX];
size_t capio_dir_nbytes, capio_given_nbytes;
static char cwd[PATH_MAX];

/* Join and remove ".", ".." and "//": 0 when it doesn't fit. A trailing slash goes. */
int capio_normal(const char *base, const char *path, char out[PATH_MAX])
{
    size_t used = 0;
    const char *parts[2] = {path[0] == '/' ? "" : base, path};

    for (int i = 0; i < 2; i++) {
        for (const char *at = parts[i]; *at;) {
            const char *end = strchrnul(at, '/');
            size_t n = end - at;
            if (n == 2 && at[0] == '.' && at[1] == '.') {
                while (used && out[--used] != '/')
                    ;
            } else if (n && !(n == 1 && at[0] == '.')) {
                if (used + n + 2 > PATH_MAX)
                    return 0;
                out[used++] = '/';
                memcpy(out + used, at, n);
                used += n;
            }
            at = *end ? end + 1 : end;
        }
    }
    if (!used)
        out[used++] = '/';
    out[used] = 0;
    return 1;
}

static int inside(const char *path, const char *folder, size_t n)
{
    return n && strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

int capio_below_slow(int dirfd, const char *path, char out[PATH_MAX])
{
    const char *base = cwd;
    char link[40], found[PATH_MAX];

    if (path[0] != '/' && dirfd != AT_FDCWD) {
        struct capio_fd *of = capio_of(dirfd);
        if (of && of->kind == FOLDER && of->path) {
            base = of->path;
        } else {
            if (!strstr(path, "..") && !capio_cwd_near)
                return 0;
            snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
            ssize_t n = REAL(readlink)(link, found, sizeof found - 1);
            if (n <= 0 || found[0] != '/')
                return 0;
            found[n] = 0;
            base = found;
        }
    } else if (path[0] != '/' && !capio_cwd_near && !strstr(path, "..")) {
        return 0;
    }
    if (!capio_normal(base, path, out))
        return 0;
    if (inside(out, capio_dir, capio_dir_nbytes))
        return 1;
    if (!inside(out, capio_given, capio_given_nbytes))
        return 0;
    char rest[PATH_MAX];
    strcpy(rest, out + capio_given_nbytes);
    if (capio_dir_nbytes + strlen(rest) >= PATH_MAX)
        return 0;
    strcpy(out, capio_dir);
    strcpy(out + capio_dir_nbytes, rest);
    return 1;
}

/* As capio_below, for an open: also where the path names a descriptor, as /dev/stdin does, of a file below CAPIO_DIR, which is opened once more then. */
int capio_opens(int dirfd, const char *path, char out[PATH_MAX])
{
    static const char *const STREAMS[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    char link[64], found[PATH_MAX];
    struct stat of, now;

    if (likely(!capio_enabled) || !path)
        return 0;
    if (likely(path[0] != '/' || (strncmp(path, "/dev/", 5) && strncmp(path, "/proc/", 6))))
        return capio_below(dirfd, path, out);
    snprintf(link, sizeof link, strncmp(path, "/dev/fd/", 8) ? "%s" : "/proc/self/fd/%s", strncmp(path, "/dev/fd/", 8) ? path : path + 8);
    for (int i = 0; i < 3; i++)
        if (strcmp(path, STREAMS[i]) == 0)
            snprintf(link, sizeof link, "/proc/self/fd/%d", i);
    int kept = errno;
    ssize_t n = strncmp(link, "/proc/", 6) || !strstr(link, "/fd/") ? -1 : REAL(readlink)(link, found, sizeof found - 1);
    if (n > 0)
        found[n] = 0;
    int is_so = n > 0 && found[0] == '/' && capio_plain_stat(AT_FDCWD, link, &of, 0) == 0 && capio_plain_stat(AT_FDCWD, found, &now, 0) == 0 &&
                of.st_dev == now.st_dev && of.st_ino == now.st_ino;                 /* else the name is another file's by now */
    errno = kept;
    return is_so ? capio_below(AT_FDCWD, found, out) || capio_of_depot(found, out) : capio_below(dirfd, path, out);
}

void capio_paths_moved(void)
{
    if (!getcwd(cwd, sizeof cwd))
        strcpy(cwd, "/");
    size_t n = strlen(cwd);
    capio_cwd_near = inside(cwd, capio_dir, capio_dir_nbytes) || n == 1 || inside(capio_dir, cwd, n) || inside(capio_given, cwd, n);
}

void capio_paths_begin(void)
{
    const char *given = getenv("CAPIO_DIR");
    if (!given || !given[0])
        return;
    capio_paths_moved();
    if (!capio_normal(cwd, given, capio_given) || !realpath(given, capio_dir))
        return;
    capio_given_nbytes = strlen(capio_given);
    capio_dir_nbytes = strlen(capio_dir);
    capio_enabled = capio_dir_nbytes > 1;
    capio_paths_moved();
}

HOOK int chdir(const char *path)
{
    int rc = REAL(chdir)(path);
    if (rc == 0 && capio_enabled)
        capio_paths_moved();
    return rc;
}

HOOK int fchdir(int fd)
{
    int rc = REAL(fchdir)(fd);
    if (rc == 0 && capio_enabled)
        capio_paths_moved();
    return rc;
}
