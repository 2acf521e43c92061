"""Devices in buckets: of memory and files by fsspec, of an S3 server and a GCS emulator on this machine, where their packages are."""

import asyncio
import contextlib
import importlib.util
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from stress.churn import churn

from wrp.comm import atomics
from wrp.errors import StoreError, StoreVersion, UsageError
from wrp.runtime import bdev
from wrp.runtime.devices import objects

fsspec = pytest.importorskip("fsspec")
asyn = pytest.importorskip("fsspec.asyn")
MIB = 1 << 20
_START_S = 30


def lacks(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(argv, url):
    """A process that answers at the URL."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _START_S
        while True:
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, f"{argv} doesn't answer at {url}"
                time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def s3(monkeypatch):
    """A URL in a bucket of an S3 server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    for name, value in (("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_ENDPOINT_URL", url)):
        monkeypatch.setenv(name, value)
    with server([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], url) as process:
        urllib.request.urlopen(urllib.request.Request(f"{url}/wrp", method="PUT")).close()
        yield process, "s3://wrp/some/place"
    forget("s3")


@pytest.fixture
def gcs(monkeypatch):
    """A URL in a bucket of a GCS emulator."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    with server([sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"], url) as process:
        urllib.request.urlopen(urllib.request.Request(f"{url}/storage/v1/b?project=wrp", json.dumps({"name": "wrp"}).encode(), {"Content-Type": "application/json"})).close()
        yield process, "gs://wrp/some/place"
    forget("gs")


@pytest.fixture(scope="module", autouse=True)
def loop():
    """fsspec's thread, and one that it hands work to, which stay."""
    asyn.sync(asyn.get_loop(), asyncio.to_thread, int)


def forget(scheme):
    """fsspec keeps what it has made, with addresses that are gone and connections."""
    made = fsspec.get_filesystem_class(scheme)
    for fs in list(made._cache.values()):
        if scheme == "s3" and fs._s3creator is not None:
            asyn.sync(fs.loop, fs._s3creator.__aexit__, None, None, None)
        elif scheme == "gs" and fs._session is not None:
            asyn.sync(fs.loop, fs._session.close)
    made.clear_instance_cache()


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=lacks("s3fs", "moto")), pytest.param("gcs", marks=lacks("gcsfs", "gcp_storage_emulator"))])
def url(request, tmp_path):
    if request.param in ("s3", "gcs"):
        yield request.getfixturevalue(request.param)[1]
        return
    made = f"memory://place{random.random()}" if request.param == "memory" else f"file://{tmp_path}/place"
    yield made
    objects.Bucket(made).remove()


def test_bytes_come_back_and_are_found_again(runtime, url):
    device, rng = runtime.device("o", "object", 64 * MIB, url), random.Random(1)
    written = {}
    for nbytes in (1, 4096, 70_000, 5 * MIB, 13 * MIB):
        offset, data = device.lease(nbytes), rng.randbytes(nbytes)
        device.write(offset, data)
        written[offset] = data
    device.sync()
    for offset, data in written.items():
        out = bytearray(len(data))
        device.read(offset, out)
        assert out == data
    again = objects.opened(url)
    for offset, data in written.items():
        out = bytearray(len(data))
        again.read(offset, memoryview(out))
        assert out == data
    assert again.header["capacity"] == 64 * MIB == device.capacity
    with pytest.raises(OSError, match="no such object|ends before byte|0000015|NoSuchKey|not exist|Not Found"):
        device.read(60 * MIB, bytearray(4096))


def test_a_part_of_an_object_leaves_the_rest(runtime, url):
    device = runtime.device("o", "object", 16 * MIB, url)
    model = bytearray(random.Random(2).randbytes(9 * MIB))
    device.write(0, model)
    for offset, nbytes in ((5, 100), (4 * MIB - 50, 100), (3 * MIB, 4 * MIB)):
        model[offset:offset + nbytes] = random.Random(offset).randbytes(nbytes)
        device.write(offset, memoryview(model)[offset:offset + nbytes])
    out = bytearray(9 * MIB)
    device.read(0, out)
    assert out == model


def there(url):
    """Numbers of the objects of a device."""
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return sorted(int(path[-8:]) for path in fs.find(root) if path[-8:].isdigit())


