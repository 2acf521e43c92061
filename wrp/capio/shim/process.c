/* A program's beginning, its forks and its end; and the environment that its children need. */
#include "shim.h"
#include <dirent.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>

extern char **environ;
void capio_stdin(void);

/* Descriptors below CAPIO_DIR that the program before exec, or a shell, opened for reading. */
static void adopt(void)
{
    char path[PATH_MAX], full[PATH_MAX], link[40];
    struct capio_answer answer;
    DIR *dir = REAL(opendir)("/proc/self/fd");
    struct dirent *entry;

    while (dir && (entry = REAL(readdir)(dir))) {
        int fd = atoi(entry->d_name), flags;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = entry->d_name[0] == '.' ? -1 : REAL(readlink)(link, path, sizeof path - 1);
        if (n <= 0 || path[0] != '/')
            continue;
        path[n] = 0;
        if ((!capio_below(AT_FDCWD, path, full) && !capio_of_depot(path, full)) || (flags = REAL(fcntl)(fd, F_GETFL)) < 0)
            continue;
        if ((flags & O_ACCMODE) == O_RDONLY && capio_ask(CAPIO_READ, flags, 1, full, NULL, &answer) == 0 && answer.what & CAPIO_STREAM)
            capio_watch(fd, READING, answer.slot, full);
        else if ((flags & O_ACCMODE) != O_RDONLY && capio_ask(CAPIO_WRITE, flags, 1, full, NULL, &answer) == 0 && answer.what & CAPIO_STREAM)
            capio_watch(fd, WRITING, answer.slot, full);
    }
    if (dir)
        REAL(closedir)(dir);
}

/* In the child of a fork. */
static void forked(void)
{
    capio_posts_forked();
    capio_stdio_forked();
    capio_folders_forked();
    capio_forked();
}

__attribute__((constructor)) static void begin(void)
{
    int kept = errno;
    capio_paths_begin();
    if (capio_enabled) {
        const char *app = getenv("CAPIO_APP_NAME");
        pthread_atfork(NULL, NULL, forked);
        if (app && app[0])
            capio_hello();
        adopt();
        capio_stdin();
    } else if (!getenv("CAPIO_DIR") && getenv("CAPIO_APP_NAME")) {
        capio_say(NULL, "CAPIO_DIR isn't set, so nothing is streamed: set it to the directory of the workflow's files");
    } else if (getenv("CAPIO_DIR")) {
        capio_say(NULL, "CAPIO_DIR isn't a directory that can be reached (or it is /), so nothing is streamed");
    }
    errno = kept;
}

__attribute__((destructor)) static void end(void)
{
    if (capio_enabled && getpid() == capio_pid()) {
        capio_report_all();
        capio_tell(CAPIO_BYE, 0, 0, 0, NULL, NULL);
    }
}

HOOK void _exit(int code)
{
    end();
    REAL(_exit)(code);
    __builtin_unreachable();
}
HOOK void _Exit(int code) { _exit(code); }

/* An environment of the program's own choice still gets what the shim needs; the caller frees it. */
static const char *const KEPT[] = {"LD_PRELOAD", "CAPIO_DIR", "CAPIO_WORKFLOW_NAME", "CAPIO_APP_NAME", "CAPIO_SOCKET", "CAPIO_PAUSE_MS", "WRP_SHM_DIR"};
#define KEPT_COUNT (sizeof KEPT / sizeof *KEPT)

static char **with_ours(char *const env[])
{
    size_t n = 0;
    while (env && env[n])
        n++;
    if (!capio_enabled || !env || env == environ)
        return NULL;
    char **out = malloc((n + KEPT_COUNT + 1) * sizeof *out);
    if (!out)
        return NULL;
    memcpy(out, env, n * sizeof *out);
    for (size_t k = 0; k < KEPT_COUNT; k++) {
        size_t length = strlen(KEPT[k]), i = 0;
        const char *value = getenv(KEPT[k]);
        while (i < n && !(strncmp(out[i], KEPT[k], length) == 0 && out[i][length] == '='))
            i++;
        if (value && i >= n) {
            out[n] = malloc(length + strlen(value) + 2);
            if (out[n])
                sprintf(out[n++], "%s=%s", KEPT[k], value);
        }
    }
    out[n] = NULL;
    return out;
}

#define ENV(env) char **ours_ = with_ours(env); char *const *use_ = ours_ ? ours_ : env
/* What with_ours made isn't freed: after exec there is nobody, and a child of vfork mustn't touch its parent's heap twice. */
HOOK int execve(const char *path, char *const arguments[], char *const env[]) { ENV(env); return REAL(execve)(path, arguments, use_); }
HOOK int execvpe(const char *path, char *const arguments[], char *const env[]) { ENV(env); return REAL(execvpe)(path, arguments, use_); }
HOOK int fexecve(int fd, char *const arguments[], char *const env[]) { ENV(env); return REAL(fexecve)(fd, arguments, use_); }
HOOK int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                     char *const arguments[], char *const env[])
{
    ENV(env);
    return REAL(posix_spawn)(pid, path, actions, how, arguments, use_);
}
HOOK int posix_spawnp(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                      char *const arguments[], char *const env[])
{
    ENV(env);
    return REAL(posix_spawnp)(pid, path, actions, how, arguments, use_);
}
