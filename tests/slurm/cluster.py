"""A private Slurm on this machine: munged, slurmctld and one slurmd per node, all state in one folder. Installs nothing.

Where the kernel lets us, the login node and the compute nodes live in namespaces of their own, with a host name, an address and an
empty /dev/shm each: for MPI and shared memory these are different machines. Elsewhere it is one node on the loopback address.
"""

import os
import re
import shutil
import socket
import subprocess
import time

from harness.machines import Here, Isolated, NoNamespaces

UP_S = 20.0
_PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "sinfo")
_CONF = """ClusterName=wrptest
SlurmctldHost={login}({address})
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
TmpFS={folder}/tmp.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=1000,bf_interval=1
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=3
MinJobAge=3600
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
PropagateResourceLimits=NONE
{nodes}
PartitionName=main Nodes=ALL Default=YES DefaultTime=5 MaxTime=INFINITE State=UP
"""


def missing():
    """Why no Slurm can be brought up here, or None."""
    gone = [name for name in _PROGRAMS if not shutil.which(name)]
    if gone:
        return f"no {gone[0]} here (Debian, Ubuntu: apt-get install slurm-wlm munge)"
    return None if os.getuid() == 0 else "a private Slurm wants root"


class Cluster:
    """`nodes` node names, each with `cpus` processors. Everything it starts ends with `close()`, or with this process."""

    def __init__(self, folder, nodes=2, cpus=4):
        self.folder = folder
        try:
            self._login = Isolated("login", "10.77.0.254", folder)
            self._machines = [self._login.neighbour(f"n{i}", f"10.77.0.{i}") for i in range(1, nodes + 1)]
        except NoNamespaces as reason:
            self.one_node = str(reason)
            self._login = Here()
            self._machines = [self._login]
        else:
            self.one_node = None            # why there is one node only
        self.nodes = [machine.name for machine in self._machines]
        self._daemons = []
        try:
            self._configure(cpus)
            self._start()
        except BaseException:
            self.close()
            raise

    def run(self, argv, node=None, env=None, cwd=None, timeout_s=30):
        """Run a command on the login node or on a node; CompletedProcess with text."""
        machine = next((each for each in self._machines if each.name == node), self._login)
        return subprocess.run(machine.command(*argv, cwd=cwd), env=self.environment(env), text=True, errors="replace",
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s)

    def environment(self, env=None):
        """What a user's shell would hold: nothing of the test session but paths."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "WRP_CACHE_DIR") if key in os.environ}
        return {**kept, "SLURM_CONF": str(self.folder / "slurm.conf"), **(env or {})}

    def sbatch(self, *argv, env=None, cwd=None):
        """Submit; the job's number as text."""
        done = self.run(["sbatch", "--parsable", *argv], env=env, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, number):
        """What Slurm says about a job or an array task, as a dictionary of text."""
        done = self.run(["scontrol", "show", "job", "-o", number])
        assert done.returncode == 0, done.stderr
        return dict(re.findall(r"(\w+)=(\S*)", done.stdout.splitlines()[0]))

    def wait(self, number, timeout_s=60):
        """(state, exit code) of a job that has ended."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
        job = self.until(lambda: self.job(number), lambda found: found["JobState"] in ended, f"the end of job {number}", timeout_s)
        return job["JobState"], int(job["ExitCode"].partition(":")[0])

    def until(self, look, good, what, timeout_s=30):
        """What `look()` returns as soon as `good` says so; AssertionError naming `what` at the deadline."""
        deadline = time.monotonic() + timeout_s
        while not good(found := look()):
            assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}: {found}; {self.run(['squeue', '-l']).stdout}"
            time.sleep(0.1)
        return found

    def close(self):
        """Cancel what runs, then end exactly the processes that were started; idempotent."""
        if self._daemons and (self.folder / "slurm.conf").exists():
            self._cancel_all()
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in reversed(self._daemons):
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait(5)
        self._daemons = []
        for machine in (*self._machines, self._login):
            machine.close()

    def _cancel_all(self):
        try:
            self.run(["scancel", "--user=root"], timeout_s=5)
            self.until(lambda: self.run(["squeue", "-h"], timeout_s=5).stdout, lambda text: not text, "the jobs to go", 10)
        except (subprocess.TimeoutExpired, AssertionError) as late:
            print(f"the private Slurm's jobs don't go: {late}")

    def _configure(self, cpus):
        ports = _free_ports(1 + len(self._machines))
        lines = [f"NodeName={each.name} NodeHostname={each.name} NodeAddr={each.address} Port={port} CPUs={cpus} State=UNKNOWN"
                 for each, port in zip(self._machines, ports[1:], strict=True)]
        (self.folder / "state").mkdir()
        for machine in self._machines:          # PMIx keeps its sockets there: not in one folder for two nodes
            (self.folder / f"tmp.{machine.name}").mkdir()
        (self.folder / "slurm.conf").write_text(_CONF.format(
            login=self._login.name, address=self._login.address, port=ports[0], folder=self.folder, nodes="\n".join(lines)))
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))

    def _start(self):
        path = self.folder
        self._daemon(Here(), "munged", "--foreground", "--force", f"--key-file={path}/munge.key", f"--socket={path}/munge.sock",
                     f"--pid-file={path}/munge.pid", f"--seed-file={path}/munge.seed", f"--log-file={path}/munged.log")
        self.until(lambda: subprocess.run(["munge", "-S", f"{path}/munge.sock", "-n"], capture_output=True, timeout=5).returncode,
                   lambda code: code == 0, f"munged ({path}/munged.log)", UP_S)
        self._daemon(self._login, "slurmctld", "-D", "-c", "-f", path / "slurm.conf")
        for machine in self._machines:
            self._daemon(machine, "slurmd", "-D", "-N", machine.name, "-f", path / "slurm.conf")
        self.until(lambda: self.run(["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"]).stdout.split(),
                   lambda idle: sorted(idle) == sorted(self.nodes), f"idle nodes (see {path})", UP_S)

    def _daemon(self, machine, *argv):
        # setpriv: a test run that is killed takes its daemons with it
        command = ["setpriv", "--pdeathsig", "TERM", *machine.command(*argv)]
        with open(self.folder / f"{argv[0]}.{machine.name}.out", "wb") as out:
            self._daemons.append(subprocess.Popen(command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out,
                                                  stderr=subprocess.STDOUT, start_new_session=True))


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
