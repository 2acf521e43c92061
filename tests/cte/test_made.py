"""A store that wasn't there before and ends by an error: what it kept stays, and one that kept nothing leaves nothing on the disk."""

import os
import sys

import pytest

from harness.mpirun import mpirun, needs_mpirun
from wrp.cte import Store
from wrp.errors import OutOfSpace
from wrp.runtime.config import load


def ends(folder, config=None, work=lambda store: None):
    with pytest.raises(LookupError):
        with Store.open(folder, config=config) as store:
            work(store)
            raise LookupError("an error of the caller")


def test_a_new_store_that_kept_nothing_goes_with_the_folders_made_for_it(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    conf = tmp_path / "conf.yaml"
    conf.write_text(f"storage: [{{path: 'ram::x', bdev_type: ram, capacity_limit: 8m}}, {{path: {elsewhere}/data, bdev_type: file, capacity_limit: 8m}}]")
    ends(tmp_path / "a" / "b" / "store", load(conf))
    assert sorted(os.listdir(tmp_path)) == ["conf.yaml", "elsewhere"] and os.listdir(elsewhere) == []


def test_what_was_put_stays(tmp_path):
    ends(tmp_path / "store", work=lambda store: store.put("t", "b", b"kept"))
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("t", "b") == b"kept"


def test_a_setting_that_was_kept_stays(tmp_path):
    ends(tmp_path / "store", work=lambda store: store.set_compression("t", "zlib"))
    assert os.path.exists(tmp_path / "store" / "STORE")


def test_a_folder_or_a_store_that_was_there_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    Store.open(tmp_path / "empty").close()
    for name in ("mine", "empty"):
        ends(tmp_path / name)
        with Store.open(tmp_path / name, write=False) as store:
            assert store.tags() == []


@pytest.mark.parametrize("place", ["run.log", "data/mine.bin", "results/1"])
def test_files_that_the_program_has_put_there_stay(tmp_path, place):
    def work(store):
        os.makedirs(os.path.dirname(tmp_path / "store" / place), exist_ok=True)
        (tmp_path / "store" / place).write_text("mine")

    ends(tmp_path / "store", work=work)
    assert (tmp_path / "store" / place).read_text() == "mine"
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.tags() == []


def test_an_opening_that_fails_leaves_nothing(tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text("runtime: {segment_capacity: 1m}\nstorage: [{path: 'ram::x', bdev_type: ram, capacity_limit: 64m}]")
    with pytest.raises(OutOfSpace):
        Store.open(tmp_path / "store", config=load(conf))
    assert os.listdir(tmp_path) == ["conf.yaml"]


_JOB = """
import sys
from wrp.comm.ranks import run
from wrp.cte import Store
def main(ranks):
    with Store.open(sys.argv[1], ranks) as store:
        with ranks.agreed("what only the last rank refuses"):
            if ranks.rank == ranks.size - 1:
                raise LookupError("no")
sys.exit(run(main))
"""


@needs_mpirun
@pytest.mark.parametrize("nodes", [{}, {"WRP_RANKS_PER_NODE": "1"}], ids=["one node", "two nodes"])
def test_nothing_is_left_by_two_ranks(tmp_path, nodes):
    done = mpirun(2, [sys.executable, "-c", _JOB, tmp_path / "store"], env=nodes)
    assert done.returncode != 0 and "LookupError" in done.stderr, done.stderr
    assert os.listdir(tmp_path) == []


_HIDDEN = """
import os, sys
from wrp.comm.ranks import run
from wrp.cte import Store, made
from wrp.errors import StoreError
def main(ranks):
    if ranks.rank == 0:
        made.os.listdir = lambda path: []           # a file system that shows names of other machines later
    with Store.open(sys.argv[1], ranks) as store:
        store.put("t", f"b{ranks.rank}", b"kept")
        if ranks.rank:
            store.flush()
        with ranks.agreed("what comes after the flush"):
            raise StoreError("no")
sys.exit(run(main))
"""


@needs_mpirun
def test_what_another_rank_has_flushed_stays_though_the_first_does_not_see_it(tmp_path):
    done = mpirun(2, [sys.executable, "-c", _HIDDEN, tmp_path / "store"])
    assert done.returncode != 0 and "no" in done.stderr, done.stderr
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("t", "b1") == b"kept"
