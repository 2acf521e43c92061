"""Machines for tests: this one, or namespaces of it that look like machines of their own."""

import os
import select
import shutil
import socket
import subprocess

_READY_S = 10.0
_SEPARATE = ("unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
_HOLD = """hostname "$1" && mount --bind "$2" /etc/hosts && mount -t tmpfs tmpfs /dev/shm &&
ip link set lo up && echo ready && exec cat"""


class NoNamespaces(Exception):
    """Why machines can't be isolated here."""


class Here:
    """This machine, on the loopback address."""

    address = "127.0.0.1"

    def __init__(self):
        self.name = socket.gethostname().partition(".")[0]

    def command(self, *argv, cwd=None):
        """The command line that runs `argv` on this machine in the folder `cwd`."""
        return ["sh", "-c", 'cd "$0" && exec "$@"', str(cwd or os.getcwd()), *map(str, argv)]

    def close(self):
        """Nothing was made."""


class Isolated:
    """Namespaces with a host name, an address and a /dev/shm of their own. The first one holds the bridge that joins them all."""

    def __init__(self, name, address, folder, bridge=None):
        self.name, self.address, self._folder = name, address, folder
        self._holder = None
        self._neighbours = []
        try:
            self._hold()
            if bridge is None:
                self._run("ip", "link", "add", "br0", "type", "bridge")
                self._run("ip", "addr", "add", f"{address}/24", "dev", "br0")
                self._run("ip", "link", "set", "br0", "up")
            else:
                port = f"port{address.rpartition('.')[2]}"
                bridge._run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(self._first))
                bridge._run("ip", "link", "set", port, "master", "br0", "up")
                self._run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
                self._run("ip", "link", "set", "eth0", "up")
        except BaseException:
            self.close()
            raise

    def command(self, *argv, cwd=None):
        """See `Here.command`."""
        enter = ["nsenter", "-t", str(self._first), "--net", "--uts", "--mount", "--ipc", "--pid"]
        # nsenter stays as the parent: who ends it ends the command
        return [*enter, "setpriv", "--pdeathsig", "TERM"] + Here.command(self, *argv, cwd=cwd)

    def neighbour(self, name, address):
        """A machine at the same bridge; closed with this one."""
        try:
            machine = Isolated(name, address, self._folder, self)
        except BaseException:
            self.close()
            raise
        self._neighbours.append(machine)
        return machine

    def close(self):
        """End the first process of the namespaces, and so all that still run in them; idempotent."""
        for machine in self._neighbours:
            machine.close()
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.stdin.close()            # its `cat` ends, and would also if this process died
            holder.stdout.close()
            try:
                holder.wait(5)
            except subprocess.TimeoutExpired:
                holder.kill()
                holder.wait(5)

    def _hold(self):
        if not all(shutil.which(name) for name in ("unshare", "nsenter", "setpriv", "ip")):
            raise NoNamespaces("isolated nodes want unshare, nsenter and ip (util-linux, iproute2)")
        hosts = self._folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n10.77.0.254 login\n" + "".join(f"10.77.0.{i} n{i}\n" for i in range(1, 9)))
        self._holder = subprocess.Popen(
            [*_SEPARATE, "sh", "-c", _HOLD, "sh", self.name, hosts],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        ready, _, _ = select.select([self._holder.stdout], [], [], _READY_S)
        said = os.read(self._holder.stdout.fileno(), 4096).decode(errors="replace").strip() if ready else "no answer"
        if said != "ready":
            raise NoNamespaces(f"namespaces can't be made here: {said}")
        pid = self._holder.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            self._first = int(file.read())

    def _run(self, *argv):
        # seen from outside, so that numbers of processes mean the same
        done = subprocess.run(["nsenter", "-t", str(self._first), "--net", *argv], capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise NoNamespaces(f"the network of a namespace can't be made here: {done.stderr.strip()}")
