/* Whether a file is there, and its attributes: calls that a declared consumer may have to wait in. The answer itself is the file
   system's. */
#include "shim.h"
#include <sys/stat.h>

/* 0: go on; -1: errno is set. */
static int may_look(int dirfd, const char *path)
{
    char full[PATH_MAX];
    struct capio_answer answer;
    struct capio_whole as;
    struct stat found;
    if (likely(!capio_below(dirfd, path, full)))
        return 0;
    if (capio_is_whole(full, &as) && capio_plain_stat(dirfd, path, &found, 0) == 0 && capio_is_same(&as, &found))
        return 0;
    return capio_ask(CAPIO_STAT, 0, 0, full, NULL, &answer);
}

#define LOOK(dirfd, path, call) return may_look(dirfd, path) < 0 ? -1 : call
/* The same, of a call that doesn't follow links if `itself`, `found` what it says of the file: one to a file in the depot is followed all the same. */
#define LOOK_AT(dirfd, path, itself, call, found, followed) \
    if (may_look(dirfd, path) < 0) \
        return -1; \
    int rc_ = call; \
    return rc_ == 0 && unlikely((itself) && S_ISLNK(found)) && capio_in_depot(dirfd, path, NULL) ? followed : rc_
#define PLAIN(flags) ((flags) & ~AT_SYMLINK_NOFOLLOW)
#define ITSELF(flags) ((flags) & AT_SYMLINK_NOFOLLOW)

HOOK int stat(const char *path, struct stat *out) { LOOK(AT_FDCWD, path, REAL(stat)(path, out)); }
HOOK int stat64(const char *path, struct stat64 *out) { LOOK(AT_FDCWD, path, REAL(stat64)(path, out)); }
HOOK int lstat(const char *path, struct stat *out) { LOOK_AT(AT_FDCWD, path, 1, REAL(lstat)(path, out), out->st_mode, REAL(stat)(path, out)); }
HOOK int lstat64(const char *path, struct stat64 *out) { LOOK_AT(AT_FDCWD, path, 1, REAL(lstat64)(path, out), out->st_mode, REAL(stat64)(path, out)); }
HOOK int fstatat(int dirfd, const char *path, struct stat *out, int flags)
{
    LOOK_AT(dirfd, path, ITSELF(flags), REAL(fstatat)(dirfd, path, out, flags), out->st_mode, REAL(fstatat)(dirfd, path, out, PLAIN(flags)));
}
HOOK int fstatat64(int dirfd, const char *path, struct stat64 *out, int flags)
{
    LOOK_AT(dirfd, path, ITSELF(flags), REAL(fstatat64)(dirfd, path, out, flags), out->st_mode, REAL(fstatat64)(dirfd, path, out, PLAIN(flags)));
}
HOOK int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *out)
{
    LOOK_AT(dirfd, path, ITSELF(flags), REAL(statx)(dirfd, path, flags, mask, out), out->stx_mode, REAL(statx)(dirfd, path, PLAIN(flags), mask, out));
}
HOOK int access(const char *path, int mode) { LOOK(AT_FDCWD, path, REAL(access)(path, mode)); }
HOOK int eaccess(const char *path, int mode) { LOOK(AT_FDCWD, path, REAL(eaccess)(path, mode)); }
HOOK int euidaccess(const char *path, int mode) { LOOK(AT_FDCWD, path, REAL(euidaccess)(path, mode)); }
HOOK int faccessat(int dirfd, const char *path, int mode, int flags) { LOOK(dirfd, path, REAL(faccessat)(dirfd, path, mode, flags)); }

/* Before glibc 2.33 the functions above were macros over these. */
int __xstat(int version, const char *path, struct stat *out);
int __xstat64(int version, const char *path, struct stat64 *out);
int __lxstat(int version, const char *path, struct stat *out);
int __lxstat64(int version, const char *path, struct stat64 *out);
int __fxstatat(int version, int dirfd, const char *path, struct stat *out, int flags);
int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *out, int flags);
HOOK int __xstat(int version, const char *path, struct stat *out) { LOOK(AT_FDCWD, path, REAL(__xstat)(version, path, out)); }
HOOK int __xstat64(int version, const char *path, struct stat64 *out) { LOOK(AT_FDCWD, path, REAL(__xstat64)(version, path, out)); }
HOOK int __lxstat(int version, const char *path, struct stat *out)
{
    LOOK_AT(AT_FDCWD, path, 1, REAL(__lxstat)(version, path, out), out->st_mode, REAL(__xstat)(version, path, out));
}
HOOK int __lxstat64(int version, const char *path, struct stat64 *out)
{
    LOOK_AT(AT_FDCWD, path, 1, REAL(__lxstat64)(version, path, out), out->st_mode, REAL(__xstat64)(version, path, out));
}
HOOK int __fxstatat(int version, int dirfd, const char *path, struct stat *out, int flags)
{
    LOOK_AT(dirfd, path, ITSELF(flags), REAL(__fxstatat)(version, dirfd, path, out, flags), out->st_mode, REAL(__fxstatat)(version, dirfd, path, out, PLAIN(flags)));
}
HOOK int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *out, int flags)
{
    LOOK_AT(dirfd, path, ITSELF(flags), REAL(__fxstatat64)(version, dirfd, path, out, flags), out->st_mode, REAL(__fxstatat64)(version, dirfd, path, out, PLAIN(flags)));
}
