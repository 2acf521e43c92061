/* The slots shared with the server, the descriptors that have one, and waiting for more bytes.
   A wait sleeps on the slot's counter: writers with the shim and the server change it. Writes that nobody sees (inside libc's
   stdio, by static programs) are found by looking again after naps that grow to 10 ms. */
#include "shim.h"
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define FIRST_NAP_NS 500000
#define LARGE (4 << 20)                 /* who has read so much wakes by himself in the first naps: nobody need wake him while the file grows fast */
#define BRIEF_NS 2000000
#define WAKE_GAP_NS 2000000
#define LAST_NAP_NS 10000000
#define NAPS_NS 20000000                /* after that the server is asked */

struct capio_fd capio_fds[CAPIO_FDS];
static char paths[CAPIO_FDS][PATH_MAX]; /* not malloc's, which a signal handler that opens a file may have interrupted; memory only where it is used */
static struct capio_table *table;
static struct capio_slot nobody;        /* stands for slot -1, when the server has none left: naps, then asks */

int64_t capio_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Not fstatat, which is ours, and which older C libraries don't have. */
int capio_plain_stat(int dirfd, const char *path, struct stat *out, int flags) { return syscall(SYS_newfstatat, dirfd, path, out, flags); }

/* The table lies beside the server's socket; mapped when it is needed first, NULL where it can't be. */
struct capio_table *capio_table(void)
{
    static int is_missing;
    char path[PATH_MAX];
    struct stat found;
    struct capio_table *known = __atomic_load_n(&table, __ATOMIC_ACQUIRE);

