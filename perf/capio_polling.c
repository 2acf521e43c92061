/* How CAPIO 2 lets a program read a directory while it fills (its branch capio-v2: posix_readdir.hpp, fs_monitor.cpp), in our words and without its
   requests to a server, for perf/capio.py: "watch FOLDER COUNT" counts the entries again and again, 300 ns apart, and makes FOLDER.commit when there are
   COUNT; "read FOLDER COUNT NBYTES" goes through a list of names; at its end it reads the whole directory anew, looks for each name in the list from
   its beginning, and sleeps 100 ms when nothing is new, until FOLDER.commit is there. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char **names;
static long known, room;

static void rest(long ns) { nanosleep(&(struct timespec){0, ns}, NULL); }

static int is_done(const char *folder)
{
    char token[4096];
    snprintf(token, sizeof token, "%s.commit", folder);
    return access(token, F_OK) == 0;
}

static void keep(const char *name)
{
    for (long i = 0; i < known; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (known == room && !(names = realloc(names, (room = room ? 2 * room : 1024) * sizeof *names)))
        exit(1);
    names[known++] = strdup(name);
}

/* How many entries there are; `use` gets each name. */
static long entries(const char *folder, void (*use)(const char *))
{
    long count = 0;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
            if (use)
                use(entry->d_name);
            count++;
        }
    if (dir)
        closedir(dir);
    return count;
}

static int watch(const char *folder, long wanted)
{
    char token[4096];
    while (entries(folder, NULL) < wanted)
        rest(300);
    snprintf(token, sizeof token, "%s.commit", folder);
    return close(open(token, O_CREAT | O_WRONLY, 0600));
}

static int drain(const char *folder, long count, long nbytes)
{
    char path[4096], *data = malloc(nbytes + 1);
    long at = 0, got = 0;
    while (access(folder, F_OK))
        rest(300);
    for (;;) {
        if (at >= known) {
            long loaded = entries(folder, keep);
            if (loaded <= at && is_done(folder))
                break;
            if (loaded <= at)
                rest(100 * 1000000L);
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", folder, names[at++]);
        int fd = open(path, O_RDONLY);
        for (long n = 1; n > 0 && fd >= 0;)
            got += n = read(fd, data, nbytes + 1);
        close(fd);
    }
    if (at != count)
        fprintf(stderr, "%ld files of %ld\n", at, count);
    return at != count;         /* of a file that was still written it may have read less: nobody stops it */
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "watch") == 0)
        return watch(argv[2], atol(argv[3]));
    return argc == 5 && strcmp(argv[1], "read") == 0 ? drain(argv[2], atol(argv[3]), atol(argv[4])) : 2;
}
