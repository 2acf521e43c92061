/* New files that are announced without asking: a process that makes several in a folder has a ring in the table, where it writes each
   down before it makes it. The kernel tells the server of the file itself, and the server looks into the rings before it listens to that. */
#include "shim.h"
#include <pthread.h>
#include <sys/mman.h>

#define FOLDERS 8
static char folders[FOLDERS][PATH_MAX]; /* where the server has said that the kernel tells it of new files */
static unsigned last;
static struct capio_ring *ring;
static char is_private[CAPIO_RINGS];    /* those of ancestors, which lie in memory of our own: the server may give them to us when they have ended */
static int has_asked;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t folder_nbytes(const char *full) { return strrchr(full, '/') - full; }

static int is_watched(const char *full)
{
    size_t n = folder_nbytes(full);
    for (int i = 0; i < FOLDERS; i++)
        if (strncmp(folders[i], full, n) == 0 && folders[i][n] == 0)
            return 1;
    return 0;
}

/* The folder of this path is one of those. */
void capio_folder_is_watched(const char *full)
{
    if (pthread_mutex_trylock(&lock))
        return;                         /* a signal handler's call, perhaps, inside of ours */
    if (!is_watched(full)) {
        char *at = folders[last++ % FOLDERS];
        memcpy(at, full, folder_nbytes(full));
        at[folder_nbytes(full)] = 0;
    }
    pthread_mutex_unlock(&lock);
}

static struct capio_ring *own(void)
{
    struct capio_answer answer;
    if (!has_asked) {
        has_asked = 1;
        if (capio_table() && capio_ask(CAPIO_TABLE, 0, 0, NULL, NULL, &answer) == 0 && answer.slot >= 0 && answer.slot < CAPIO_RINGS &&
            !is_private[answer.slot])
            ring = &capio_table()->rings[answer.slot];
        if (ring && ((uintptr_t)ring % sysconf(_SC_PAGESIZE) || sizeof *ring % sysconf(_SC_PAGESIZE)))
            ring = NULL;                /* it couldn't be taken from a child */
    }
    return ring;
}

/* 1 when a new file of this path may be posted. A path that the table knows has a past, which the server has to sort out first. */
int capio_may_post(const char *full)
{
    if (getpid() != capio_pid() || strlen(full) - capio_dir_nbytes - 1 > sizeof ring->posts->path || pthread_mutex_trylock(&lock))
        return 0;
    int may = is_watched(full) && own();
    pthread_mutex_unlock(&lock);
    return may && !capio_is_listed(full) && capio_is_served();
}

/* Which of the ring's posts it is, -1 when there is no room. A child that a signal handler forks meanwhile goes on in memory of its own. */
int64_t capio_post(const char *full)
{
    int64_t turn = -1;
    struct capio_ring *in = ring;
    if (!in || pthread_mutex_trylock(&lock))
        return -1;
    uint64_t head = in->head;
    if (head - __atomic_load_n(&in->tail, __ATOMIC_ACQUIRE) < CAPIO_POSTS) {
        struct capio_post *post = &in->posts[head % CAPIO_POSTS];
        post->outcome = (uint32_t)head << 2 | CAPIO_UNTOLD;
        post->path_nbytes = strlen(full) - capio_dir_nbytes - 1;
        memcpy(post->path, full + capio_dir_nbytes + 1, post->path_nbytes);
        __atomic_store_n(&in->head, head + 1, __ATOMIC_SEQ_CST);
        turn = (int64_t)head;
    }
    pthread_mutex_unlock(&lock);
    return turn;
}

/* What came of it, said before anything else is done: the server counts no close of who hasn't made the file. Not under the lock: its room may
   be another post's by now. A child that a signal handler has forked since then has no ring: it is its parent's to say. */
void capio_posted(int64_t turn, int is_made)
{
    struct capio_ring *in = ring;
    if (!in)
        return;
    uint32_t unknown = (uint32_t)turn << 2 | CAPIO_UNTOLD;
    __atomic_compare_exchange_n(&in->posts[turn % CAPIO_POSTS].outcome, &unknown, unknown | (is_made ? CAPIO_MADE : CAPIO_NOTHING), 0,
                                __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* In the child of a fork: the ring is the parent's. What a signal handler's fork has interrupted writes to nobody's memory from now on. */
void capio_posts_forked(void)
{
    if (ring) {
        REAL(mmap)(ring, sizeof *ring, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        is_private[ring - capio_table()->rings] = 1;
    }
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    ring = NULL;
    has_asked = 0;
}