    if (likely(known != NULL) || is_missing || !capio_is_served())
        return known;
    capio_beside("table", path);
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    is_missing = fd < 0 && errno == ENOENT;             /* what else is wrong may pass */
    void *at = fd >= 0 && fstat(fd, &found) == 0 && found.st_size >= (off_t)sizeof *table
             ? REAL(mmap)(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        REAL(close)(fd);
    if (at == MAP_FAILED)
        return NULL;
    if (__atomic_compare_exchange_n(&table, &known, at, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return at;
    munmap(at, sizeof *table);          /* another thread was first */
    return known;
}

struct capio_slot *capio_slot(int slot)
{
    struct capio_table *at = slot < 0 ? NULL : capio_table();
    return slot == -1 ? &nobody : at && slot < CAPIO_SLOTS ? &at->slots[slot] : NULL;
}

static uint32_t crc(const char *text, size_t n)
{
    static const uint32_t half[16] = {0, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t value = ~0u;
    while (n--) {
        value ^= (unsigned char)*text++;
        value = half[value & 15] ^ value >> 4;
        value = half[value & 15] ^ value >> 4;
    }
    return ~value;
}

/* The slot of a path, or CAPIO_UNKNOWN. Whoever trusts what it says looks at its generation again. */
static int find(const char *full, unsigned *generation)
{
    struct capio_table *in = capio_table();
    const char *path = full + capio_dir_nbytes;
    size_t n = strlen(path);

    if (!in || capio_has_lost_server() || n < 2 || n - 1 > sizeof in->slots->path)
        return CAPIO_UNKNOWN;
    path++, n--;
    uint32_t at = __atomic_load_n(&in->heads[crc(path, n) % CAPIO_HEADS], __ATOMIC_ACQUIRE);
    for (int hops = 0; at && at <= CAPIO_SLOTS && hops < 64; hops++) {
        struct capio_slot *slot = &in->slots[at - 1];
        *generation = __atomic_load_n(&slot->generation, __ATOMIC_ACQUIRE);
        if (slot->path_nbytes == n && memcmp(slot->path, path, n) == 0)
            return at - 1;
        at = __atomic_load_n(&slot->next, __ATOMIC_ACQUIRE);
    }
    return CAPIO_UNKNOWN;
}

int capio_is_listed(const char *full)
{
    unsigned generation;
    return find(full, &generation) >= 0;
}

/* 1 when the server has said that the path is complete: nobody need ask, if what lies there is still the file that it has seen. */
int capio_is_whole(const char *full, struct capio_whole *as)
{
    unsigned generation;
    int number = find(full, &generation);
    if (number < 0)
        return 0;
    struct capio_slot *slot = capio_slot(number);
    if (!__atomic_load_n(&slot->is_whole, __ATOMIC_ACQUIRE))
        return 0;
    *as = (struct capio_whole){slot->device, slot->inode, slot->nbytes, slot->changed_ns};
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&slot->is_whole, __ATOMIC_RELAXED) && __atomic_load_n(&slot->generation, __ATOMIC_RELAXED) == generation;
}

int capio_is_same(const struct capio_whole *as, const struct stat *found)
{
    if (found->st_dev != as->device || found->st_ino != as->inode)
        return 0;
    return S_ISDIR(found->st_mode) || ((uint64_t)found->st_size == as->nbytes &&
                                       found->st_mtim.tv_sec * 1000000000LL + found->st_mtim.tv_nsec == as->changed_ns);
}

unsigned capio_state(int slot)
{
    struct capio_slot *at = capio_slot(slot);
    return at ? __atomic_load_n(&at->state, __ATOMIC_ACQUIRE) : CAPIO_OPEN;
}

int capio_watch(int fd, int kind, int slot, const char *path)
{
    if (fd < 0 || fd >= CAPIO_FDS)
        return 0;
    struct capio_slot *at = kind == FOLDER ? NULL : capio_slot(slot);
    if (kind == READING && !at)
        at = capio_slot(slot = -1);     /* without the table the server is asked */
    if (kind != FOLDER && slot != CAPIO_UNKNOWN && (!at || (kind == WRITING && slot < 0)))
        return 0;
    capio_fds[fd] = (struct capio_fd){.slot = slot, .generation = at ? at->generation : 0, .path = path ? strcpy(paths[fd], path) : NULL};
    __atomic_store_n(&capio_fds[fd].kind, (unsigned char)kind, __ATOMIC_RELEASE);
    return 1;
}

static void report(struct capio_fd *of)
{
    if (of->kind == READING && of->path && (of->nbytes || of->waited_ns))
        capio_tell(CAPIO_DONE, 0, of->nbytes, of->waited_ns, of->path, NULL);
    of->nbytes = of->waited_ns = 0;
}

/* A child of vfork shares our memory but not our descriptors: it must leave the table alone. */
static int is_other_process(void) { return getpid() != capio_pid(); }

void capio_forget(int fd)
{
    struct capio_fd *of = capio_of(fd);
    if (!of || is_other_process())
        return;
    report(of);
    of->kind = NOTHING;
    of->path = NULL;
}

void capio_copied(int from, int to)
{
    struct capio_fd *of = capio_of(from);
    if (to < 0 || from == to || is_other_process())
        return;
    capio_forget(to);
    if (of)
        capio_watch(to, of->kind, of->slot, of->path);
}

void capio_report_all(void)
{
    for (int fd = 0; fd < CAPIO_FDS; fd++)
        if (capio_fds[fd].kind == READING)
            report(&capio_fds[fd]);
}

/* A writer has written: wake those who wait, but not more often than every WAKE_GAP_NS: a wake costs a writer as much as a write of 100 KiB where the other
   core sleeps, and who isn't woken looks by itself after a short nap. A file that was made without asking has a slot once somebody reads it: whoever got that
   before we look sees what we have written, or waits on it. */
void capio_grown(int fd)
{
    unsigned generation;
    struct capio_fd *of = capio_of(fd);
    if (!of || of->kind != WRITING)
        return;
    if (of->slot == CAPIO_UNKNOWN && of->path)
        of->slot = find(of->path, &generation);
    struct capio_slot *at = capio_slot(of->slot);
    if (of->slot < 0 || !at)
        return;
    __atomic_add_fetch(&at->counter, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&at->waiters, __ATOMIC_SEQ_CST)) {
        int64_t now = capio_now_ns();
        if (now - of->woke_ns >= WAKE_GAP_NS) {
            of->woke_ns = now;
            syscall(SYS_futex, &at->counter, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        }
    }
}

/* The descriptor may be another file by now, closed and opened again by calls that the shim doesn't see; or its file is complete, and
   the slot another's. Either way there is nothing to wait for, but bytes that came before: look once more. */
int capio_still_open(int fd, struct capio_fd *of)
{
    struct stat found;
    struct capio_slot *at = capio_slot(of->slot);
    if (of->slot == -1)
        return 1;
    if (at && __atomic_load_n(&at->generation, __ATOMIC_ACQUIRE) == of->generation && fstat(fd, &found) == 0 && found.st_ino == at->inode && found.st_dev == at->device)
        return 1;
    of->kind = NOTHING;
    return 0;
}

/* One wait at the end of what is there: 0: look again, 1: there will be no more, -1 with errno: the wait has to end. First short
   naps; when nothing comes, the server is asked and answers when byte `upto` is there, or never will be. A caller that `hurries`
   has something to give back and only naps. */
int capio_wait_more(struct capio_fd *of, unsigned seen, int64_t upto, int hurries, int64_t *waited_ns)
{
    struct capio_slot *at = capio_slot(of->slot);
    struct capio_answer answer;
    int64_t begun = capio_now_ns();
    int rc = 0, kept = errno;

    if (!at)
        return errno = EIO, -1;
    if (*waited_ns < NAPS_NS || hurries) {
        int64_t nap = *waited_ns / 4;
        nap = nap < FIRST_NAP_NS ? FIRST_NAP_NS : nap > LAST_NAP_NS ? LAST_NAP_NS : nap;
        struct timespec limit = {0, nap};
        int is_waiter = of->nbytes < LARGE || *waited_ns >= BRIEF_NS;
        __atomic_add_fetch(&at->waiters, is_waiter, __ATOMIC_SEQ_CST);
        rc = syscall(SYS_futex, &at->counter, FUTEX_WAIT, seen, &limit, NULL, 0);
        __atomic_sub_fetch(&at->waiters, is_waiter, __ATOMIC_SEQ_CST);
        rc = rc < 0 && errno == EINTR && capio_wants_interruption() ? -1 : 0;
    } else if (capio_ask(CAPIO_MORE, 0, upto, of->path, of->kind == FOLDER ? "/" : NULL, &answer) < 0) {
        rc = -1;
    } else {
        rc = !(answer.what & CAPIO_STREAM);
    }
    int64_t spent = capio_now_ns() - begun;
    *waited_ns += spent;
    of->waited_ns += spent;
    if (rc >= 0)
        errno = kept;                   /* readdir tells its end from an error by it */
    return rc;
}

/* Before a call that must see the whole file (mapping it, seeking to its end). */
int capio_wait_committed(int fd)
{
    struct capio_fd *of = capio_of(fd);
    int64_t waited_ns = NAPS_NS;
    int rc = 0;

    if (!of || of->kind != READING || !capio_still_open(fd, of))
        return 0;
    while (rc == 0 && capio_state(of->slot) == CAPIO_OPEN)
        rc = capio_wait_more(of, 0, INT64_MAX, 0, &waited_ns);
    return rc < 0 ? -1 : 0;
}
