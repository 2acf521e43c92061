"""Starts a program whose calls are held: a Supervisor in this process, the program in a child. The parent must have no other threads yet."""

import array
import os
import socket

from wrp.capio.seccomp import kernel
from wrp.capio.seccomp.supervisor import Supervisor
from wrp.errors import StoreError


class Held:
    """A program that runs under a supervisor, as much of a Popen as its launcher needs."""

    def __init__(self, command, env, cwd, workflow, step, folder, may_stream=True):
        """may_stream : False: no file that grows is ever read by the program"""
        ours, theirs = socket.socketpair()
        self.pid, self.returncode = os.fork(), None
        if not self.pid:
            ours.close()
            _become(command, env, cwd, theirs, may_stream)
        theirs.close()
        with ours:
            self._supervisor = Supervisor(_listener(ours, self.pid), workflow, step, folder)
            ours.send(b"g")
            problem = ours.recv(4096)
        if problem:
            os.waitpid(self.pid, 0)
            self._supervisor.close()
            raise OSError(int(problem.split(b" ", 1)[0]), problem.split(b" ", 1)[1].decode())

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def close(self):
        self._supervisor.close()


def _listener(ours, pid):
    data, ancillary, _, _ = ours.recvmsg(256, socket.CMSG_SPACE(4))
    if not ancillary:
        os.waitpid(pid, 0)
        raise StoreError(f"seccomp: the kernel doesn't let calls be held here: {data.decode()}; use another way (capio doctor)")
    return array.array("i", ancillary[0][2])[0]


def _become(command, env, cwd, theirs, with_input):
    """In the child: hold the calls, hand the listener over, become the program. Never returns."""
    try:
        if cwd:
            os.chdir(cwd)
        try:
            listener = kernel.install(with_input)
        except OSError as error:
            theirs.send(error.strerror.encode())
            os._exit(1)
        theirs.sendmsg([b"l"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
        os.close(listener)
        theirs.recv(1)
        os.execvpe(command[0], command, env)
    except OSError as error:
        theirs.send(f"{error.errno} {error.strerror}".encode())
    finally:
        os._exit(127)
