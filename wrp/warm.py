"""Compiles every module and every kernel into their caches, by running a tiny runtime and a tiny store once. Used at set-up."""

import compileall
import os
import re
import sys
import threading
from contextlib import contextmanager
from inspect import signature

import numpy as np
from numba import types
from numba.core import event

from wrp.cae.hdf5 import filters
from wrp.comm import cached, caches, notes, passing, ways
from wrp.comm.lock import is_alive
from wrp.comm.ranks.solo import Solo
from wrp.cte.bench import cli, measuring
from wrp.cte.direct.putting import direct_put_file
from wrp.cte.store import Store
from wrp.runtime import admin, bdev, modules
from wrp.runtime.bench import client, loops, plain
from wrp.runtime.bench.ways import embedded
from wrp.runtime.config import Config
from wrp.runtime.devices import address
from wrp.runtime.daemon import attach, leftovers
from wrp.runtime.daemon.daemon import Daemon
from wrp.runtime.meeting import Meeting, rooms
from wrp.runtime.inline import do_here, run_inline
from wrp.runtime.postman import desk, news, quick
from wrp.runtime.postman.serving import served_new
from wrp.runtime.runtime import Runtime
from wrp.runtime.waiting import CoMutex, gather, in_thread, sleep

_CAPACITY = 8 << 20
_NBYTES = 128 << 10
_SAY_S = 30.0
_SEGMENT = re.compile(r"warming-(\d+)(\.\d+\.new)?")


class _Echo:
    """A module in Python: its worker has kernels too."""

    methods = {10: "echo", 11: "wait"}

    def __init__(self, pool_name):
        self.mutex, self.pool = CoMutex(), None

    def started(self, pool):
        self.pool = pool

    def echo(self, number):
        return number

    async def wait(self, number):
        """Awaits what there is to await."""
        async with self.mutex:
            await gather(self.pool.call_async(10, number, deadline_s=60), in_thread(int), sleep(0))


class _Compiled(event.Listener):
    """Counts what Numba compiles."""

    number = 0

    def on_start(self, event):
        pass

    def on_end(self, event):
        self.number += 1


@contextmanager
def _telling(every_s=_SAY_S):
    """In the block, how far compiling is, on standard error now and then: it takes minutes where nothing is in the cache."""
    compiled, ended = _Compiled(), threading.Event()

    def tell():
        while not ended.wait(every_s):
            print(f"setup: {compiled.number} functions compiled so far", file=sys.stderr, flush=True)
    teller = threading.Thread(target=tell, name="wrp warm", daemon=True)
    with event.install_listener("numba:compile", compiled):
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()


def main():
    """Run every kind of call once, in this process alone."""
    with _telling():
        _run()


def _run():
    # whoever keeps Python from writing bytecode would have every rank of every job compile it
    compileall.compile_dir(os.path.dirname(__file__), quiet=2)
    _remove_left()
    modules.register("warm", _Echo)
    with passing.PassingFolder(f"warming-{os.getpid()}") as folder:
        with Runtime(Solo(), Config.default()) as runtime:
            _use_runtime(runtime, folder.path)
            _compile_mail(runtime.node)
            _compile_loops(runtime, runtime.pool("admin", "admin"))
        _take_cached(os.path.join(folder.path, "cached"))
        with Daemon(Solo(), Config.default(), f"warming-{os.getpid()}") as daemon, attach(daemon.name, 0) as attached:
            attached.pool("admin").call(admin.MONITOR)
            attached.pool("admin").submit(admin.MONITOR, deadline_s=60).cancel()
            attached.pool("admin").submit_many(admin.MONITOR, [(0,)]).wait()
        measuring.measure(Solo(), cli.parse(["PutGet", "1", "2", "4k", "4", "--jitted"]))
        for _ in range(2):              # the second one finds what the first has left
            with Store.open(os.path.join(folder.path, "store"), Solo(), Config.default()) as store:
                _use_store(store)
    _unshuffle()
    caches.remove_unused()


def _remove_left():
    """Remove the folders and the segments of those that were killed in their work."""
    for path in passing.left():
        if ".warming-" in path:
            passing.remove(path)
    for left in leftovers.find():
        found = _SEGMENT.fullmatch(left.name)
        # between making its file and locking it a process that lives has no lock yet
        if found and not (found[2] and is_alive(int(found[1]))):
            leftovers.remove(left)


