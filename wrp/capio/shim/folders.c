/* Directories. One whose entries may be seen as they come (no_update) is read to its end, then again, until it is committed: what
   has been given out isn't given again, whatever order the file system has. Between two looks it rests for some of the time that a
   look takes: else a reader as quick as the writer looked at all entries for each new one. */
#include "shim.h"
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define OPEN_FOLDERS 64
#define RESTS 4                         /* times as long as the look took */
#define LONGEST_REST_NS 100000000
struct listing { DIR *dir; struct capio_fd of; unsigned seen, state; char **names; size_t count, room, entries; int64_t look_ns; };
static struct listing listings[OPEN_FOLDERS];
static int count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct listing *listing_of(DIR *dir)
{
    if (likely(!count))
        return NULL;
    for (int i = 0; i < OPEN_FOLDERS; i++)
        if (listings[i].dir == dir)
            return &listings[i];
    return NULL;
}

static void look(struct listing *list)
{
    struct capio_slot *at = capio_slot(list->of.slot);
    list->state = capio_state(list->of.slot);
    list->seen = at ? __atomic_load_n(&at->counter, __ATOMIC_SEQ_CST) : 0;
}

static void follow(DIR *dir, int slot, const char *path)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < OPEN_FOLDERS; i++)
        if (!listings[i].dir) {
            listings[i] = (struct listing){.dir = dir, .of = {.slot = slot, .kind = FOLDER, .path = strdup(path)}};
            look(&listings[i]);
            count++;
            break;
        }
    pthread_mutex_unlock(&lock);
}

static void unfollow(struct listing *list)
{
    pthread_mutex_lock(&lock);
    if (list->of.waited_ns)
        capio_tell(CAPIO_DONE, 0, 0, list->of.waited_ns, list->of.path, NULL);
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    free(list->of.path);
    *list = (struct listing){0};
    count--;
    pthread_mutex_unlock(&lock);
}

HOOK DIR *opendir(const char *path)
{
    char full[PATH_MAX];
    struct capio_answer answer = {0};
    struct capio_whole as;
    struct stat found;
    if (likely(!capio_below(AT_FDCWD, path, full)))
        return REAL(opendir)(path);
    int is_whole = capio_is_whole(full, &as) && capio_plain_stat(AT_FDCWD, path, &found, 0) == 0 && capio_is_same(&as, &found);
    if (!is_whole && capio_ask(CAPIO_LIST, 0, 0, full, NULL, &answer) < 0)
        return NULL;
    DIR *dir = REAL(opendir)(path);
    if (dir) {
        capio_watch(dirfd(dir), FOLDER, -1, full);
        if (answer.what & CAPIO_STREAM)
            follow(dir, answer.slot, full);
    }
    return dir;
}

HOOK DIR *fdopendir(int fd)
{
    struct capio_answer answer;
    struct capio_fd *of = capio_of(fd);
    DIR *dir = REAL(fdopendir)(fd);
    if (dir && of && of->kind == FOLDER && of->path && capio_ask(CAPIO_LIST, 0, 0, of->path, NULL, &answer) == 0 &&
        answer.what & CAPIO_STREAM)
        follow(dir, answer.slot, of->path);
    return dir;
}

HOOK int closedir(DIR *dir)
{
    struct listing *list = listing_of(dir);
    if (list)
        unfollow(list);
    capio_forget(dirfd(dir));
    return REAL(closedir)(dir);
}

HOOK void rewinddir(DIR *dir)
{
    struct listing *list = listing_of(dir);
    if (list) {
        for (size_t i = 0; i < list->count; i++)
            free(list->names[i]);
        list->count = list->entries = 0;
        look(list);
    }
    REAL(rewinddir)(dir);
}

/* 1 when the name is new: it is kept, in order. */
static int is_new(struct listing *list, const char *name)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(list->names[middle], name);
        if (!order)
            return 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        char **names = realloc(list->names, room * sizeof *names);
        if (!names)
            return 1;
        list->names = names;
        list->room = room;
    }
    memmove(list->names + low + 1, list->names + low, (list->count - low) * sizeof *list->names);
    list->names[low] = strdup(name);
    list->count++;
    list->entries += strcmp(name, ".") && strcmp(name, "..");
    return 1;
}

