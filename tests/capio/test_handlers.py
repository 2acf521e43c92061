"""Signal handlers that come at any moment of a call with the shim: they open files themselves, fork, and their children go on in what was interrupted."""

import subprocess

import pytest

from capio.served import document, needs_compiler
from wrp.capio import shim

pytestmark = needs_compiler
_PROGRAM = r"""#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
static unsigned seed = 7;
static int is_child, comes;
static const char *kind;
static void arm(void)
{
    seed = seed * 1103515245 + 12345;
    struct itimerval soon = {{0, 0}, {0, 20 + (seed >> 16) % 400}};
    setitimer(ITIMER_REAL, &soon, NULL);
}
static void handler(int number)
{
    comes += number > 0;
    pid_t pid = strcmp(kind, "opens") ? fork() : -1;
    if (pid < 0) close(open("handler", O_CREAT | O_WRONLY | O_TRUNC, 0644));
    if (pid == 0 && !strcmp(kind, "forks")) { close(open("child", O_CREAT | O_WRONLY, 0644)); _exit(0); }
    if (pid == 0) { is_child = 1; return; }
    if (pid > 0) waitpid(pid, NULL, 0);
    arm();
}
int main(int count, char **given)
{
    char name[64];
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
    kind = given[1];
    sigaction(SIGALRM, &act, NULL);
    arm();
    for (int n = 0; n < 500 || comes < 50; n++) {
        snprintf(name, sizeof name, "f%d", n % 200);
        int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        if (is_child) _exit(0);
        if (fd < 0) return perror(name), count;
        close(fd);
        if (n % 3 == 0) unlink(name);
    }
    return 0;
}
"""


@pytest.mark.parametrize("kind", ["opens", "forks", "goes on"])
def test_calls_that_a_handler_interrupts_at_any_moment_end(make_flow, kind):
    flow = make_flow(document(**{"f*": "on_close no_update"}))
    (flow.folder / "handlers.c").write_text(_PROGRAM)
    subprocess.run([shim.compiler(), "-O1", "-o", flow.folder / "handlers", flow.folder / "handlers.c"], check=True)
    assert flow.run("writer", f"cd $CAPIO_DIR && exec ../handlers '{kind}'") == (0, b"", "")
