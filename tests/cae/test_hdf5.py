"""The HDF5 assimilator against h5py: every dataset's bytes, and an image that covers the rest of the file exactly once."""

import struct

import h5py
import numpy as np
import pytest

from wrp.cae.hdf5 import chunked, filters, layout
from wrp.errors import NothingMatched, SourceError, SourceMissing

from . import reading, zoo

FILES = {"plain": {}, "userblock": {"userblock_size": 1024}, "latest": {"libver": "latest", "track_order": True}}


@pytest.fixture(scope="module", params=FILES)
def file(request, tmp_path_factory):
    return zoo.build(tmp_path_factory.mktemp("zoo") / "zoo.h5", **FILES[request.param])


def expected(dataset):
    """The stream of a dataset, made from what h5py reads; None where there is no stream."""
    if dataset.shape is None or dataset.name in ("/lists/objects", "/lists/regions", "/lists/mixed"):
        return None
    if dataset.name.startswith("/lists"):
        values = [dataset[()]] if dataset.shape == () else dataset[()].reshape(-1)
        values = [bytes(value) if isinstance(value, bytes) else np.asarray(value).tobytes() for value in values]
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    return dataset[()].tobytes()


def test_every_dataset_has_the_bytes_that_h5py_reads(file):
    items = {item.tag: item for item in reading.survey(f"hdf5::{file}").items[1:]}
    with h5py.File(file, locking=False) as source:
        names = {}
        source.visititems(lambda name, found: names.update({name: found}))
        datasets = {name: found for name, found in names.items() if isinstance(found, h5py.Dataset)}
        assert set(items) == {"run/" + name for name in datasets}
        for name, dataset in datasets.items():
            assert reading.whole(items["run/" + name]) == (expected(dataset) or b""), name


def test_image_and_raw_data_cover_the_file_exactly_once(file):
    found = reading.survey(f"hdf5::{file}")
    image, (name, packed) = found.items[0], found.items[0].extras[0]
    record = layout.unpack(packed)
    assert name == layout.BLOB
    with open(file, "rb") as source:
        data = source.read()
    seen = np.zeros(record.nbytes, np.uint8)
    for start, size in zip(record.image_offsets, record.image_nbytes):
        seen[start:start + size] += 1
    for dataset in record.datasets:
        if dataset.offset is not None:
            seen[dataset.offset:dataset.offset + dataset.nbytes] += 1
        for start, size in zip(dataset.chunks.offsets, dataset.chunks.sizes) if dataset.chunks else ():
            seen[start:start + size] += 1
    assert len(data) == record.nbytes and np.all(seen == 1)
    runs = [data[start:start + size] for start, size in zip(record.image_offsets, record.image_nbytes)]
    assert reading.whole(image) == b"".join(runs)