static void rest(struct listing *list)
{
    int64_t ns = RESTS * list->look_ns;
    if (list->state == CAPIO_OPEN && ns > 0)
        nanosleep(&(struct timespec){0, ns < LONGEST_REST_NS ? ns : LONGEST_REST_NS}, NULL);
    list->look_ns = 0;
}

/* An entry that is a link to a file in the depot is shown as that file. */
#define SHOWN(entry) ({ \
    __typeof__(entry) shown_ = entry; \
    struct stat as_; \
    if (unlikely(capio_enabled && shown_ && shown_->d_type == DT_LNK) && capio_in_depot(dirfd(dir), shown_->d_name, NULL) && \
        capio_plain_stat(dirfd(dir), shown_->d_name, &as_, 0) == 0) { \
        shown_->d_type = DT_REG; \
        shown_->d_ino = as_.st_ino; \
    } \
    shown_; })

/* The next entry that hasn't been given out; waits at the end of an uncommitted directory. */
#define NEXT(type, call) \
    struct listing *list = listing_of(dir); \
    if (likely(!list)) \
        return SHOWN(REAL(call)(dir)); \
    int kept = errno; \
    for (int64_t waited_ns = 0;;) { \
        type *entry; \
        int64_t begun = capio_now_ns(); \
        while ((entry = REAL(call)(dir)) && !is_new(list, entry->d_name)) \
            ; \
        list->look_ns += capio_now_ns() - begun; \
        if (entry) \
            return SHOWN(entry); \
        if (list->state != CAPIO_OPEN) { \
            errno = kept; \
            return NULL; \
        } \
        unsigned seen = list->seen; \
        int rc = capio_wait_more(&list->of, seen, list->entries + 1, 0, &waited_ns); \
        if (rc < 0) \
            return NULL; \
        list->state |= rc; \
        rest(list); \
        look(list); \
        list->state |= rc; \
        REAL(rewinddir)(dir); \
    }

HOOK struct dirent *readdir(DIR *dir) { NEXT(struct dirent, readdir) }
HOOK struct dirent64 *readdir64(DIR *dir) { NEXT(struct dirent64, readdir64) }

static int made(int dirfd, const char *path, int rc)
{
    char full[PATH_MAX];
    struct capio_answer answer;
    if (rc == 0 && unlikely(capio_below(dirfd, path, full)))
        capio_ask(CAPIO_MKDIR, 0, 0, full, NULL, &answer);
    return rc;
}

HOOK int mkdir(const char *path, mode_t mode) { return made(AT_FDCWD, path, REAL(mkdir)(path, mode)); }
HOOK int mkdirat(int dirfd, const char *path, mode_t mode) { return made(dirfd, path, REAL(mkdirat)(dirfd, path, mode)); }

/* The server hears of a new name before it is there: what must vanish at the end is written down first. */
static int renaming(int from_fd, const char *from, int to_fd, const char *to)
{
    char a[PATH_MAX], b[PATH_MAX];
    struct capio_answer answer;
    int in_a = capio_below(from_fd, from, a), in_b = capio_below(to_fd, to, b);
    if (likely(!in_a && !in_b))
        return 0;
    return capio_ask(CAPIO_RENAME, 0, 0, in_a ? a : "", in_b ? b : "", &answer);
}

HOOK int rename(const char *from, const char *to) { return renaming(AT_FDCWD, from, AT_FDCWD, to) ? -1 : REAL(rename)(from, to); }
HOOK int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return renaming(from_fd, from, to_fd, to) ? -1 : REAL(renameat)(from_fd, from, to_fd, to);
}
HOOK int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return renaming(from_fd, from, to_fd, to) ? -1 : REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

/* In the child of a fork: another thread may have had the lock. */
void capio_folders_forked(void) { lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }
