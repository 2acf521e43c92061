"""Stage: the runtime of one benchmark with its device, the clients' buffers and their ways to the worker. Measures nothing."""

import contextlib
import os

from wrp.comm import atomics
from wrp.errors import OutOfSpace, StoreError, WrpError
from wrp.runtime import bdev
from wrp.runtime import config as configs
from wrp.runtime.bench import loops, plain, ways
from wrp.runtime.daemon import attach
from wrp.runtime.runtime import Runtime

_BLOCK = 4096                   # what devices of both kinds lease in
_ROOM = 4                       # blocks of the device for each client


class Stage:
    """Making and closing it is collective. `options`: of the command, sizes in bytes.

    Attributes: is_attached, are_apart (worker and clients are different processes), is_client, threads, bdev, admin (Pools), device_path.
    """

    def __init__(self, ranks, options):
        self.ranks, self.options = ranks, options
        self.is_attached = options.attach is not None
        self.is_ram = options.output_dir.startswith("ram")
        self.are_apart = all(ranks.gather(self.is_attached or ranks.local_size > 1, "where workers and clients are"))
        self.is_client = self.is_attached or ranks.local_size == 1 or ranks.local_rank > 0
        self.block = -(-options.io_size // _BLOCK) * _BLOCK
        self._runtime, self._more, self._buffers, self.device_path, self._made_folder = None, [], [], None, False
        try:
            self._make()
        except BaseException:
            self._remove_file()
            self._remove_folder()
            self._leave()
            raise

    @property
    def runtime(self):
        return self._runtime

    @property
    def segment(self):
        return self._runtime.segment

    def _make(self):
        node = self.ranks.on_node
        slots = node.size * self.options.threads
        with self.ranks.agreed("starting the benchmark"):
            if self.is_attached:
                self._runtime = attach(self.options.attach or None)
        if not self.is_attached:
            config = None
            with self.ranks.agreed("reading the configuration"):
                config = configs.load()
            self._runtime = Runtime(self.ranks, config)
        self.admin = self._runtime.pool("admin", "admin")
        buffers = self._ram("buffers", (slots + 1) * self.block)
        if self.is_ram:
            self.bdev = self._ram("device", max(self.block, min(self.options.max_file_size, _ROOM * slots * self.block)))
        else:
            self.bdev = self._file()
        with self.ranks.agreed("taking the clients' buffers"):
            self._take_buffers(buffers)

    def _ram(self, what, capacity):
        """The pool of a device in ram, backed by memory: `Write` doesn't ask whether there is any. Collective."""
        name = f"ram::wrp_benchmark_{what}_{capacity}"
        if self.is_attached:
            self._runtime.pool(name, "bdev", capacity=capacity)
            device = self._runtime.device(name)
        else:
            device = self._runtime.device(name, "ram", capacity)
        with self.ranks.agreed(f"backing {name!r} with memory"):
            if self.ranks.local_rank == 0:
                device._back(0, device.capacity)
        return device._pool

    def _file(self):
        node = self.ranks.on_node
        with self.ranks.agreed("making the benchmark's file"):
            if node.rank == 0:
                self._make_file()
        self.device_path = node.share(self.device_path, "path of the benchmark's file")
        device = self._runtime.device("wrp_benchmark_file", "file", self.options.max_file_size, self.device_path)
        return device._pool

    def _make_file(self):
        folder = self.options.output_dir
        try:
            self._made_folder = not os.path.isdir(folder)
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, f"wrp_benchmark.{self.ranks.host}.{os.getpid()}")
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            self._made_folder = self._made_folder and os.path.isdir(folder)
            raise StoreError(f"--output-dir {folder} can't be written to ({error.strerror}): give another one, or 'ram' for memory") from error
        self.device_path = path

    def _take_buffers(self, pool):
        for _ in range(self.options.threads if self.is_client else 0):
            reply = pool.call(bdev.ALLOCATE_BLOCKS, self.block)
            if reply.code:
                raise OutOfSpace("the device of the benchmark's buffers has no room: another benchmark uses it; try again when it has ended")
            self._buffers.append((pool, reply.values[0]))

    # what the clients use

    def ways(self, pool):
        """A Way to the pool for each thread. Local."""
        if not self.is_attached:
            return [ways.embedded(self._runtime, pool) for _ in range(self.options.threads)]
        while len(self._more) < self.options.threads:
            self._more.append(attach(self.options.attach or None))
        module = "admin" if pool is self.admin else "bdev"
        return [ways.attached(one, one.pool(pool.name, module)) for one in self._more]

    def works(self, case):
        """(pool, what `loops.loop` shall do) for each thread. Local."""
        pool = self.admin if case == loops.LATENCY else self.bdev
        size = self.block if case == loops.ALLOCATION else self.options.io_size
        return pool, [(case, pool.number, size, self.buffer(number)) for number in range(self.options.threads)]

    def buffer(self, number):
        """Offset in the segment of a thread's buffer."""
        pool, offset = self._buffers[number]
        return atomics.load(pool._slot.params + bdev.BASE) + offset

    @contextlib.contextmanager
    def run_of_device(self):
        """(address, or place in the file when that is the device) of a leased block, as `bdev_io` gets it. Local."""
        reply = self.bdev.call(bdev.ALLOCATE_BLOCKS, self.options.io_size)
        if reply.code:
            raise OutOfSpace("the benchmark's device has no room for one block: raise --max-file-size")
        try:
            start = reply.values[0]
            yield self.segment.address + atomics.load(self.bdev._slot.params + bdev.BASE) + start if self.is_ram else start
        finally:
            self.bdev.call(bdev.FREE_BLOCKS, start, reply.values[1])

    def moved(self, seconds):
        """Samples of plain copies, or plain writes to the same place of the file, from a client's buffer. Local."""
        fd = -1
        with self.run_of_device() as target:
            try:
                if not self.is_ram:
                    fd = os.open(self.device_path, os.O_RDWR | os.O_CLOEXEC)
                return plain.moved(target, self.segment.address + self.buffer(0), self.options.io_size, fd, seconds)
            finally:
                if fd >= 0:
                    os.close(fd)

    def word(self):
        """Address of a word that all ranks of the node know: the first one of a client's buffer. Collective over the node."""
        node = self.ranks.on_node
        owner = next((rank for rank, is_client in enumerate(node.gather(self.is_client, "clients of the node")) if is_client))
        offset = node.share(self.buffer(0) if node.rank == owner else None, "word of the ping-pong", owner)
        return self.segment.address + offset

    # the end

    def close(self):
        """Collective; nothing of the benchmark is left behind, but in a daemon its empty devices."""
        with self.ranks.agreed("giving the benchmark's buffers back"):
            for pool, offset in self._buffers:
                if pool.call(bdev.FREE_BLOCKS, offset, self.block).code:
                    raise WrpError("a buffer of the benchmark couldn't be given back: some of it is free already")
        for one in self._more:
            one.close()
        self._runtime.close()
        with self.ranks.agreed("removing the benchmark's file"):
            self._remove_file()
        with self.ranks.agreed("removing the benchmark's folder"):
            self._remove_folder()       # other nodes' files were in it

    def _leave(self):
        for one in [*self._more, self._runtime]:
            if one is not None:
                getattr(one, "abandon", one.close)()

    def _remove_file(self):
        if self.device_path and self.ranks.on_node.rank == 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.device_path)

    def _remove_folder(self):
        if self._made_folder:
            with contextlib.suppress(OSError):      # others have put something into it
                os.rmdir(self.options.output_dir)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None or getattr(error, "common", False):
            self.close()
        else:
            self._remove_file()
            self._remove_folder()
            self._leave()
