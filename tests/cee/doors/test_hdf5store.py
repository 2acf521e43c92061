"""HDF5 files that were taken in, seen by zarr and xarray: equal to what h5py reads, and read no further than asked for."""

import json
import pickle

import h5py
import numpy as np
import pytest

zarr = pytest.importorskip("zarr", reason="zarr isn't installed: pip install -e '.[arrays]'")

from zarr.core.sync import sync

from wrp.cae.hdf5 import layout as layouts
from wrp.cee.doors import described, image
from wrp.cee.doors.hdf5store import Hdf5Store
from wrp.comm.collecting import held_off
from wrp.cte.arrays import get_array
from wrp.errors import NoSuchBlob, NoSuchTag, UsageError, WrpError


pytestmark = pytest.mark.usefixtures("threads_of_zarr")


def keys_of(store, prefix=""):
    async def collected():
        return [key async for key in store.list_prefix(prefix)]
    return sync(collected())


def counted(store, monkeypatch):
    """A list that grows by the number of bytes of every get of the store."""
    seen, plain = [], type(store).get

    def get(tag, blob, offset=0, size=None, out=None):
        found = plain(store, tag, blob, offset, size, out)
        seen.append(found if out is not None else len(found))
        return found
    monkeypatch.setattr(store, "get", get)
    return seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("chunks", ["rows", "source"])
def test_every_array_of_the_zoo_is_what_h5py_reads(taken_in, sources, chunks):
    store = Hdf5Store(taken_in, "zoo", chunks)
    group, checked = zarr.open_group(store, mode="r"), 0
    with h5py.File(sources["zoo"]) as file:
        for key in keys_of(store):
            path, _, name = key.rpartition("/")
            if name != "zarr.json" or not isinstance(file[path or "/"], h5py.Dataset):
                continue
            source, found = file[path], np.asarray(group[path][()])
            assert found.shape == source.shape
            if h5py.check_string_dtype(source.dtype) and source.dtype.kind == "O":
                np.testing.assert_array_equal(found.astype(object), np.asarray(source.asstr()[()]))
            elif found.dtype == source.dtype.newbyteorder("=") or found.dtype.kind == "S":
                np.testing.assert_array_equal(found, source[()])
            else:
                assert found.dtype.itemsize == source.dtype.itemsize and found.tobytes() == np.asarray(source[()]).tobytes()
            checked += 1
    assert checked >= 55


def test_what_cant_be_shown_says_why(taken_in):
    absent = Hdf5Store(taken_in, "zoo").absent
    assert absent == {
        "/soft": "it is a soft link to '/numbers/big'", "/dangling": "it is a soft link to '/nowhere'",
        "/external": "it is an external link to '/x' of 'elsewhere.h5'",
        "/numbers/null": "it has no shape", "/lists/mixed": "parts of its elements are of varying length",
        **dict.fromkeys(("/lists/objects", "/lists/one_row", "/lists/regions", "/lists/rows"), "its elements are of varying length, or references")}


def test_attributes_dimensions_and_groups(taken_in):
    group = zarr.open_group(Hdf5Store(taken_in, "runs/climate"), mode="r")
    assert group.attrs["title"] == "climate" and group["model"].attrs["name"] == "m1"
    temperature = group["temperature"]
    assert temperature.metadata.dimension_names == ("time", "lat", "lon") and temperature.attrs["units"] == "K"
    assert group["model/levels"].metadata.dimension_names == ("phony_dim_5",)
    assert group["model/levels"][...].tolist() == [0, 1, 2, 3, 4]
    assert sorted(group.members()) and "temperature" in dict(group.members())


def test_a_small_selection_reads_little(taken_in, monkeypatch):
    seen = counted(taken_in, monkeypatch)
    with zarr_open(taken_in) as array:
        assert sum(seen) < 100_000                  # the layout and the file's metadata
        del seen[:]
        array[3, 10:12, 5]
        assert 0 < sum(seen) <= described.CHUNK_NBYTES < array.nbytes / 2
        del seen[:]
        array[...]
        assert array.nbytes <= sum(seen) <= array.nbytes * 1.01


class zarr_open:
    def __init__(self, store):
        self._store = Hdf5Store(store, "runs/climate")

    def __enter__(self):
        return zarr.open_group(self._store, mode="r")["temperature"]

    def __exit__(self, *_):
        self._store.close()


def test_xarray_opens_it_lazily(taken_in, sources, monkeypatch):
    xarray = pytest.importorskip("xarray", reason="xarray isn't installed: pip install -e '.[arrays]'")
    seen = counted(taken_in, monkeypatch)
    found = xarray.open_zarr(Hdf5Store(taken_in, "runs/climate"), chunks=None)
    assert sum(seen) < 120_000                      # metadata and the coordinates
    with h5py.File(sources["climate"]) as file:
        values = file["temperature"][...]
    assert float(found.temperature[2, 3, 4]) == values[2, 3, 4] and np.isnan(found.temperature[0, 0, 0])
    assert str(found.time[1].values).startswith("2000-01-02") and found.temperature.dims == ("time", "lat", "lon")
    south = found.temperature.sel(time="2000-01-05", lat=slice(-90, -60))
    np.testing.assert_array_equal(south.values.squeeze(), values[4, :30])


