"""HDF5 files that hold one of everything, to be taken in and given back."""

import zlib

import h5py
import numpy as np

LEVEL = 1


def write(path, libver="earliest", userblock=0):
    """Write the file; `libver` chooses between the old and the new structures inside."""
    rng = np.random.default_rng(3)
    with h5py.File(path, "w", libver=libver, userblock_size=userblock) as file:
        _numbers(file.create_group("numbers"), rng)
        _chunked(file.create_group("chunked"), rng)
        _filtered(file.create_group("filtered"), rng)
        _odd(file.create_group("odd"))
        _links(file)
        file.attrs["title"] = "everything"
        file.attrs["matrix"] = rng.random((3, 4))
        file.attrs["nothing"] = h5py.Empty("<f4")
        file.attrs["words"] = np.array(["a", "bc"], h5py.string_dtype())
    if userblock:
        with open(path, "r+b") as raw:
            raw.write(b"#!user block".ljust(userblock, b"."))


def _numbers(group, rng):
    for code in ("<i1", ">i2", "<u4", ">u8", "<f2", "<f4", ">f8", "<c16", "?"):
        group.create_dataset(f"type_{code[-2:]}_{'big' if code[0] == '>' else 'little'}", data=(rng.random((7, 5)) * 90).astype(code))
    group.create_dataset("scalar", data=np.float64(2.5))
    group.create_dataset("large", data=rng.random(500_000))
    group.create_dataset("enum", data=np.array([0, 2, 1], "i1"), dtype=h5py.enum_dtype({"A": 0, "B": 1, "C": 2}, "i1"))
    record = np.dtype([("a", "<i4"), ("b", "<f8", (2, 3)), ("c", "S5"), ("d", [("e", ">u2")])])
    group.create_dataset("compound", data=np.zeros(11, record), chunks=(4,))
    group["compound"].attrs["unit"] = "m"
    group.create_dataset("never_written", shape=(100,), dtype="<f8", fillvalue=9)
    group.create_dataset("compact", data=np.arange(10))


def _chunked(group, rng):
    group.create_dataset("edges", data=rng.random((70, 33, 5)), chunks=(16, 16, 2), fillvalue=7.5)
    sparse = group.create_dataset("sparse", shape=(1000, 1000), dtype="<f4", chunks=(100, 100), fillvalue=-1)
    sparse[250:320, 930:] = 3
    grown = group.create_dataset("resized", data=np.arange(100), chunks=(30,), maxshape=(None,))
    grown.resize((215,))
    grown[200:] = 5
    shrunk = group.create_dataset("shrunk", data=np.arange(400).reshape(20, 20), chunks=(6, 6), maxshape=(None, 40))
    shrunk.resize((7, 33))
    group.create_dataset("small", data=np.arange(3000, dtype="<i2"), chunks=(7,))
    group.create_dataset("flat", data=rng.integers(0, 9, (3, 200_000)), chunks=(1, 65_536))


def _filtered(group, rng):
    values = np.round(rng.random((300, 200)), 2)
    for name, options in {"gzip": {"compression": 4}, "shuffled": {"compression": 9, "shuffle": True},
                          "checked": {"compression": 2, "fletcher32": True}, "lzf": {"compression": "lzf", "shuffle": True},
                          "scaled": {"scaleoffset": 3}, "only_shuffle": {"shuffle": True}}.items():
        group.create_dataset(name, data=values, chunks=(64, 64), fillvalue=0.25, **options)
    for size in (1, 2, 3, 4, 16):
        group.create_dataset(f"bytes_{size}", data=np.zeros(1000, f"V{size}"), chunks=(300,), compression=3, shuffle=True)
    skipped = group.create_dataset("skipped", shape=(100,), dtype="<i4", chunks=(50,), compression=6, shuffle=True)
    skipped.id.write_direct_chunk((0,), np.arange(50, dtype="<i4").tobytes(), 0b11)
    skipped[50:] = 4
    # stored smaller than the recorded level makes it, so that an export has to find new room
    better = group.create_dataset("better", shape=(20000,), dtype="<f8", chunks=(10000,), compression=LEVEL)
    for start in (0, 10000):
        data = (np.sin(np.arange(start, start + 10000) / 50) * 20).astype("i4").astype("<f8").tobytes()
        better.id.write_direct_chunk((start,), zlib.compress(data, 9), 0)


def _odd(group):
    group.create_dataset("null", data=h5py.Empty("<i8"))
    group.create_dataset("no_rows", shape=(0, 4), dtype="<f4", chunks=(8, 4), maxshape=(None, 4))
    group.create_dataset("words", data=["x", "", "ünï"], dtype=h5py.string_dtype())
    group.create_dataset("title", data="one", dtype=h5py.string_dtype("ascii"))
    lists = group.create_dataset("lists", shape=(3,), dtype=h5py.vlen_dtype("<i4"))
    lists[0], lists[2] = [1, 2, 3], [4]
    group.create_dataset("references", data=np.array([group.ref, group["null"].ref], h5py.ref_dtype), dtype=h5py.ref_dtype)
    group["named_type"] = np.dtype("<f8")
    group.create_dataset("of_named_type", data=np.arange(3.0), dtype=group["named_type"])


def _links(file):
    file["also"] = file["numbers/large"]
    file["circle"] = file["/"]
    file["soft"] = h5py.SoftLink("/numbers/scalar")
    file["dangling"] = h5py.SoftLink("/nowhere")
    file["outside"] = h5py.ExternalLink("other.h5", "/x")
    file.create_group("empty/group")