def test_chunks_that_do_not_fit_the_cache_are_decoded_again(file, monkeypatch):
    before = {item.tag: reading.whole(item) for item in reading.survey(f"hdf5::{file}:/chunked").items}
    monkeypatch.setattr(chunked, "_CACHE_NBYTES", 1)
    for item in reading.survey(f"hdf5::{file}:/chunked").items:
        cuts = [*range(0, item.nbytes, max(1, item.nbytes // 5)), item.nbytes]
        assert b"".join(reading.pieces(item, cuts)) == before[item.tag], item.tag


@pytest.mark.parametrize("itemsize", [1, 2, 3, 4, 8, 16, 24])
@pytest.mark.parametrize("mask", range(4))
def test_filters_decode_what_they_encode(itemsize, mask):
    pipeline = [[filters.SHUFFLE, itemsize], [filters.DEFLATE, 5]]
    data = np.random.default_rng(1).integers(0, 9, 50 * itemsize).astype(np.uint8)
    out = np.zeros_like(data)
    filters.decode(filters.encode(data, pipeline, mask, itemsize), pipeline, mask, out, itemsize)
    assert np.array_equal(out, data)


def test_without_libdeflate(file, monkeypatch):
    monkeypatch.setattr(filters, "deflate", None)
    test_every_dataset_has_the_bytes_that_h5py_reads(file)


def test_values_in_other_files_are_taken_in_and_said(tmp_path):
    data = np.arange(40, dtype="<i2")
    data.tofile(tmp_path / "raw.bin")
    with h5py.File(tmp_path / "outer.h5", "w") as source:
        source.create_dataset("x", (40,), "<i2", external=[(str(tmp_path / "raw.bin"), 0, 80)])
    found = reading.survey(f"hdf5::{tmp_path}/outer.h5")
    assert reading.whole(found.items[1]) == data.tobytes()
    assert "external storage" in found.notes[0]


def test_fill_value_is_known_wherever_a_chunk_reaches_beyond_the_extent(tmp_path):
    with h5py.File(tmp_path / "edges.h5", "w") as source:
        source.create_dataset("edge", data=np.zeros(7, "<i4"), chunks=(5,), maxshape=(None,), fillvalue=9, compression=1)
        source.create_dataset("whole", data=np.zeros(10, "<i4"), chunks=(5,), fillvalue=9)
        source["type"] = zoo.POINT
        source.create_dataset("kind", (7,), source["type"], chunks=(5,), fillvalue=np.array((1, 2, b"three"), zoo.POINT))[...] = 0
    record = layout.unpack(reading.survey(f"hdf5::{tmp_path}/edges.h5").items[0].extras[0][1])
    edge, kind, whole = record.datasets
    assert (edge.fill, whole.fill) == (np.int32(9).tobytes(), b"")
    assert kind.fill == np.array((1, 2, b"three"), zoo.POINT).tobytes()


def test_storages(file):
    record = layout.unpack(reading.survey(f"hdf5::{file}").items[0].extras[0][1])
    storages = {dataset.paths[0]: dataset.storage for dataset in record.datasets}
    for name, storage in storages.items():
        if name.startswith(("/others", "/lists")) or name in ("/numbers/empty", "/numbers/null"):
            assert storage == "kept", name
        elif name.startswith("/chunked"):
            assert storage == ("chunked" if name in ("/chunked/gaps",) or "plain" in name else "gzip"), name
        else:
            assert storage == "contiguous", name
    aliases = {dataset.paths[0]: dataset.paths for dataset in record.datasets if len(dataset.paths) > 1}
    assert aliases == {"/alias": ["/alias", "/numbers/big"], "/numbers/again": ["/numbers/again", "/numbers/type<i4"]}


def test_descriptions(file):
    words = {item.tag.removeprefix("run/numbers/"): item.description for item in reading.survey(f"hdf5::{file}").items}
    assert words["type<i4"] if "type<i4" in words else words["again"] == "tensor<int32, 3, 4, 5>"
    assert words["type<u8"] == "tensor<int64, 3, 4, 5>"
    assert words["type>f8"] == "tensor<float64, 3, 4, 5>"
    assert words["type<f4"] == "tensor<float32, 3, 4, 5>"
    assert words["type<f2"] == words["type<i1"] == "tensor<unknown, 3, 4, 5>"
    assert words["scalar"] == "tensor<float64>"
    assert words["empty"] == "tensor<float64, 0, 4>"
    assert words["run"].startswith("hdf5<size=")


@pytest.mark.parametrize("selector, filters, tags", [
    ("/numbers/scalar", {}, ["numbers/scalar"]),
    ("/structures", {"include": ("*/f*", "*/o*")}, ["structures/fixed", "structures/opaque"]),
    ("", {"include": ("/numbers/type*",), "exclude": ("*<*", "*i4")}, ["numbers/type>f8"]),
    ("", {"include": ("/numbers/big",)}, ["numbers/big"]),
    ("/soft", {}, ["alias"]),
    ("/same_group/", {"include": ("*/long",)}, ["chunked/long"]),
])
def test_selection(file, selector, filters, tags):
    found = reading.survey(f"hdf5::{file}:{selector}" if selector else f"hdf5::{file}", **filters)
    assert [item.tag for item in found.items[1:]] == ["run/" + tag for tag in tags]
    record = layout.unpack(found.items[0].extras[0][1])
    assert [dataset.tag for dataset in record.datasets if dataset.storage != "left_out"] == ["run/" + tag for tag in tags]
    # raw data that isn't asked for isn't kept either
    assert found.items[0].nbytes < record.nbytes - 4_000_000


@pytest.mark.parametrize("src, filters", [(":/nombers", {}), ("", {"include": ("/numbers/None*",)}), ("", {"exclude": ("*",)})])
def test_nothing_matched(file, src, filters):
    with pytest.raises(NothingMatched, match="no dataset matches"):
        reading.survey(f"hdf5::{file}{src}", **filters)


def test_layout_survives_packing_and_knows_its_tags(file):
    packed = reading.survey(f"hdf5::{file}").items[0].extras[0][1]
    again = layout.unpack(packed)
    assert again.pack() == packed
    assert "run/numbers/scalar" in layout.dataset_tags(packed, "run")
    assert layout.dataset_tags(b"somebody else's", "run") == []


def test_names_that_are_not_utf8(tmp_path):
    with h5py.File(tmp_path / "names.h5", "w") as source:
        source[b"caf\xe9"] = np.arange(4)
    found = reading.survey(f"hdf5::{tmp_path}/names.h5")
    assert found.items[1].tag == "run/caf\\xe9"
    assert layout.unpack(found.items[0].extras[0][1]).datasets[0].paths[0].encode("utf-8", "surrogateescape") == b"/caf\xe9"


def test_a_file_without_datasets_is_an_image(tmp_path):
    with h5py.File(tmp_path / "bare.h5", "w") as source:
        source.attrs["a"] = 1
    item, = reading.survey(f"hdf5::{tmp_path}/bare.h5").items
    assert reading.whole(item) == (tmp_path / "bare.h5").read_bytes()


class TestDamage:
    """Files that aren't what they claim to be."""

    @pytest.fixture
    def small(self, tmp_path):
        path = tmp_path / "small.h5"
        with h5py.File(path, "w") as source:
            source.create_dataset("z", data=np.arange(1000), chunks=(100,), compression=1, shuffle=True)
            source["c"] = np.arange(1000)
        return path

    def test_missing(self, tmp_path):
        with pytest.raises(SourceMissing, match="does not exist"):
            reading.survey(f"hdf5::{tmp_path}/none.h5")

    def test_not_hdf5(self, tmp_path):
        (tmp_path / "text.h5").write_text("x" * 5000)
        with pytest.raises(SourceError, match="is not an HDF5 file"):
            reading.survey(f"hdf5::{tmp_path}/text.h5")

    def test_cut_short(self, small):
        small.write_bytes(small.read_bytes()[:-200])
        with pytest.raises(SourceError, match="cut short"):
            reading.survey(f"hdf5::{small}")

    def test_damaged_chunk(self, small):
        found = reading.survey(f"hdf5::{small}")
        with h5py.File(small, "r") as source:
            at = source["z"].id.get_chunk_info(3).byte_offset
        with open(small, "r+b") as raw:
            raw.seek(at)
            raw.write(b"\xff" * 20)
        item = next(item for item in found.items if item.tag == "run/z")
        with pytest.raises(SourceError, match=f"at byte {at} of the file"):
            reading.whole(item)

    def test_overlapping_raw_data(self, small, monkeypatch):
        from wrp.cae.hdf5 import storage
        monkeypatch.setattr(storage, "runs", lambda record: np.array([[600, 100]]))
        with pytest.raises(SourceError, match="two datasets hold the same bytes at 600"):
            reading.survey(f"hdf5::{small}")

    def test_missing_filter(self, small, monkeypatch):
        monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
        with pytest.raises(SourceError, match=r"small.h5:/z is encoded with filter 2 \(shuffle\), which is not installed"):
            reading.survey(f"hdf5::{small}")


@pytest.fixture
def scaled(tmp_path):
    """A file whose datasets tas and pr have the dimension scales time and lat."""
    with h5py.File(tmp_path / "scaled.h5", "w") as file:
        file["time"], file["lat"] = np.arange(2), np.arange(3)
        for axis, scale in enumerate(("time", "lat")):
            file[scale].make_scale(scale)
            for name in ("tas", "pr"):
                file.require_dataset(name, (2, 3), "f8").dims[axis].attach_scale(file[scale])
    return f"hdf5::{tmp_path}/scaled.h5"


@pytest.mark.parametrize("include, notes", [
    (("/tas",), ("/tas refers to /time, /lat, which are left out: include them, or its dimension scales can't be followed in an export",)),
    (("/tas", "/pr", "/time"), ("/pr, /tas refer to /lat, which is left out: include it, or their dimension scales can't be followed "
                                "in an export",)),
    (("/tas", "/time", "/lat"), ()),
    ((), ()),
])
def test_dimension_scales_that_are_left_out_are_told(scaled, include, notes):
    assert reading.survey(scaled, include=include).notes == notes
