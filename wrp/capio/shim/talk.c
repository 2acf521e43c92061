/* Requests to the server, each over a connection of its own while it waits: a thread in a long open doesn't hold up the others.
   Idle connections are kept, at high descriptor numbers; a program that closes them all doesn't harm us. */
#include "shim.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#define POOL 64
static struct { int fd; ino_t inode; } pool[POOL];
static int pooled;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int pid;
static int is_lost;                     /* the server that this process has met is gone: what it shared means nothing to the next one */

int capio_pid(void) { return pid; }
int capio_has_lost_server(void) { return is_lost; }

static const char *env(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

void capio_say(const char *path, const char *text)
{
    char line[2 * PATH_MAX];
    int kept = errno, n = path && path[0] ? snprintf(line, sizeof line, "capio: %s: %s\n", path, text)
                                          : snprintf(line, sizeof line, "capio: %s\n", text);
    if (n > 0 && REAL(write)(2, line, n < (int)sizeof line ? n : (int)sizeof line) < 0)
        kept = kept;                    /* nobody listens */
    errno = kept;
}

static uint64_t fnv(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

static void address(struct sockaddr_un *out)
{
    const char *given = getenv("CAPIO_SOCKET"), *folder = getenv("WRP_SHM_DIR");
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if (given && given[0])
        snprintf(out->sun_path, sizeof out->sun_path, "%s", given);
    else if (folder && folder[0])
        snprintf(out->sun_path, sizeof out->sun_path, "%s/capio-%016llx/socket", folder,
                 (unsigned long long)fnv(env("CAPIO_WORKFLOW_NAME", "CAPIO")));
    else
        snprintf(out->sun_path, sizeof out->sun_path, "/dev/shm/wrp-%d/capio-%016llx/socket", (int)getuid(),
                 (unsigned long long)fnv(env("CAPIO_WORKFLOW_NAME", "CAPIO")));
}

void capio_beside(const char *name, char out[PATH_MAX])
{
    struct sockaddr_un at;
    address(&at);
    char *end = strrchr(at.sun_path, '/');
    snprintf(out, PATH_MAX, "%.*s/%s", end ? (int)(end - at.sun_path) : 0, at.sun_path, name);
}

static int high(int fd)
{
    struct rlimit limit = {1024, 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    int from = limit.rlim_cur > 4 * CAPIO_FDS ? 2 * CAPIO_FDS : (int)limit.rlim_cur * 3 / 4;
    int moved = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, from);
    if (moved < 0)
        return fd;
    REAL(close)(fd);
    return moved;
}

/* Signals wait while the connections are in somebody's hands: a handler may open files too, and fork, and its child go on in what was interrupted. */
static void hold(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

static void let_go(const sigset_t *before) { pthread_sigmask(SIG_SETMASK, before, NULL); }

/* A connection that has said who we are, or -1. Waits a little for a server that is just starting, and lets in the signals of `mask` then. */
/* Only a process that has never met a server waits for one: one that has gone doesn't come back. */
static int fresh(const sigset_t *mask)
{
    static int knows;
    struct sockaddr_un to;
    char record[sizeof(struct capio_request) + 2 * NAME_MAX];
    const char *app = env("CAPIO_APP_NAME", "default_app"), *flow = env("CAPIO_WORKFLOW_NAME", "CAPIO");
    int64_t naps = mask && !knows ? (int64_t)(atof(env("CAPIO_SERVER_WAIT_S", "10")) * 100) : 0;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), own = getpid();

    if (fd < 0)
        return -1;
    address(&to);
    while (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        if (naps-- <= 0 || (errno != ENOENT && errno != ECONNREFUSED && errno != EINTR && errno != EAGAIN)) {
            REAL(close)(fd);
            knows |= mask != NULL;
            return -1;
        }
        let_go(mask);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        hold(&(sigset_t){0});
        if (getpid() != own) {          /* a child that a signal handler has forked: the socket is its parent's too */
            REAL(close)(fd);
            return fresh(mask);
        }
    }
    knows = 1;
    fd = high(fd);
    struct capio_request hello = {.magic = CAPIO_MAGIC, .op = CAPIO_HELLO, .version = CAPIO_VERSION, .pid = getpid(),
                                  .path_nbytes = strnlen(app, NAME_MAX), .path2_nbytes = strnlen(flow, NAME_MAX)};
    memcpy(record, &hello, sizeof hello);
    memcpy(record + sizeof hello, app, hello.path_nbytes);
    memcpy(record + sizeof hello + hello.path_nbytes, flow, hello.path2_nbytes);
    if (send(fd, record, sizeof hello + hello.path_nbytes + hello.path2_nbytes, MSG_NOSIGNAL) < 0) {
        REAL(close)(fd);
        return -1;
    }
    return fd;
}

static int take(ino_t *inode, const sigset_t *mask)
{
    struct stat found;
    pthread_mutex_lock(&lock);
    while (pooled) {
        int fd = pool[--pooled].fd;
        ino_t wanted = pool[pooled].inode;
        if (fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode) && found.st_ino == wanted) {
            pthread_mutex_unlock(&lock);
            *inode = wanted;
            return fd;
        }
    }
    pthread_mutex_unlock(&lock);
    int fd = fresh(mask);
    if (fd >= 0)
        *inode = fstat(fd, &found) == 0 ? found.st_ino : 0;
    return fd;
}

static void give(int fd, ino_t inode)
{
    pthread_mutex_lock(&lock);
    if (pooled < POOL) {
        pool[pooled].inode = inode;
        pool[pooled++].fd = fd;
        fd = -1;
    }
    pthread_mutex_unlock(&lock);
    if (fd >= 0)
        REAL(close)(fd);
}

static ssize_t post(int fd, int op, int flags, int64_t a, int64_t b, const char *path, const char *path2)
{
    if (op == CAPIO_WRITE || op == CAPIO_OPENED)
        b = syscall(SYS_gettid);
    struct capio_request head = {.magic = CAPIO_MAGIC, .op = op, .version = CAPIO_VERSION, .pid = getpid(), .flags = flags, .a = a, .b = b,
                                 .path_nbytes = path ? strlen(path) : 0, .path2_nbytes = path2 ? strlen(path2) : 0};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path_nbytes}, {(void *)path2, head.path2_nbytes}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static int no_server(const char *path)
{
    char text[256];
    snprintf(text, sizeof text, "no CAPIO server serves the workflow '%.100s' (CAPIO_WORKFLOW_NAME) on this node: start capio_server, "
             "or unset LD_PRELOAD", env("CAPIO_WORKFLOW_NAME", "CAPIO"));
    capio_say(path, text);
    errno = EIO;
    return -1;
}

/* True when a signal handler asks calls to end early (no SA_RESTART), as Python's do. */
int capio_wants_interruption(void)
{
    struct sigaction action;
    for (int number = 1; number < 32; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN &&
            !(action.sa_flags & SA_RESTART))
            return 1;
    return 0;
}

/* Look for an answer that is about to come, as long as it takes to wake the server and have it answer: who sleeps meanwhile, on a core that sleeps too, is
   woken later. After a look in vain, as where both share a core, the next questions do without. */
#define AWAKE_NS 80000
#define SLEEPS 15
static ssize_t receive_soon(int fd, struct msghdr *message)
{
    static int sleeps;
    int left = __atomic_load_n(&sleeps, __ATOMIC_RELAXED);
    if (left > 0) {
        __atomic_store_n(&sleeps, left - 1, __ATOMIC_RELAXED);
        return errno = EAGAIN, -1;
    }
    for (int64_t until = capio_now_ns() + AWAKE_NS; capio_now_ns() < until;) {
        ssize_t n = recvmsg(fd, message, MSG_DONTWAIT);
        if (n >= 0 || errno != EAGAIN)
            return n;
    }
    __atomic_store_n(&sleeps, SLEEPS, __ATOMIC_RELAXED);
    return errno = EAGAIN, -1;
}

/* Receive; signals are blocked since before the question was sent and let in here only, so that none comes unseen in between. ECHILD: this is a child that
   a handler has forked, and the answer its parent's. */
static ssize_t receive(int fd, struct msghdr *message, const sigset_t *mask)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    ssize_t n = receive_soon(fd, message);
    if (n >= 0 || errno != EAGAIN)
        return n;
    int own = getpid();
    while (ppoll(&look, 1, NULL, mask) < 0)
        if (errno == EINTR && getpid() != own)
            return errno = ECHILD, -1;
        else if (errno != EINTR || capio_wants_interruption())
            return -1;
    return recvmsg(fd, message, 0);
}

