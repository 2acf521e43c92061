"""`s3://` sources over HTTP from a server on this machine, and other file systems of fsspec: the same blobs as of local files, on any number of ranks; refusals."""

import contextlib
import dataclasses
import gc
import hashlib
import http.server
import itertools
import json
import os
import socket
import sys
import threading
import urllib.request

import h5py
import numpy as np
import pytest
from cee.same_hdf5 import differences
from harness.mpirun import needs_mpirun, run_python
from runtime.devices.test_objects import asyn, forget, free_port, lacks, loop, server  # noqa: F401

import wrp_cee as cee
from wrp.cae import cli, ingest, omni, registry
from wrp.cae.hdf5.survey import survey
from wrp.cae.objects import service
from wrp.cae.objects.stamp import ObjectStamp, _LibraryFile
from wrp.cee import export
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NothingMatched, RangeError, SourceError, SourceMissing, WrpError

from . import reading, zoo
from .test_ingest import contents

fsspec = pytest.importorskip("fsspec")
DATA = np.random.default_rng(5).bytes((3 << 20) + 12345)


def job(*specs):
    return omni.Job(tuple(omni.Transfer(number, src, f"iowarp::{tag}", format_, **more) for number, (src, tag, format_, more) in enumerate(specs, 1)))


def send(key, data, bucket="wrp"):
    """Put an object, by HTTP; the server looks at names only, not at signatures."""
    headers = {"Content-Type": "application/octet-stream", "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=s"}
    request = urllib.request.Request(f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}/{key}", data, headers, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture
def store():
    with Store.open(None, world()) as opened:
        yield opened


