"""Jobs on several ranks: the same store for any number of them, and errors that all of them have."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest

from wrp.cae import ingest, omni, source
from wrp.comm import cached
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import SourceError, SourceMissing

from . import reading, zoo

pytestmark = pytest.mark.mpi


@pytest.fixture
def folder():
    """One folder for all ranks, with a zoo file in it."""
    ranks = world()
    path = ranks.share(tempfile.mkdtemp(prefix="wrp-ingest-") if ranks.rank == 0 else None, "test folder")
    with ranks.agreed("building the zoo"):
        if ranks.rank == 0:
            zoo.build(Path(path) / "zoo.h5")
    yield Path(path)
    ranks.barrier("end of the test")
    if ranks.rank == 0:
        shutil.rmtree(path)


def test_all_ranks_together_take_in_what_one_would(folder):
    ranks = world()
    transfers = (omni.Transfer(1, f"hdf5::{folder}/zoo.h5", "iowarp::run", "hdf5"),
                 omni.Transfer(2, f"file::{folder}/zoo.h5", "iowarp::raw", "binary"))
    with Store.open(None, ranks) as store:
        results = ingest.run(omni.Job(transfers), store, ranks)
        assert ranks.gather(results, "results") == [results] * ranks.size
        raw = b"".join(store.get(*blob) for blob in store.blobs("raw", "chunk_.*"))
        assert hashlib.sha256(raw).digest() == hashlib.sha256((folder / "zoo.h5").read_bytes()).digest()
        for item in reading.survey(transfers[0].src).items[ranks.rank::ranks.size]:
            data = b"".join(store.get(item.tag, f"chunk_{number}") for number in range(item.blobs))
            assert data == reading.whole(item), item.tag
        ranks.barrier("all read")


def _unreadable(*_):
    raise SourceError("no more to read")


def test_errors_are_the_same_on_all_ranks(folder, monkeypatch):
    ranks = world()
    job = omni.Job((omni.Transfer(1, f"file::{folder}/none", "iowarp::t", "binary"),))
    with Store.open(None, ranks) as store:
        with pytest.raises(SourceMissing, match="does not exist"):
            ingest.run(job, store, ranks)
        # only the last rank can't read
        if ranks.rank == ranks.size - 1:
            monkeypatch.setattr(cached, "take", lambda *_: 0)
            monkeypatch.setattr(source, "fill", _unreadable)
        job = omni.Job((omni.Transfer(1, f"file::{folder}/zoo.h5", "iowarp::t", "binary"),))
        named = f".*rank {ranks.size - 1} on" if ranks.size > 1 else ""
        with pytest.raises(SourceError, match=f"no more to read{named}"):
            ingest.run(job, store, ranks)
        assert store.tags() == []
        ranks.barrier("all looked")