/* A connection that this question has gone into, or -1. */
static int posted(ino_t *inode, int op, int flags, int64_t a, const char *path, const char *path2, const sigset_t *mask)
{
    for (int tries = 0; tries <= POOL + 1; tries++) {
        int fd = take(inode, mask);
        if (fd < 0)
            return -1;
        if (post(fd, op, flags, a, 0, path, path2) >= 0)
            return fd;
        REAL(close)(fd);                /* of a server that has ended, perhaps: try a fresh one */
        is_lost = 1;
    }
    return -1;
}

/* Ask and wait for the answer: 0; or -1 with errno, where the server's sentence has been printed. */
int capio_ask(int op, int flags, int64_t a, const char *path, const char *path2, struct capio_answer *answer)
{
    ino_t inode;
    struct capio_reply head;
    sigset_t mask;
    int fd, why, kept = errno;
    ssize_t n;

    answer->error = answer->what = 0;
    answer->slot = -1;
    answer->text[0] = 0;
    struct iovec parts[2] = {{&head, sizeof head}, {answer->text, sizeof answer->text - 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    hold(&mask);
    do {
        if ((fd = posted(&inode, op, flags, a, path, path2, &mask)) < 0) {
            let_go(&mask);
            return no_server(path);
        }
        n = receive(fd, &message, &mask);
        why = errno;
        if (n < 0)
            REAL(close)(fd);
    } while (n < 0 && why == ECHILD);
    int is_answer = n >= (ssize_t)sizeof head && head.magic == CAPIO_MAGIC;
    if (is_answer)
        give(fd, inode);
    else if (n >= 0)
        REAL(close)(fd);
    let_go(&mask);
    if (!is_answer) {
        if (n < 0 && why == EINTR)
            return errno = EINTR, -1;
        is_lost = 1;
        capio_say(path, "the CAPIO server has ended while this program waited for its answer");
        return errno = EIO, -1;
    }
    answer->text[n - sizeof head] = 0;
    answer->error = head.error;
    answer->what = head.what;
    answer->slot = is_lost ? -1 : head.slot;    /* a number in the table of the next server, which this process doesn't have */
    if (answer->text[0] && !(head.what & CAPIO_REDIRECT) && op != CAPIO_CONTROL && op != CAPIO_TABLE)
        capio_say(NULL, answer->text);
    errno = head.error ? head.error : kept;
    return head.error ? -1 : 0;
}

/* 1 where a connection lies idle whose other end is there. None is taken, so that signals needn't wait: one that somebody takes or gives at this moment isn't it. */
static int is_one_alive(void)
{
    struct stat found;
    int n = __atomic_load_n(&pooled, __ATOMIC_RELAXED);
    if (n < 1 || n > POOL)
        return 0;
    int fd = pool[n - 1].fd;
    ino_t inode = pool[n - 1].inode;
    return fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode) && found.st_ino == inode && poll(&(struct pollfd){.fd = fd}, 1, 0) == 0;
}

/* 1 while the server is there that this process has met: it hasn't hung up. */
int capio_is_served(void)
{
    ino_t inode;
    sigset_t mask;
    int kept = errno;
    if (!is_lost && is_one_alive())
        return errno = kept, 1;
    hold(&mask);
    int fd = is_lost ? -1 : take(&inode, NULL);
    struct pollfd look = {.fd = fd, .events = 0};
    int is_served = fd >= 0 && poll(&look, 1, 0) == 0;
    if (is_served)
        give(fd, inode);
    else if (fd >= 0)
        REAL(close)(fd), is_lost = 1;
    let_go(&mask);
    errno = kept;
    return is_served;
}

void capio_tell(int op, int flags, int64_t a, int64_t b, const char *path, const char *path2)
{
    ino_t inode;
    sigset_t mask;
    int kept = errno;
    hold(&mask);
    int fd = take(&inode, NULL);
    if (fd >= 0) {
        if (post(fd, op, flags, a, b, path, path2) >= 0)
            give(fd, inode);
        else
            REAL(close)(fd);
    }
    let_go(&mask);
    errno = kept;
}

/* Let the server know this process before it does anything: a step lasts as long as its processes. */
void capio_hello(void)
{
    struct stat found;
    int kept = errno;
    pid = getpid();
    int fd = fresh(NULL);
    if (fd >= 0)
        give(fd, fstat(fd, &found) == 0 ? found.st_ino : 0);
    errno = kept;
}

/* In the child of a fork: the parent's connections are the parent's. */
void capio_forked(void)
{
    struct stat found;
    sigset_t mask;
    int old[POOL], n = 0;

    hold(&mask);
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    while (pooled) {
        int fd = pool[--pooled].fd;
        if (fstat(fd, &found) == 0 && found.st_ino == pool[pooled].inode) {
            is_lost |= poll(&(struct pollfd){.fd = fd}, 1, 0) > 0;      /* the parent hasn't noticed yet that its server is gone */
            old[n++] = fd;
        }
    }
    capio_hello();
    while (n)
        REAL(close)(old[--n]);
    let_go(&mask);
}