def test_objects_that_hold_nothing_go_with_their_lease(runtime, url):
    device, size = runtime.device("o", "object", 128 * MIB, url), objects.OBJECT_NBYTES
    offsets = [device.lease(size) for _ in range(12)]
    for offset in offsets:
        device.write(offset, bytes([offset // size]) * size)
    assert there(url) == [offset // size for offset in offsets]
    for offset in offsets[1:]:
        device.give_back(offset, size)
    assert offsets[0] // size in there(url) and len(there(url)) < 12
    device.close()
    assert there(url) == [offsets[0] // size]
    again = objects.opened(url)
    out = bytearray(size)
    again.read(offsets[0], memoryview(out))
    assert out == bytes([offsets[0] // size]) * size
    with pytest.raises(OSError):
        again.read(offsets[5], memoryview(out))


def test_a_service_that_deletes_nothing_keeps_nobody(runtime, tmp_path, caplog):
    device = runtime.device("o", "object", 64 * MIB, f"file://{tmp_path}/place")
    offset = device.lease(MIB)
    (tmp_path / "place" / f"{offset // objects.OBJECT_NBYTES:08}").mkdir()          # no file, so it can't be removed as one
    device.give_back(offset, MIB)
    device.close()
    assert "leaves the objects in its bucket that hold nothing" in caplog.text


def test_as_tasks(runtime, url):
    staging, device, pool = runtime.device("staging", "ram", 4 * MIB), runtime.device("o", "object", 16 * MIB, url), runtime.pool("o", "bdev")
    buffer, back = staging.lease(100_000), staging.lease(100_000)
    staging.write(buffer, os.urandom(100_000))
    block = pool.call(bdev.ALLOCATE_BLOCKS, 100_000, 100_000).values[0]
    assert pool.call(bdev.WRITE, block, staging._base + buffer, 100_000) == (0, (100_000, 0, 0, 0))
    assert pool.call(bdev.READ, block, staging._base + back, 100_000).code == 0 == pool.call(bdev.SYNC).code
    assert staging.view(back, 100_000) == staging.view(buffer, 100_000)
    code, (number, *_) = pool.call(bdev.READ, 8 * MIB, staging._base + back, 100_000)
    assert code == bdev.IO_FAILED and number > 0
    assert device.facts["io_depth"] == 32


def test_leases_are_those_of_other_devices(runtime):
    churn(runtime.device("o", "object", 8 * MIB, f"memory://churn{random.random()}"), operations=2000, seed=5)


@contextlib.contextmanager
def files_end_at(nbytes):
    """A write behind that is an error: EFBIG."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_is_put_wholly_or_not(runtime, tmp_path):
    device, old = runtime.device("o", "object", 16 * MIB, f"file://{tmp_path}/place"), os.urandom(8 * MIB)
    device.write(0, old)
    for offset, nbytes in ((5, 100), (0, 4 * MIB)):         # a part of an object, and one
        with files_end_at(2 * MIB), pytest.raises(OSError, match="File too large"):
            device.write(offset, bytes(nbytes))
    out = bytearray(8 * MIB)
    device.read(0, out)
    assert out == old
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == ["00000000", "00000001", "header"]


# what is over a limit of a file's size kills, in the middle of a write
_DIES = """
import resource, signal, sys
from wrp.runtime.devices import objects
bucket = objects.opened(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
bucket.write(5, memoryview(bytes(int(sys.argv[2]))))
"""


@pytest.mark.parametrize("nbytes", [100, 6 * MIB])
def test_a_killed_writer_tears_no_file(tmp_path, nbytes):
    bucket, old = objects.Bucket(f"file://{tmp_path}/place"), os.urandom(8 * MIB)
    bucket.make(16 * MIB)
    bucket.write(0, memoryview(old))
    assert subprocess.run([sys.executable, "-c", _DIES, bucket.url, str(nbytes)], timeout=50).returncode == -signal.SIGXFSZ
    out = bytearray(8 * MIB)
    bucket.read(0, memoryview(out))
    assert out == old
    assert len(list((tmp_path / "place").glob("*.part"))) == 1
    bucket.make(16 * MIB)
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == ["00000000", "00000001", "header"]


def test_a_killed_writer_bars_no_objects(runtime, tmp_path):
    device = runtime.device("o", "object", 16 * MIB, f"file://{tmp_path}/place")
    model = bytearray(os.urandom(8 * MIB))
    device.write(0, model)
    dead = subprocess.Popen([sys.executable, "-c", _DIES, device.path, "100"])
    assert dead.wait(50) == -signal.SIGXFSZ
    # the words of a job of one aren't shared with another process: as it would have left them
    for token in device._tokens[:2]:
        atomics.store(token.address, dead.pid << 32 | dead.pid)
    for offset, data in ((50, b"a" * 10), (7, b"b"), (4 * MIB - 10, b"c" * 20)):
        device.write(offset, data)
        model[offset:offset + len(data)] = data
    out = bytearray(8 * MIB)
    device.read(0, out)
    assert out == model and not any(token.holder for token in device._tokens)


class Holding(threading.Thread):
    """What stands between a client and the server: it has a PUT of an object, whole, wait until `release`, though its client ends meanwhile."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.held, self.goes, self.answer = port, threading.Event(), threading.Event(), threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.carry, args=(self.listening.accept()[0],), daemon=True).start()

    def carry(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            back = threading.Thread(target=self.back, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(1 << 20):
                if data.startswith(b"PUT /wrp/some/place/0"):
                    self.hold(client, server, data)
                    return
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            back.join()

    def back(self, server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                if self.goes.is_set():
                    self.status += data
                    self.answer.set()
                else:
                    client.sendall(data)

    def hold(self, client, server, data):
        while b"\r\n\r\n" not in data:
            data += client.recv(1 << 20)
        head, _, body = data.partition(b"\r\n\r\n")
        nbytes = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
        if b"100-continue" in head:
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(body) < nbytes:
            body += client.recv(1 << 20)
        self.held.set()
        self.goes.wait(30)
        server.sendall(re.sub(rb"(?i)expect: 100-continue\r\n", b"", head) + b"\r\n\r\n" + body)
        self.answer.wait(30)

    status = b""

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.join()
        self.listening.close()


_PUTS = """
import sys
from wrp.runtime.devices import objects
objects.opened(sys.argv[1]).write(int(sys.argv[2]), memoryview(b"late" * (int(sys.argv[3]) // 4)))
"""


@lacks("s3fs", "moto")
@pytest.mark.parametrize("offset, nbytes", [(4, 400), (4 * MIB, 4 * MIB), (8 * MIB, 4 * MIB)])        # a part; a whole object; one that isn't there yet
def test_a_put_of_a_killed_writer_that_comes_late_changes_nothing(runtime, s3, offset, nbytes):
    _, url = s3
    device, model = runtime.device("o", "object", 16 * MIB, url), bytearray(os.urandom(12 * MIB))
    device.write(0, memoryview(model)[:8 * MIB])
    between = Holding(int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    writer = subprocess.Popen([sys.executable, "-c", _PUTS, url, str(offset), str(nbytes)],
                              env={**os.environ, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{between.listening.getsockname()[1]}"})
    assert between.held.wait(30)
    writer.kill()
    writer.wait()
    device.write(offset, memoryview(model)[offset:offset + nbytes])
    if nbytes < MIB:
        model[7000:7010] = b"0123456789"
        device.write(7000, b"0123456789")
    else:
        device.write(8 * MIB, memoryview(model)[8 * MIB:])
    between.goes.set()
    assert between.answer.wait(30) and b" 412 " in between.status.partition(b"\r\n")[0]
    out = bytearray(12 * MIB if nbytes >= MIB else 8 * MIB)
    device.read(0, out)
    assert out == model[:len(out)]
    between.close()


def test_objects_that_a_killed_process_left_go_when_a_store_says_what_it_has(runtime, url):
    device, size = runtime.device("o", "object", 64 * MIB, url), objects.OBJECT_NBYTES
    objects.opened(url).write(0, memoryview(bytes(6 * size)))           # of a process whose leases nobody knows any more
    device.claim([(100, 4096), (3 * size - 10, 20)])
    assert there(url) == [0, 2, 3]
    device.close()
    assert there(url) == [0, 2, 3]


def test_a_file_is_on_storage_when_it_was_put(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")) or fsync(descriptor))
    bucket = objects.Bucket(f"file://{tmp_path}/place")
    bucket.make(16 * MIB)
    del synced[:]
    bucket.write(0, memoryview(bytes(4 * MIB)))
    assert [os.path.basename(path).split(".")[0] for path in synced] == ["00000000", "place"]


@lacks("s3fs", "moto")
def test_a_service_that_goes_is_an_error_with_its_sentence(runtime, s3):
    process, url = s3
    device = runtime.device("o", "object", 16 * MIB, url)
    device.write(0, b"x" * 5000)
    device._bucket._timeout_s = 2
    process.kill()
    process.wait()
    with pytest.raises(OSError, match="s3://wrp/some/place") as raised:
        device.write(0, b"y" * 5000)
    assert raised.value.errno and raised.value.strerror


@lacks("s3fs", "moto")
@pytest.mark.parametrize("lacking", ["delete_object", "put_object"])
def test_a_service_without_conditions_is_asked_without(runtime, s3, monkeypatch, lacking):
    device, size = runtime.device("o", "object", 16 * MIB, s3[1]), objects.OBJECT_NBYTES
    fs, call, refused = device._bucket._fs, device._bucket._fs._call_s3, []

    async def without(method, *arguments, **more):
        if method == lacking and {"IfMatch", "IfNoneMatch"} & set(more):
            refused.append(method)
            error = OSError(38, "A header you provided implies functionality that is not implemented")
            error.response = {"Error": {"Code": "NotImplemented"}}
            raise error
        return await call(method, *arguments, **more)
    with monkeypatch.context() as patched:
        patched.setattr(fs, "_call_s3", without)
        for _ in range(2):
            device.write(0, b"o" * 2 * size)
            device._drop(0, 2 * size)
            assert there(s3[1]) == [] and device._drops
        assert 0 < len(refused) <= 2            # it is known from the first calls on, which go together
        device.write(7, b"part")
        out = bytearray(11)
        device.read(0, out)
        assert out == bytes(7) + b"part"


@lacks("s3fs", "moto")
@pytest.mark.parametrize("ends", ["an error of another one", "Ctrl-C"])
def test_puts_that_are_ended_put_nothing_later(runtime, s3, monkeypatch, ends):
    device, size = runtime.device("o", "object", 16 * MIB, s3[1]), objects.OBJECT_NBYTES
    fs, goes = device._bucket._fs, asyncio.Event()
    put = fs._pipe_file

    async def slow_and_broken(path, data, **more):
        if path.endswith("1"):
            if ends != "Ctrl-C":
                raise OSError(5, "the service fails")
            os.kill(os.getpid(), signal.SIGINT)         # for the main thread, which waits
        await goes.wait()
        return await put(path, data, **more)
    with monkeypatch.context() as patched:
        patched.setattr(fs, "_pipe_file", slow_and_broken)
        with pytest.raises(KeyboardInterrupt if ends == "Ctrl-C" else OSError):
            device.write(0, b"o" * 2 * size)
    device.write(0, b"n" * size)
    fs.loop.call_soon_threadsafe(goes.set)
    asyn.sync(fs.loop, asyncio.sleep, 0.5)
    out = bytearray(size)
    device.read(0, out)
    assert out == b"n" * size


@lacks("s3fs", "moto")
def test_a_bucket_that_is_not_there_is_named(runtime, s3):
    with pytest.raises(StoreError, match="s3://none/here can't be (made|read).*check the URL, its credentials and the network"):
        runtime.device("o", "object", 16 * MIB, "s3://none/here")


def test_what_is_wrong_is_a_sentence(runtime, tmp_path, monkeypatch):
    with pytest.raises(StoreError, match=f"file://{tmp_path}/x: there is no device of wrp"):
        objects.opened(f"file://{tmp_path}/x")
    (tmp_path / "x").mkdir()
    for text, error, sentence in (("[", StoreError, "is no header of a device"), ('{"format": 9}', StoreVersion, "is of format 9, this wrp reads 1")):
        (tmp_path / "x" / "header").write_text(text)
        with pytest.raises(error, match=sentence):
            runtime.device(f"o{len(text)}", "object", MIB, f"file://{tmp_path}/x")
    with pytest.raises(UsageError, match="fsspec can't use it|needs the package"):
        runtime.device("o", "object", MIB, "nowhere://x")
    with pytest.raises(UsageError, match="has no URL: 'x'"):
        runtime.device("p", "object", MIB, "x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs"), ("memory", "fsspec")):
        with pytest.raises(UsageError, match=f"needs the package {package}, which isn't installed here: .*python.* -m pip install {package}"):
            objects.Bucket(f"{scheme}://x/y")