def _use_runtime(runtime, folder):
    for method in (admin.MONITOR, admin.FLUSH):
        runtime.pool("admin", "admin").call(method)
    _use_tasks(runtime.pool("warm", "warm"))
    Meeting(runtime.pool("warm.meetings", "meeting"), 0, 1).barrier()
    for kernel in (rooms.come, rooms.wait, rooms.give_up, rooms.forget, rooms.arrive):          # of those who come late
        kernel.compile((types.int64,) * len(signature(kernel.py_func).parameters))
    for kind in ("ram", "file"):
        device = runtime.device(f"warm.{kind}", kind, _CAPACITY, os.path.join(folder, "data"))
        device.claim(np.array([(0, 4096)]))
        offset = device.lease(_NBYTES)
        device.write(offset, b"\1" * _NBYTES)
        device.read(offset, bytearray(_NBYTES))
        device.give_back(offset, _NBYTES)
        device.give_back(0, 4096)
        runtime.pool(f"warm.{kind}", "bdev").call(bdev.SYNC)
    device = runtime.device("warm.safe", "safe", _CAPACITY, address([os.path.join(folder, f"member{number}") for number in range(3)], 1))
    for nbytes in (_NBYTES, 100):       # a row, then a part of it
        device.write(0, b"\1" * nbytes)


def _compile_loops(runtime, pool):
    """What wrp_run_thrpt_benchmark runs, its clients and the machine beside them; their time is over."""
    client.prepare([embedded(runtime, pool)], [(loops.LATENCY, pool.number, 0, 0)])
    word, none = np.zeros(1, np.int64), np.empty(0, np.int64)
    plain.ping(word.ctypes.data, 0, none), plain.pong(word.ctypes.data, 0), plain.moves(word.ctypes.data, word.ctypes.data, 0, -1, 0, none)


def _compile_mail(node):
    """What a postman calls; there is none on one node."""
    for kernel in (ways.way_post, ways.way_look, ways.way_drop, ways.way_due, ways.way_owes, ways.way_lags, ways.way_waits, ways.ways_send, ways.ways_come,
                   quick.turns, quick.pause, desk.rows_format, desk.sent_end, quick.turn_of_other, news.tell_of_other, notes.note_look, notes.note_drop, notes._begin, notes._end, do_here, run_inline):
        kernel.compile((types.int64,) * len(signature(kernel.py_func).parameters))
    offset = served_new(node.address, node.address + node.layout.free, node.layout.lane(0), 0, 0, admin.MONITOR, 0, 0, 0, 0, 0, 0, 0)
    desk.post_finish(node.address, node.address + node.layout.free, offset, 0, 0, 0, 0, 0)         # its worker frees the record


def _take_cached(path):
    place, words = np.empty(4096, np.uint8), np.full(1, 4096, np.int64)
    with open(path, "wb+", buffering=0) as file:
        file.write(place)
        cached.take(file.fileno(), 0, words, np.full(1, place.ctypes.data, np.int64), np.zeros(1, np.int64))


def _use_tasks(pool):
    pool.call(10, 1)
    pool.submit(10, 1).wait()
    pool.call(11, 1)
    pool.post(10, 1)
    pool.submit_many(10, [(1,), (2,)]).wait()
    periodic = pool.submit(10, 1, period_s=0.001)
    while periodic.runs[0] < 2:
        pool.call(10, 1)
    periodic.cancel()
    periodic.wait()


def _unshuffle():
    """Chunks of HDF5 files as they are taken in."""
    done = ((filters.SHUFFLE,), (filters.DEFLATE, 1))
    for itemsize in (8, 4, 2):
        data, out = np.zeros(_NBYTES, np.uint8), np.ones(_NBYTES, np.uint8)
        filters.decode(filters.encode(data, done, 0, itemsize), done, 0, out, itemsize)


def _use_store(store):
    for nbytes in (_NBYTES, 4096, 4096):
        for data in (b"\1" * nbytes, np.ones(nbytes, np.uint8)):
            store.put("warm", "blob", data)
            store.get("warm", "blob")
            store.get("warm", "blob", out=np.empty(nbytes, np.uint8))
            store.view("warm", "blob")
    store.get("warm", "blob", 1, 10)
    direct_put_file.compile((types.int64,) * len(signature(direct_put_file.py_func).parameters))        # of a ram that is full
    store.put_many("warm", ["blob", "other"], np.ones((2, 4096), np.uint8))
    store.get_many("warm", ["blob", "other"], out=np.ones((2, 4096), np.uint8))
    with store.reserve("warm", "blob", _NBYTES) as place:
        place.view[:] = b"\1" * _NBYTES
    store.tag_size("warm")
    store.blobs("warm")
    store.flush()
    with store.batch("warming up") as batch:
        batch.put("warm", "other", b"\1")
    store.delete("warm", "blob")


if __name__ == "__main__":
    main()
