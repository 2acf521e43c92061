"""Exports are equal to what was taken in: HDF5 by a walk over everything, other tags byte by byte."""

import os
import shutil
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

import wrp_cee as cee
from cee.hard_hdf5 import write
from cee.same_hdf5 import differences
from harness.mpirun import find_mpirun, job_environment, needs_mpirun
from wrp.cae import ingest, omni
from wrp.cee import export, filling, rebuild, writing
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import Corrupt, NoSuchTag, UsageError


@pytest.fixture
def store(folder):
    with Store.open(folder) as opened:
        yield opened


def take_in(store, path, protocol="hdf5", **more):
    transfer = omni.Transfer(1, f"{protocol}::{path}", "iowarp::run", protocol, **more)
    ingest.run(omni.Job((transfer,)), store, world())


@pytest.mark.parametrize("libver, userblock", [("earliest", 0), ("latest", 0), ("v110", 512)])
def test_file_with_one_of_everything(store, tmp_path, libver, userblock):
    source, target = tmp_path / "source.h5", tmp_path / "again.h5"
    write(source, libver, userblock)
    take_in(store, source)
    nbytes = export.run(store, "run", target, world())
    assert nbytes == target.stat().st_size
    assert differences(source, target) == []
    assert target.read_bytes()[:userblock] == source.read_bytes()[:userblock]


def test_bytes_of_blobs_under_the_name_of_an_hdf5_file_are_said_to_be_none(store, tmp_path):
    store.put("mine", "field", np.arange(10.0))
    for name, form, found in (("mine.h5", "", 1), ("mine.NC", "", 1), ("mine.bin", "", 0), ("whole.h5", "hdf5", 0)):
        export.run(store, "mine", tmp_path / name, world(), form=form)
        notes = export.notes(store, "mine", tmp_path / name)
        assert len(notes) == found and all("is no HDF5 file" in note and "--format hdf5" in note for note in notes), name