@pytest.mark.parametrize(("tag", "sentence"), [("nope", "there is no tag 'nope'"), ("runs/table.csv", "tag 'runs/table.csv' is no context of an HDF5 file")])
def test_zarr_says_which_tag_is_no_hdf5_file(taken_in, tag, sentence):
    for look in (zarr.open_group, zarr.open):
        with pytest.raises(NoSuchTag, match=sentence):
            look(Hdf5Store(taken_in, tag), mode="r")


def test_keys_documents_and_ranges(taken_in):
    store = Hdf5Store(taken_in, "runs/climate")
    keys = keys_of(store)
    assert {"zarr.json", "model/zarr.json", "temperature/c/0/0/0"} < set(keys)
    for key in keys:
        assert sync(store.exists(key)) and store.get_sync(key) is not None
        assert len(store.get_sync(key)) == store._opened().nbytes(key)
    for key in ("", "c/0", "temperature", "temperature/c/99/0/0", "temperature/c/0", "temperature/c/0/0/00", "nothing/zarr.json"):
        assert store.get_sync(key) is None and not sync(store.exists(key))
    whole = store.get_sync("lat/c/0").to_bytes()
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

    assert store.get_sync("lat/c/0", byte_range=RangeByteRequest(3, 9)).to_bytes() == whole[3:9]
    assert store.get_sync("lat/c/0", byte_range=OffsetByteRequest(100)).to_bytes() == whole[100:]
    assert store.get_sync("lat/c/0", byte_range=SuffixByteRequest(7)).to_bytes() == whole[-7:]
    assert json.loads(store.get_sync("zarr.json").to_bytes())["consolidated_metadata"]["metadata"].keys() >= {"lat", "model", "model/levels"}
    assert keys_of(store, "model/") == ["model/zarr.json", "model/levels/zarr.json", "model/levels/c/0"]


def test_refusals(taken_in):
    with pytest.raises(NoSuchTag, match="no context of an HDF5 file"):
        Hdf5Store(taken_in, "runs/table.csv").get_sync("zarr.json")
    with pytest.raises(UsageError, match="none of rows, source"):
        Hdf5Store(taken_in, "zoo", "columns")
    with pytest.raises(UsageError, match="can't be changed through zarr"):
        Hdf5Store(taken_in, "zoo", read_only=False)
    with pytest.raises(ValueError, match="read-only"):
        sync(Hdf5Store(taken_in, "zoo").set("key", None))


@pytest.mark.parametrize("tag, what", [("runs/climate/temperature", r"dataset that was taken in \(tensor<float32, 16, 180, 360>\)"), ("zoo", "file that was taken in .hdf5<size=.*>.")])
def test_what_isnt_of_put_array_says_who_reads_it(taken_in, tag, what):
    with pytest.raises(NoSuchBlob, match=f"tag '{tag}' holds no array: it is an HDF5 {what}, which wrp.cee.doors.hdf5store.Hdf5Store reads"):
        get_array(taken_in, tag)
    with pytest.raises(NoSuchBlob, match="holds no array: it has no blob 'array'"):
        get_array(taken_in, "runs/table.csv")


def test_it_is_pickled_by_its_folder(sources):
    store = Hdf5Store(sources["store"], "zoo")
    again = pickle.loads(pickle.dumps(store))
    assert again == store and again.get_sync("zarr.json").to_bytes() == store.get_sync("zarr.json").to_bytes()
    for each in (store, again):
        each.close()


@pytest.mark.parametrize("shape, itemsize, expected", [
    ((), 8, ()), ((10,), 8, (10,)), ((1_000_000,), 8, (196_608,)), ((100, 3000), 8, (65, 3000)), ((5, 3_000_000), 4, (1, 393_216)),
    ((0, 4), 8, (1, 4)), ((3, 4, 5), 1, (3, 4, 5)), ((4, 2), 1 << 21, (1, 1)),
])
def test_rows_are_runs_of_about_a_blob(shape, itemsize, expected):
    assert described.rows(shape, itemsize) == expected


def test_runs_are_the_elements_of_a_box():
    shape = (4, 5, 6)
    stream = np.arange(120)
    for start, extent in (((0, 0, 0), (4, 5, 6)), ((1, 0, 0), (2, 5, 6)), ((1, 2, 0), (2, 2, 6)), ((0, 1, 2), (3, 2, 3)), ((3, 4, 5), (1, 1, 1))):
        box = stream.reshape(shape)[tuple(slice(a, a + n) for a, n in zip(start, extent))].ravel()
        found = np.empty_like(box)
        for first, at, count in described.runs(shape, start, extent):
            found[at:at + count] = stream[first:first + count]
        np.testing.assert_array_equal(found, box)


def test_an_image_is_read_while_collections_are_held_off_or_refused(taken_in):
    layout = layouts.unpack(taken_in.get("zoo", layouts.BLOB))
    with pytest.raises(WrpError, match="the image of 'zoo' is read by h5py outside of wrp.comm.collecting.held_off"):
        image.opened(taken_in, "zoo", layout)
    with held_off():
        file = image.opened(taken_in, "zoo", layout)
    with pytest.raises(WrpError, match="outside of wrp.comm.collecting.held_off"):
        file.visititems(lambda name, thing: dict(thing.attrs))
    with held_off():
        file.visititems(lambda name, thing: None)
        file.close()
