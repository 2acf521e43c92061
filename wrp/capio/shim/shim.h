/* What the files of the shim share. The shim is loaded into every program of a step (LD_PRELOAD): it must never print, allocate
   or connect on the way of a call that doesn't concern a path below CAPIO_DIR. */
#ifndef CAPIO_SHIM_H
#define CAPIO_SHIM_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _LARGEFILE64_SOURCE
#define _LARGEFILE64_SOURCE
#endif
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include "wire.h"

#define HOOK __attribute__((visibility("default")))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* The next definition of a function, looked up once: REAL(close)(fd) */
#define REAL(name) ({ static __typeof__(&name) next_; \
                      next_ = likely(next_ != NULL) ? next_ : (__typeof__(&name))dlsym(RTLD_NEXT, #name); next_; })

/* paths.c */
extern int capio_enabled;                       /* CAPIO_DIR is set */
void capio_paths_begin(void);
int capio_opens(int dirfd, const char *path, char out[PATH_MAX]);
void capio_paths_moved(void);                   /* the working directory has changed */
int capio_below_slow(int dirfd, const char *path, char out[PATH_MAX]);
extern char capio_dir[PATH_MAX], capio_given[PATH_MAX];         /* CAPIO_DIR resolved, and as it was given */
extern size_t capio_dir_nbytes, capio_given_nbytes;
extern int capio_cwd_near;                      /* the working directory is below CAPIO_DIR, or above it */
int capio_normal(const char *base, const char *path, char out[PATH_MAX]);

/* 1 when path lies below CAPIO_DIR: its absolute form goes to out. The first test decides nearly every call of a program. */
static inline int capio_below(int dirfd, const char *path, char out[PATH_MAX])
{
    if (likely(!capio_enabled) || !path || !path[0])
        return 0;
    if (path[0] == '/' && likely(strncmp(path, capio_dir, capio_dir_nbytes) && strncmp(path, capio_given, capio_given_nbytes)) &&
        likely(!strstr(path, "/.") && !strstr(path, "//")))
        return 0;
    return capio_below_slow(dirfd, path, out);
}

/* talk.c */
struct capio_answer { int error; unsigned what; int slot; char text[CAPIO_TEXT]; };
int capio_ask(int op, int flags, int64_t a, const char *path, const char *path2, struct capio_answer *answer);
void capio_tell(int op, int flags, int64_t a, int64_t b, const char *path, const char *path2);
void capio_hello(void);
void capio_say(const char *path, const char *text);
void capio_forked(void);
int capio_wants_interruption(void);
int capio_pid(void);
int capio_is_served(void);
int capio_has_lost_server(void);
void capio_beside(const char *name, char out[PATH_MAX]);       /* the path of a file beside the server's socket */

/* table.c: what the shim knows of descriptors and of files being written */
enum kind { NOTHING = 0, READING, WRITING, FOLDER };
struct capio_fd { int slot; unsigned char kind; unsigned generation; char *path; int64_t nbytes, waited_ns, woke_ns; };
#define CAPIO_FDS 4096
extern struct capio_fd capio_fds[CAPIO_FDS];
static inline struct capio_fd *capio_of(int fd) { return (unsigned)fd < CAPIO_FDS && unlikely(capio_fds[fd].kind) ? &capio_fds[fd] : NULL; }
int capio_watch(int fd, int kind, int slot, const char *path);
void capio_forget(int fd);
void capio_copied(int from, int to);
#define CAPIO_UNKNOWN -2                        /* instead of a slot: the path's, once it has one */
struct capio_whole { uint64_t device, inode, nbytes; int64_t changed_ns; };
struct stat;
int capio_plain_stat(int dirfd, const char *path, struct stat *out, int flags);
struct capio_table *capio_table(void);
struct capio_slot *capio_slot(int slot);
int capio_is_listed(const char *full);
int capio_is_whole(const char *full, struct capio_whole *as);
int capio_is_same(const struct capio_whole *as, const struct stat *found);
unsigned capio_state(int slot);
void capio_grown(int fd);
int64_t capio_now_ns(void);
int capio_still_open(int fd, struct capio_fd *of);
int capio_wait_more(struct capio_fd *of, unsigned seen, int64_t upto, int hurries, int64_t *waited_ns);
int capio_wait_committed(int fd);
void capio_report_all(void);

/* posts.c: saying what needs no answer */
int capio_may_post(const char *full);
int64_t capio_post(const char *full);
void capio_posted(int64_t turn, int is_made);
void capio_folder_is_watched(const char *full);
void capio_posts_forked(void);

/* stdio.c, folders.c: in the child of a fork */
void capio_stdio_forked(void);
void capio_folders_forked(void);

/* depot.c */
int capio_in_depot(int dirfd, const char *path, char *there);
int capio_of_depot(const char *path, char full[PATH_MAX]);
int capio_make_in_depot(int dirfd, const char *path, const char *there, int flags, mode_t mode);

/* files.c */
int capio_open(int dirfd, const char *path, int flags, mode_t mode);
#endif
