"""zarr's own suite for stores, and its model of a store, over the blobs of a tag."""

import pytest

zarr = pytest.importorskip("zarr", reason="zarr isn't installed: pip install -e '.[arrays]'")

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from zarr.core.buffer import cpu
from zarr.testing.stateful import ZarrHierarchyStateMachine, ZarrStoreStateMachine
from zarr.testing.store import StoreTests

from wrp.cee.doors.tagstore import TagStore
from wrp.cte import Store


pytestmark = pytest.mark.usefixtures("threads_of_zarr")


class TestTagStore(StoreTests[TagStore, cpu.Buffer]):
    store_cls = TagStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, tmp_path):
        return {"store": str(tmp_path / "store"), "tag": "arrays"}

    @pytest.fixture(autouse=True)
    def closed(self):
        yield
        from wrp.cee import opening

        opening._close_all()

    async def set(self, store, key, value):
        store._handle.writing().put("arrays", key, value.to_bytes())

    async def get(self, store, key):
        return self.buffer_cls.from_bytes(store._handle.reading().get("arrays", key))

    def test_store_repr(self, store):
        assert repr(store).startswith("TagStore(") and str(store) == "wrp://arrays"

    def test_store_supports_writes(self, store):
        assert store.supports_writes

    def test_store_supports_listing(self, store):
        assert store.supports_listing


MODEL = settings(max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("machine", [ZarrStoreStateMachine, ZarrHierarchyStateMachine])
def test_zarr_s_model_of_a_store(machine, memory):
    store = zarr.core.sync.sync(TagStore.open(memory, "model"))
    run_state_machine_as_test(lambda: machine(store), settings=MODEL)


def test_arrays_survive_the_process_s_store(tmp_path):
    values = np.arange(60_000).reshape(200, 300)
    store = TagStore(tmp_path / "store", "experiment")
    group = zarr.create_group(store, attributes={"who": "me"})
    group.create_array("a/b", data=values, chunks=(50, 100))
    store.close()
    with Store.open(tmp_path / "store", write=False) as again:
        assert again.tags() == ["experiment"] and ("experiment", "a/b/c/3/2") in again.blobs("experiment")
        found = zarr.open_group(TagStore(again, "experiment", read_only=True), mode="r")
        assert found.attrs["who"] == "me"
        np.testing.assert_array_equal(found["a/b"][120:140, 5:250], values[120:140, 5:250])


def test_an_open_store_isnt_pickled_and_stays_open(memory):
    import pickle

    store = TagStore(memory, "t")
    with pytest.raises(TypeError, match="isn't pickled"):
        pickle.dumps(store)
    store.close()
    memory.put("t", "still", b"open")


def test_a_folder_without_a_store_is_empty_to_a_reader(tmp_path):
    store = TagStore(tmp_path / "none", "t", read_only=True)
    assert zarr.core.sync.sync(store.is_empty("")) and not (tmp_path / "none").exists()


def test_set_takes_buffers_only(memory):
    with pytest.raises(TypeError, match="must be a Buffer"):
        TagStore(memory, "t").set_sync("key", b"bytes")


def test_xarray_appends_along_a_dimension(memory):
    xarray = pytest.importorskip("xarray", reason="xarray isn't installed: pip install -e '.[arrays]'")
    store = TagStore(memory, "steps")
    for step in range(3):
        piece = xarray.Dataset({"u": (("time", "x"), np.full((2, 50), step))}, coords={"time": [2 * step, 2 * step + 1]})
        piece.to_zarr(store, **{"append_dim": "time"} if step else {"mode": "w"}, consolidated=False)
    found = xarray.open_zarr(store, chunks=None, consolidated=False)
    assert found.u.shape == (6, 50) and found.u[:, 7].values.tolist() == [0, 0, 1, 1, 2, 2] and found.time.values.tolist() == list(range(6))
