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

#define FIRST_NAP_NS 200000
#define LAST_NAP_NS 10000000
#define NAPS_NS 20000000                /* after that the server is asked */

struct capio_fd capio_fds[CAPIO_FDS];
static struct capio_slot *slots;
static struct capio_slot nobody;        /* stands for slot -1, when the server has none left: naps, then asks */

int64_t capio_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The table lies beside the server's socket; mapped when the first slot is met. */
struct capio_slot *capio_slot(int slot)
{
    if (slot < 0 || slot >= CAPIO_SLOTS)
        return slot == -1 ? &nobody : NULL;
    if (unlikely(!slots)) {
        struct capio_answer answer;
        if (capio_ask(CAPIO_CONTROL, 0, 0, "{\"do\": \"table\"}", NULL, &answer))
            return NULL;
        int fd = REAL(open)(answer.text, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return NULL;
        size_t nbytes = CAPIO_TABLE_HEAD + sizeof(struct capio_slot) * CAPIO_SLOTS;
        char *at = REAL(mmap)(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        REAL(close)(fd);
        if (at == MAP_FAILED)
            return NULL;
        slots = (struct capio_slot *)(at + CAPIO_TABLE_HEAD);
    }
    return slots + slot;
}

unsigned capio_state(int slot)
{
    struct capio_slot *at = capio_slot(slot);
    return at ? __atomic_load_n(&at->state, __ATOMIC_ACQUIRE) : CAPIO_COMMITTED;
}

int capio_watch(int fd, int kind, int slot, const char *path)
{
    if (fd < 0 || fd >= CAPIO_FDS)
        return 0;
    struct capio_slot *at = kind == FOLDER ? NULL : capio_slot(slot);
    if (kind != FOLDER && (!at || (kind == WRITING && slot < 0)))
        return 0;
    capio_fds[fd] = (struct capio_fd){.slot = slot, .generation = at ? at->generation : 0, .path = path ? strdup(path) : NULL};
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
    free(of->path);
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

/* A writer has written: wake those who wait. */
void capio_grown(int fd)
{
    struct capio_fd *of = capio_of(fd);
    if (!of || of->kind != WRITING)
        return;
    struct capio_slot *at = slots + of->slot;
    __atomic_add_fetch(&at->counter, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&at->waiters, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &at->counter, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
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
        __atomic_add_fetch(&at->waiters, 1, __ATOMIC_SEQ_CST);
        rc = syscall(SYS_futex, &at->counter, FUTEX_WAIT, seen, &limit, NULL, 0);
        __atomic_sub_fetch(&at->waiters, 1, __ATOMIC_SEQ_CST);
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