@pytest.fixture(scope="module")
def endpoint():
    """An S3 server with a bucket `wrp`."""
    url = f"http://127.0.0.1:{free_port()}"
    with server([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", url.rpartition(":")[2]], url):
        urllib.request.urlopen(urllib.request.Request(f"{url}/wrp", method="PUT")).close()
        yield url


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """`s3://wrp`, with an object of raw bytes."""
    for name, value in (("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_ENDPOINT_URL", endpoint)):
        monkeypatch.setenv(name, value)
    send("raw.bin", DATA)
    yield "s3://wrp"
    let_go()


def let_go():
    """What fsspec keeps: connections, and what never reached a service."""
    made = fsspec.get_filesystem_class("s3")
    for token in [token for token, fs in made._cache.items() if not hasattr(fs, "_s3creator")]:
        del made._cache[token]
    forget("s3")


@pytest.fixture
def memory():
    """A prefix in fsspec's file system of this process."""
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/sources/raw.bin", DATA)
    yield "memory://sources"
    fs.rm("/sources", recursive=True)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "raw.bin").write_bytes(DATA)
    return tmp_path


@lacks("s3fs", "moto")
def test_an_object_is_what_a_file_would_be(bucket, files, store):
    more = dict(range_off=(1 << 20) - 5, range_size=(1 << 20) + 10)
    remote = ingest.run(job((f"{bucket}/raw.bin", "a", "binary", {}), (f"{bucket}/raw.bin", "b", "csv", more)), store, world())
    here = contents(store)
    local = ingest.run(job((f"file::{files}/raw.bin", "a", "binary", {}), (f"file::{files}/raw.bin", "b", "csv", more)), store, world())
    assert here == contents(store) and [found.checksum for found in remote] == [found.checksum for found in local]
    assert hashlib.sha256(b"".join(here["a", f"chunk_{number}"] for number in range(4))).digest() == hashlib.sha256(DATA).digest()


@lacks("s3fs", "moto")
def test_an_hdf5_object_comes_back_as_the_file(bucket, store, tmp_path):
    path = zoo.build(tmp_path / "zoo.h5")
    send("deep/zoo.h5", open(path, "rb").read())
    items = {item.tag: item for item in reading.survey(f"hdf5::{path}").items}
    transfer = omni.Transfer(1, f"{bucket}/deep/zoo.h5", "iowarp::run", "hdf5", exclude=("*virtual*", "*external*"))
    with pytest.raises(SourceError, match="takes its values from other files .virtual storage., which aren't looked for beside an object"):
        ingest.run(omni.Job((omni.Transfer(1, transfer.src, "iowarp::run", "H5"),)), store, world())
    assert store.tags() == []
    ingest.run(omni.Job((transfer,)), store, world())
    assert len(store.tags()) > 20
    for tag in store.tags():
        if tag != "run":
            data = b"".join(store.get(tag, f"chunk_{number}") for number in range(items[tag].blobs))
            assert data == reading.whole(items[tag]), tag


@lacks("s3fs", "moto")
def test_an_export_of_an_hdf5_object_is_that_file(bucket, store, tmp_path):
    for userblock in (0, 512):
        with h5py.File(tmp_path / "a.h5", "w", userblock_size=userblock) as file:
            file.create_dataset("g/z", data=np.arange(200_000).reshape(400, 500), chunks=(100, 100), compression=1, shuffle=True)
            file["g/flat"] = np.arange(1000.0)
            file.attrs["about"] = "x"
        send("a.h5", (tmp_path / "a.h5").read_bytes())
        ingest.run(job((f"{bucket}/a.h5", "run", "hdf5", {})), store, world())
        export.run(store, "run", tmp_path / "again.h5", world(), force=True)
        assert differences(tmp_path / "a.h5", tmp_path / "again.h5") == []
    # a part of it, by a selector
    ingest.run(job((f"{bucket}/a.h5:/g/flat", "part", "hdf5", {})), store, world())
    assert [tag for tag in store.tags() if tag.startswith("part")] == ["part", "part/g/flat"]
    with pytest.raises(NothingMatched, match="s3://wrp/a.h5: no dataset matches"):
        ingest.run(job((f"{bucket}/a.h5:/none", "part", "hdf5", {})), store, world())
    with pytest.raises(SourceError, match="s3://wrp/raw.bin is not an HDF5 file"):
        ingest.run(job((f"{bucket}/raw.bin", "part", "hdf5", {})), store, world())
    with pytest.raises(SourceMissing, match="s3://wrp/none.h5:/g does not exist"):
        ingest.run(job((f"{bucket}/none.h5:/g", "part", "hdf5", {})), store, world())


class _Held:
    """What an object of h5py is when a cycle goes: its finalizer takes h5py's lock."""

    def __init__(self):
        self.self = self

    def __del__(self):
        with h5py._objects.phil:
            pass


@lacks("s3fs", "moto")
def test_objects_of_h5py_that_go_while_one_is_read(bucket, store, tmp_path, monkeypatch):
    """The thread that fetches collects nothing then: it would wait for h5py's lock, which the one that waits for it has."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("lists", data=["x" * number for number in range(100)], dtype=h5py.string_dtype())
    send("a.h5", (tmp_path / "a.h5").read_bytes())
    readinto, ranged, fetched = _LibraryFile.readinto, service.Service._ranged, []

    def littered(self, buffer):
        _Held()
        return readinto(self, buffer)

    async def collected(self, *arguments):
        fetched.append(gc.isenabled() and gc.collect())         # one may begin by itself wherever an object is made
        return await ranged(self, *arguments)
    monkeypatch.setattr(_LibraryFile, "readinto", littered)
    monkeypatch.setattr(service.Service, "_ranged", collected)
    ingest.run(job((f"{bucket}/a.h5", "run", "hdf5", {}), (f"{bucket}/a.h5:/lists", "part", "hdf5", {})), store, world())
    assert fetched and "run/lists" in store.tags() and "part/lists" in store.tags()


@lacks("s3fs", "moto")
def test_an_object_that_changes_between_ranges_is_refused(bucket, store, monkeypatch):
    """Of the same size, and back to what it was at the end: no range may come from the other one."""
    ranks, ticks = world(), []

    def tick():
        ticks.append(1)
        send("raw.bin", DATA[::-1] if len(ticks) < 3 else DATA)

    monkeypatch.setattr(ranks, "tick", tick, raising=False)
    monkeypatch.setattr(ingest, "_AT_ONCE", 1)
    with pytest.raises(SourceError, match="s3://wrp/raw.bin was changed while it was being read"):
        ingest.run(job((f"{bucket}/raw.bin", "t", "binary", {})), store, ranks)
    assert store.tags() == [] and ticks


@lacks("s3fs", "moto")
def test_an_object_that_is_cut_is_refused(bucket, store):
    item, = registry.assimilator("s3").survey(omni.Transfer(1, f"{bucket}/raw.bin", "iowarp::t", "binary")).items
    reader = item.open()
    send("raw.bin", DATA[:100])
    with pytest.raises(SourceError, match="was changed while it was being read"):
        reader.read_into(bytearray(10), 5)
    reader.close()
    reader.close()
    with pytest.raises(SourceError, match="reader of s3://wrp/raw.bin is closed"):
        reader.read_into(bytearray(1), 0)


@lacks("s3fs", "moto")
def test_refusals(bucket, store, monkeypatch):
    for src, error, sentence in ((f"{bucket}/none", SourceMissing, "s3://wrp/none does not exist; check the bucket and the key"),
                                 ("s3://other/raw.bin", SourceMissing, "s3://other/raw.bin does not exist"),
                                 (bucket, SourceError, "s3://wrp is no object but what is above some"),
                                 ("s3://", SourceError, "is no object|can't be read")):
        with pytest.raises(error, match=f"^transfer 1: .*{sentence}"):
            ingest.run(job((src, "t", "binary", {})), store, world())
    with pytest.raises(RangeError, match="s3://wrp/raw.bin, which has 3158073 bytes"):
        ingest.run(job((f"{bucket}/raw.bin", "t", "binary", dict(range_size=1 << 30))), store, world())
    with pytest.raises(SourceError, match="s3://wrp/raw.bin can't be read .ProfileNotFound: .*nobody.*check the URL, its credentials"):
        ingest.run(job((f"{bucket}/raw.bin", "t", "binary", dict(s3_profile="nobody"))), store, world())
    assert store.tags() == []


@lacks("s3fs", "moto")
def test_without_credentials(bucket, store, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    let_go()
    with pytest.raises(SourceError, match="^transfer 1: s3://wrp/raw.bin can't be read .NoCredentialsError"):
        ingest.run(job((f"{bucket}/raw.bin", "t", "binary", {})), store, world())
    assert store.tags() == []
    # a profile of the user's file, and its region
    (tmp_path / "credentials").write_text("[mine]\naws_access_key_id = k\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    ingest.run(job((f"{bucket}/raw.bin", "t", "binary", dict(s3_profile="mine", s3_region="eu-west-1"))), store, world())
    assert store.get("t", "chunk_0") == DATA[:1 << 20]


@lacks("s3fs", "moto")
def test_job_file_and_contexts(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.yaml").write_text(f'transfers: [{{src: "{bucket}/raw.bin", dst: "iowarp::t", format: binary, s3_region: us-east-1, src_data: x}}]')
    assert cli.main(["jobs.yaml", "--check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["transfers"][0]["nbytes"] == len(DATA) and found["notes"] == ["transfer 1: src_data counts for string:: sources only and was ignored"]
    with cee.ContextInterface(store=tmp_path / "s") as interface:
        assert interface.context_bundle([cee.AssimilationCtx(f"{bucket}/raw.bin", "iowarp::t", "binary", "", 0, 0, "", "", "", "us-east-1", "")]) == 0
        assert interface.context_retrieve("t", "chunk_.*") == [DATA]
        assert interface.context_bundle([cee.AssimilationCtx(f"{bucket}/none", "iowarp::t", "binary")]) == SourceMissing.exit_code
        assert interface.context_retrieve("t", "chunk_.*") == [DATA]
    capsys.readouterr()
    (tmp_path / "bad.yaml").write_text(f'transfers: [{{src: "{bucket}/none", dst: "iowarp::t", format: binary}}]')
    assert cli.main(["bad.yaml", "--check"]) == 5 and "s3://wrp/none does not exist" in capsys.readouterr().err
    assert cli.main(["bad.yaml", "--store", "new", "--quiet"]) == 5 and not (tmp_path / "new").exists()


_TOGETHER = """
import hashlib, sys
from wrp.cae import ingest, omni
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import SourceError, SourceMissing
ranks = world()
with Store.open(None, ranks) as store:
    transfers = [omni.Transfer(1, "s3://wrp/raw.bin", "iowarp::raw", "binary"), omni.Transfer(2, "s3://wrp/a.h5", "iowarp::run", "hdf5")]
    results = ingest.run(omni.Job(tuple(transfers)), store, ranks)
    if ranks.rank == ranks.size - 1:
        print(results[0].checksum, results[1].checksum, hashlib.sha256(b"".join(store.get("raw", f"chunk_{n}") for n in range(4))).hexdigest())
    try:
        ingest.run(omni.Job((omni.Transfer(1, "s3://wrp/none", "iowarp::none", "binary"),)), store, ranks)
    except SourceMissing as error:
        assert "s3://wrp/none does not exist" in str(error)
    else:
        raise AssertionError("nothing was refused")
    # the last rank alone finds another object
    if ranks.rank == ranks.size - 1:
        from wrp.cae.objects.service import Service
        get = Service.get
        Service.get = lambda self, start, nbytes, tag, begun=None: get(self, start, nbytes, '"another"')
    try:
        ingest.run(omni.Job((omni.Transfer(1, "s3://wrp/raw.bin", "iowarp::none", "binary"),)), store, ranks)
    except SourceError as error:
        assert "was changed while it was being read" in str(error), error
    else:
        raise AssertionError("nothing was refused")
    assert not store.exists("none")
    ranks.barrier("all have looked")
"""


@lacks("s3fs", "moto")
@needs_mpirun
@pytest.mark.parametrize("ranks, nodes", [(2, {}), (3, {"WRP_RANKS_PER_NODE": "1"})])
def test_on_several_ranks(bucket, tmp_path, store, ranks, nodes):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("z", data=np.arange(900_000).reshape(900, 1000), chunks=(100, 100), compression=1)
        file["flat"] = np.arange(500_000.0)
    send("a.h5", (tmp_path / "a.h5").read_bytes())
    (tmp_path / "raw.bin").write_bytes(DATA)
    one = ingest.run(job((f"file::{tmp_path}/raw.bin", "raw", "binary", {}), (f"hdf5::{tmp_path}/a.h5", "run", "hdf5", {})), store, world())
    done = run_python(_TOGETHER, ranks, env=nodes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [one[0].checksum, one[1].checksum, hashlib.sha256(DATA).hexdigest()]


def test_whatever_part_of_an_hdf5_object_can_not_be_read_is_told(memory, tmp_path, monkeypatch):
    """None is taken for something that isn't there: a selector's dataset, a dimension scale that is left out."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("time", "lat"):
            file[name] = np.arange(3.0)
            file[name].make_scale(name)
        file["run/tas"] = np.zeros((3, 3))
        for axis, name in enumerate(("time", "lat")):
            file["run/tas"].dims[axis].attach_scale(file[name])
        file["short"] = h5py.SoftLink("/run/tas")
    fsspec.filesystem("memory").pipe_file("/sources/a.h5", (tmp_path / "a.h5").read_bytes())
    stamp, transfer, read = ObjectStamp.of(f"{memory}/a.h5"), omni.Transfer(1, f"{memory}/a.h5", "iowarp::run", "hdf5"), _LibraryFile.readinto

    def surveyed(failing):
        """(reads, what was found) where one of the reads fails."""
        numbers = itertools.count(1)

        def some(file, buffer):
            if next(numbers) == failing:
                raise SourceError("the service is gone")
            return read(file, buffer)
        monkeypatch.setattr(_LibraryFile, "readinto", some)
        found = survey(transfer, stamp, "/short")
        return next(numbers) - 1, ([item.tag for item in found.items], found.notes)

    reads, (tags, notes) = surveyed(0)
    assert tags == ["run", "run/run/tas"] and "refers to /time, /lat, which are left out" in notes[0] and reads > 10
    for number in range(1, reads + 1):
        with pytest.raises(SourceError, match="^the service is gone$"):
            surveyed(number)


def test_other_file_systems_of_fsspec(memory, store):
    ingest.run(job((f"{memory}/raw.bin", "t", "binary", {})), store, world())
    assert b"".join(store.get("t", f"chunk_{number}") for number in range(4)) == DATA
    stamp = ObjectStamp.of(f"{memory}/raw.bin")
    fsspec.filesystem("memory").pipe_file("/sources/raw.bin", DATA[:10])
    with pytest.raises(SourceError, match="was changed while it was being read"):
        stamp.check()
    file = stamp.open()
    with pytest.raises(SourceError, match="gave 9 bytes from byte 1 on where 20 were asked for"):
        file.fill(bytearray(20), 1)


def test_blocks_of_a_transfer_that_failed_are_not_those_of_the_next(memory):
    """The service doesn't tell the two states from each other."""
    for data in (DATA, DATA[::-1]):
        fsspec.filesystem("memory").pipe_file("/sources/raw.bin", data)
        stamp = dataclasses.replace(ObjectStamp.of(f"{memory}/raw.bin"), marks=())
        with pytest.raises(WrpError, match="outside of wrp.comm.collecting.held_off"):
            stamp.for_library().read(100)
        with stamp.reading():
            assert stamp.for_library().read(100) == data[:100]      # and no check: something failed


class _Odd(http.server.BaseHTTPRequestHandler):
    """Gives no ranges at /whole, says no size at /sizeless, says no at /refused, doesn't answer at /hangs, had more bytes at /cut before."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.path.startswith("/refused"):
            self.send_error(403)
            return
        if self.path == "/hangs":
            self.server.is_over.wait(20)
            return
        if self.path.startswith("/cut") and self.command == "GET":
            self.send_error(416, "as this one says it")
            return
        self.send_response(200)
        if self.path != "/sizeless":
            self.send_header("Content-Length", "1000")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(bytes(1000))

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def odd_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    server.is_over = threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()
        forget_http()


def forget_http():
    made = fsspec.get_filesystem_class("http")
    for fs in list(made._cache.values()):
        if fs._session is not None:
            asyn.sync(fs.loop, fs._session.close)
    made.clear_instance_cache()


@lacks("aiohttp")
def test_a_service_that_is_odd(store, monkeypatch):
    monkeypatch.setenv("WRP_TIMEOUT_S", "2")
    with odd_server() as url:
        for path, more, sentence in (("whole", dict(range_size=10), "gave 1000 bytes from byte 0 on where 10 were asked for"),
                                     ("refused?sig=secret", {}, r"refused\?\.\.\. does not exist"),
                                     ("cut", dict(range_size=10), "cut was changed while it was being read"),
                                     ("sizeless", {}, "doesn't say how many bytes it has"), ("hangs", {}, "the service hasn't answered for 1 s")):
            with pytest.raises(SourceError, match=sentence) as caught:
                ingest.run(job((f"{url}/{path}", "t", "binary", more)), store, world())
            assert "secret" not in str(caught.value)
    assert store.tags() == []


@lacks("aiohttp")
def test_secrets_of_a_url_stand_in_no_report(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with odd_server() as url:
        src = url.replace("//", "//u:hush7@") + "/whole?sig=hush7"
        (tmp_path / "jobs.yaml").write_text(f'transfers: [{{src: "{src}", dst: "iowarp::t", format: binary}}]')
        for arguments in (["--check", "--json"], ["--store", "s", "--resume", "done", "--json"]):
            assert cli.main(["jobs.yaml", *arguments]) == 0
            out, err = capfd.readouterr()
            assert json.loads(out)["transfers"][0]["src"] == f"{url}/whole?..." and "hush7" not in out + err
        assert cli.main(["jobs.yaml", "--store", "s", "--resume", "done", "--json"]) == 0 and json.loads(capfd.readouterr().out)["transfers"] == []
        assert "hush7" not in (tmp_path / "done").read_text()


def test_file_systems_that_connect_first_have_a_deadline_too(store, monkeypatch):
    """ftp, sftp and smb wait in the calls of their libraries."""
    monkeypatch.setenv("WRP_TIMEOUT_S", "2")
    silent = socket.create_server(("127.0.0.1", 0))
    with contextlib.closing(silent), pytest.raises(SourceError, match="ftp://127.0.0.1:[0-9]+/x: the service hasn't answered for 1 s"):
        ingest.run(job((f"ftp://u:secret@127.0.0.1:{silent.getsockname()[1]}/x", "t", "binary", {})), store, world())


def test_calls_of_such_a_file_system_have_one_too_and_the_next_has_another_one(store, memory, monkeypatch):
    monkeypatch.setenv("WRP_TIMEOUT_S", "2")
    goes, info, made = threading.Event(), fsspec.get_filesystem_class("memory").info, []

    def hanging(self, path):
        made.append(self)
        if len(made) == 1:
            goes.wait(20)
        return info(self, path)
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "info", hanging)
    with pytest.raises(SourceError, match="hasn't answered for 1 s"):
        ObjectStamp.of(f"{memory}/raw.bin")
    assert ObjectStamp.of(f"{memory}/raw.bin").nbytes == ObjectStamp.of(f"{memory}/raw.bin").nbytes == len(DATA)
    goes.set()
    assert made[0] is not made[1] is made[2]


def test_packages_that_are_missing(monkeypatch, store):
    def missing(protocol):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(SourceError, match="Install s3fs to access S3.*pip install s3fs"):
        service.Service("s3://a/b")