@pytest.mark.skipif(shutil.which("h5diff") is None, reason="no h5diff on PATH")
def test_h5diff_finds_no_difference(store, tmp_path):
    source, target = tmp_path / "source.h5", tmp_path / "again.h5"
    write(source)
    take_in(store, source)
    export.run(store, "run", target, world())
    # h5diff alone has no lzf: that dataset it can't even compare with itself
    done = subprocess.run(["h5diff", "--exclude-path", "/filtered/lzf", source, target], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    with h5py.File(target, "r+") as file:
        file["chunked/flat"][0, 0] += 1
    done = subprocess.run(["h5diff", "--exclude-path", "/filtered/lzf", source, target], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1


def test_bands_too_large_to_hold_are_read_chunk_by_chunk(store, tmp_path, monkeypatch):
    write(tmp_path / "source.h5")
    take_in(store, tmp_path / "source.h5")
    monkeypatch.setattr(rebuild, "_HELD_NBYTES", 1000)
    export.run(store, "run", tmp_path / "again.h5", world())
    assert differences(tmp_path / "source.h5", tmp_path / "again.h5") == []


def test_what_the_filter_left_out_is_left_out_again(store, tmp_path):
    write(tmp_path / "source.h5")
    take_in(store, tmp_path / "source.h5", include=("/numbers/*",), exclude=("*/scalar",))
    export.run(store, "run", tmp_path / "again.h5", world())
    with h5py.File(tmp_path / "source.h5") as source, h5py.File(tmp_path / "again.h5") as again:
        assert set(again["numbers"]) == set(source["numbers"]) - {"scalar"}
        assert not len(again["chunked"]) and again.attrs["title"] == "everything"
        assert np.array_equal(again["numbers/large"][()], source["numbers/large"][()])


def test_same_hdf5_sees_differences(tmp_path):
    write(tmp_path / "a.h5")
    shutil.copy(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        file["chunked/flat"][1, 77] += 1
        file["chunked/edges"].attrs["new"] = 1
        del file["also"]
        file["also"] = np.arange(3)
    found = "\n".join(differences(tmp_path / "a.h5", tmp_path / "b.h5"))
    for path in ("/also", "/chunked/flat: values", "/chunked/edges@new"):
        assert path in found


def test_raw_file_and_range(store, tmp_path, raw):
    path, data = raw
    take_in(store, path, "file")
    export.run(store, "run", tmp_path / "again", world())
    assert (tmp_path / "again").read_bytes() == data
    take_in(store, path, "file", range_off=100, range_size=1500000)
    export.run(store, "run", tmp_path / "again", world(), force=True)
    assert (tmp_path / "again").read_bytes() == data[100:1500100]


def test_other_tags_give_their_blobs_in_natural_order(store, tmp_path):
    for number in range(12):
        store.put("mine", f"part_{number}", bytes([number]) * number)
    export.run(store, "mine", tmp_path / "out", world())
    assert (tmp_path / "out").read_bytes() == b"".join(bytes([number]) * number for number in range(12))


def test_names_may_be_as_long_as_names_can_be(store, tmp_path):
    store.put("mine", "blob", b"x")
    export.run(store, "mine", tmp_path / ("n" * 255), world())
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


def test_tag_of_a_dataset_gives_its_values(store, tmp_path):
    write(tmp_path / "source.h5")
    take_in(store, tmp_path / "source.h5")
    export.run(store, "run/chunked/flat", tmp_path / "out", world())
    with h5py.File(tmp_path / "source.h5") as file:
        assert (tmp_path / "out").read_bytes() == file["chunked/flat"][()].tobytes()


def test_refusals_leave_nothing_behind(store, tmp_path, raw):
    path, data = raw
    take_in(store, path, "file")
    store.delete("run", "chunk_1")
    before = sorted(os.listdir(tmp_path))
    for arguments, error in ((("run", tmp_path / "x"), Corrupt), (("none", tmp_path / "x"), NoSuchTag),
                             (("run", path), UsageError), (("run", tmp_path), UsageError),
                             (("run", tmp_path / "no" / "x"), UsageError)):
        with pytest.raises(error):
            export.run(store, *arguments, world())
    assert sorted(os.listdir(tmp_path)) == before
    with open(path, "rb") as file:
        assert file.read() == data


KILLED = """
import os, signal, sys
from wrp.cee import cli, filling
filling.write_all = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.main(["export", "mine", sys.argv[2], "--store", sys.argv[1]])
"""


def test_killed_export_leaves_nothing_under_its_name(folder, tmp_path):
    with Store.open(folder) as store:
        store.put("mine", "blob", b"x" * 1000)
    done = subprocess.run([sys.executable, "-c", KILLED, folder, tmp_path / "out"], timeout=60, env=job_environment())
    assert done.returncode == -signal.SIGKILL
    left = sorted(os.listdir(tmp_path))
    assert left[-1] == "store" and [name for name in left[:-1] if not (name.startswith(".out.") and name.endswith(".part"))] == []
    (tmp_path / ".out.other.part").write_bytes(b"somebody's")
    with Store.open(folder, write=False) as store:
        assert export.run(store, "mine", tmp_path / "out", world()) == 1000
    assert sorted(os.listdir(tmp_path)) == [".out.other.part", "out", "store"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_export_leaves_nothing(store, tmp_path, monkeypatch, error):
    def interrupted(*_):
        assert [name for name in os.listdir(tmp_path) if name.endswith(".part")]
        raise error

    store.put("mine", "blob", b"x" * 1000)
    monkeypatch.setattr(filling, "write_all", interrupted)
    with pytest.raises(error):
        export.run(store, "mine", tmp_path / "out", world())
    assert os.listdir(tmp_path) == ["store"]


STOPPED = """
import sys, time
from wrp.cee import cli, filling
def stuck(*_):
    print("writing", flush=True)
    time.sleep(40)
filling.write_all = stuck
sys.exit(cli.main(["export", "mine", sys.argv[2], "--store", sys.argv[1]]))
"""


@needs_mpirun
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stopped_job_leaves_no_part_of_an_export(folder, tmp_path, how):
    with Store.open(folder) as store:
        for number in range(2):
            store.put("mine", f"blob_{number}", b"x" * 1000)
    command = [find_mpirun(), "-n", "2", sys.executable, "-c", STOPPED, folder, str(tmp_path / "out")]
    with subprocess.Popen(command, env=job_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          start_new_session=True) as job:
        assert [job.stdout.readline() for _ in range(2)] == [b"writing\n"] * 2
        assert [name for name in os.listdir(tmp_path) if name.endswith(".part")]
        job.send_signal(how)
        assert job.wait(timeout=30) != 0
    assert os.listdir(tmp_path) == ["store"]


def test_export_leaves_that_of_a_running_one_alone(store, tmp_path, monkeypatch):
    store.put("mine", "blob", b"x" * 1000)
    with writing.aside(tmp_path / "out", world()) as temporary:
        writing.reserve(temporary, 10)
        export.run(store, "mine", tmp_path / "out", world())
        assert os.path.exists(temporary)


def test_missing_chunk_of_an_hdf5_context_is_corrupt(store, tmp_path):
    write(tmp_path / "source.h5")
    take_in(store, tmp_path / "source.h5")
    store.delete("run/chunked/flat", "chunk_1")
    with pytest.raises(Corrupt, match="run/chunked/flat"):
        export.run(store, "run", tmp_path / "again.h5", world())
    assert not (tmp_path / "again.h5").exists()


def test_bundle_then_export(folder, tmp_path):
    write(tmp_path / "source.h5")
    with cee.ContextInterface(folder) as interface:
        assert interface.context_bundle([cee.AssimilationCtx(f"hdf5::{tmp_path / 'source.h5'}", "iowarp::run", "hdf5")]) == 0
    with Store.open(folder, write=False) as store:
        export.run(store, "run", tmp_path / "again.h5", world())
    assert differences(tmp_path / "source.h5", tmp_path / "again.h5") == []
