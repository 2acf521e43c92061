"""The same calls on several ranks: one answer for all, exports written by all."""

import os
import shutil
import tempfile

import pytest

import wrp_cee as cee
from cee.hard_hdf5 import write
from cee.same_hdf5 import differences
from wrp.cee import explore, export
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchTag, UsageError

pytestmark = pytest.mark.mpi


@pytest.fixture
def shared():
    """A folder that all ranks see, with source.h5 and data.bin in it; removed at the end."""
    ranks = world()
    path = ranks.share(tempfile.mkdtemp() if ranks.rank == 0 else None, "folder of the test")
    if ranks.rank == 0:
        write(os.path.join(path, "source.h5"))
        with open(os.path.join(path, "data.bin"), "wb") as file:
            file.write(os.urandom(3_000_001))
    ranks.barrier("the sources are there")
    yield path
    ranks.barrier("the test is over")
    if ranks.rank == 0:
        shutil.rmtree(path)


def bundle(interface, shared):
    return interface.context_bundle([
        cee.AssimilationCtx(f"hdf5::{shared}/source.h5", "iowarp::run", "hdf5"),
        cee.AssimilationCtx(f"file::{shared}/data.bin", "iowarp::raw", "binary", depends_on="run")])


def test_bundle_query_retrieve_destroy(shared):
    ranks = world()
    with open(os.path.join(shared, "data.bin"), "rb") as file:
        data = file.read()
    with cee.ContextInterface(os.path.join(shared, "store")) as interface:
        assert bundle(interface, shared) == 0
        assert interface.context_query("raw", ".*") == ["chunk_0", "chunk_1", "chunk_2", "description"]
        assert interface.context_retrieve("raw", "chunk_.*") == [data]
        ranks.barrier("all have read")
        assert interface.context_splice("copy", "raw", "chunk_.*") == 0
        assert interface.context_retrieve("copy", ".*") == [data]
        ranks.barrier("all have read")
        assert interface.context_destroy(["run", "raw", "none"]) == 1
        assert isinstance(interface.last_error, NoSuchTag)
        assert interface.context_query(".*", ".*") == ["chunk_0", "chunk_1", "chunk_2"]
        ranks.barrier("all have looked")


def test_export_by_all_ranks(shared):
    ranks = world()
    with cee.ContextInterface(os.path.join(shared, "store")) as interface:
        assert bundle(interface, shared) == 0
    with Store.open(os.path.join(shared, "store"), ranks, write=False) as store:
        nbytes = export.run(store, "run", os.path.join(shared, "again.h5"), ranks)
        export.run(store, "raw", os.path.join(shared, "again.bin"), ranks)
        rows = explore.query(store, "raw", "chunk_.*")
        export.write_rows(store, rows, os.path.join(shared, "again.bin"), ranks, force=True)
        with pytest.raises(UsageError, match="again.bin exists"):
            export.write_rows(store, rows, os.path.join(shared, "again.bin"), ranks)
        with pytest.raises(UsageError, match="again.bin exists"):
            export.run(store, "raw", os.path.join(shared, "again.bin"), ranks)
        assert explore.stat(store, "raw", "chunk_0")[0].size == 1 << 20
        ranks.barrier("all have looked")
    with ranks.agreed("compare the files"):
        if ranks.rank == 0:
            assert nbytes == os.path.getsize(os.path.join(shared, "again.h5"))
            assert differences(os.path.join(shared, "source.h5"), os.path.join(shared, "again.h5")) == []
            with open(os.path.join(shared, "data.bin"), "rb") as one, open(os.path.join(shared, "again.bin"), "rb") as other:
                assert one.read() == other.read()
            assert sorted(os.listdir(shared)) == ["again.bin", "again.h5", "data.bin", "source.h5", "store"]
