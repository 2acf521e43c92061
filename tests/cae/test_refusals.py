"""Places that can't be read or written, on two ranks: every rank ends with one code, one sentence is told, nothing is half done."""

import json
import os
import shutil
import sys

import h5py
import numpy as np
import pytest
from harness.mpirun import mpirun, needs_mpirun

from wrp.cte import Store

# root reads and writes what modes forbid, unless it gives these up
_AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]

_JOB = """
import json, os, shutil, sys
from collections import namedtuple
from wrp.cae import cli
from wrp.cee import cli as cee
from wrp.cte import capacity

codes = []
for arguments in json.loads(sys.argv[1]):
    if arguments[0] == "full disk":
        usage = namedtuple("usage", "total used free")
        capacity.shutil.disk_usage = lambda path: usage(1 << 30, 1 << 30, 1 << 20)
    print(f"== {arguments[0]}", file=sys.stderr, flush=True)
    codes.append((cee if arguments[1] == "wrp_cee" else cli).main(arguments[2:]))
with open(f"codes-{os.environ['OMPI_COMM_WORLD_RANK']}", "w") as file:
    json.dump(codes, file)
"""

_INGEST = ["wrp_cae_omni", "jobs.yaml", "--quiet", "--store"]
_CASES = [
    ("unreadable source", ["wrp_cae_omni", "secret.yaml", "--quiet", "--store", "new"], 5, "secret.bin can't be opened: Permission denied"),
    ("read-only store", [*_INGEST, "readonly"], 7, "readonly is read-only for this user"),
    ("read-only store, destroy", ["wrp_cee", "destroy", "t", "--store", "readonly"], 7, "readonly is read-only for this user"),
    ("store below a read-only folder", [*_INGEST, "readonly/new"], 7, "can't be made or written: Permission denied"),
    ("store that is nobody's business", ["wrp_cee", "ls", "--store", "closed"], 7, "its STORE file can't be read: Permission denied"),
    ("store that is a file", [*_INGEST, "data.bin"], 7, "data.bin is a file, not the folder of a store"),
    ("salvage where no store is", ["wrp_cee", "salvage", "--store", "gone"], 7, "there is no store at"),
    ("export into a read-only folder", ["wrp_cee", "export", "t", "readonly/x", "--store", "good"], 2, "can't be written: choose another place for x"),
    ("store in use", [*_INGEST, "busy"], 7, "is in use by another job"),
    ("missing filter", ["wrp_cae_omni", "filter.yaml", "--quiet", "--store", "new"], 5, "filter 32015 (lzf), which is not installed"),
    ("full tiers", [*_INGEST, "new", "--conf", "small.yaml"], 8, "no tier has room for 1 MiB"),
    ("full disk", [*_INGEST, "other"], 8, "no tier has room for 1 MiB: file target 'data/0'"),
]


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The current folder, with everything in it that the cases name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.bin").write_bytes(os.urandom(9 << 20))
    (tmp_path / "secret.bin").write_bytes(b"x")
    (tmp_path / "secret.bin").chmod(0)
    with h5py.File("filter.h5", "w") as file:
        file.create_dataset("x", data=np.arange(1000), chunks=(100,), compression="lzf")
    data = (tmp_path / "filter.h5").read_bytes()
    at = data.index(b"lzf\0") - 8           # where the filter's number stands
    (tmp_path / "filter.h5").write_bytes(data[:at] + (32015).to_bytes(2, "little") + data[at + 2:])
    for name, source in {"jobs": "file::data.bin", "secret": "file::secret.bin", "filter": "hdf5::filter.h5"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"transfers: [{{src: '{source}', dst: 'iowarp::t', format: any}}]\n")
    (tmp_path / "small.yaml").write_text("storage:\n  - {path: 'ram::small', bdev_type: ram, capacity_limit: 2m}\n"
                                         "  - {path: data, bdev_type: file, capacity_limit: 4m}\n")
    with Store.open("good") as store:
        store.put("t", "b", b"1")
    for name in ("readonly", "closed", "busy"):
        shutil.copytree("good", name)
    _chmod("readonly", 0o555, 0o444)
    (tmp_path / "closed").chmod(0)
    yield tmp_path
    (tmp_path / "closed").chmod(0o755)
    _chmod("readonly", 0o755, 0o644)


def _chmod(folder, of_folders, of_files):
    for root, _, files in os.walk(folder):
        os.chmod(root, of_folders)
        for name in files:
            os.chmod(os.path.join(root, name), of_files)


@needs_mpirun
def test_every_rank_ends_alike(places):
    prefix = [] if os.geteuid() else _AS_ANYBODY
    if prefix and shutil.which("setpriv") is None:
        pytest.skip("root without setpriv (util-linux) can't give up its rights")
    calls = [[name, *arguments] for name, arguments, _, _ in _CASES]
    with Store.open("busy"):
        done = mpirun(2, [*prefix, sys.executable, "-c", _JOB, json.dumps(calls)])
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        assert json.loads((places / f"codes-{rank}").read_text()) == [code for _, _, code, _ in _CASES], done.stderr
    told = [line for line in done.stderr.splitlines() if not line.startswith("== ")]
    assert len(told) == len(_CASES) and done.stdout == "", done.stderr
    for line, (_, _, _, sentence) in zip(told, _CASES):
        assert line.startswith("wrp: ") and sentence in line, line
    assert not os.path.exists("x") and sorted(os.listdir("good")) == sorted(os.listdir("readonly"))
    with Store.open("good", write=False) as store:
        assert store.blobs(".*") == [("t", "b")]
    assert not os.path.exists("new") and not os.path.exists("other")
