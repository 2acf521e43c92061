"""HDF5 files that hold one of everything: kinds of storage, types, shapes, links, and file properties."""

import h5py
import numpy as np

RANDOM = np.random.default_rng(7)
POINT = np.dtype([("x", "<f8"), ("n", "<i2"), ("name", "S5")])
PADDED = np.dtype({"names": ["a", "b"], "formats": ["i1", "<f8"], "offsets": [3, 8], "itemsize": 24})
COLOUR = h5py.enum_dtype({"red": 0, "green": 1, "blue": 7}, "i2")


def build(path, **file_options):
    """Write the whole zoo to `path`; `file_options` go to h5py.File (userblock_size, libver, track_order)."""
    with h5py.File(path, "w", **file_options) as file:
        numbers(file.create_group("numbers"))
        chunked(file.create_group("chunked"))
        others(file.create_group("others"))
        structures(file.create_group("structures"))
        lists(file.create_group("lists"))
        links(file)
    if file_options.get("userblock_size"):
        with open(path, "r+b") as raw:
            raw.write(b"user block")
    return str(path)


def numbers(group):
    """Contiguous datasets of numbers, in several shapes."""
    for name in ("<i1", "<i2", "<i4", "<i8", "<u2", "<u8", ">i4", "<f2", "<f4", "<f8", ">f8"):
        group[f"type{name}"] = np.arange(60).reshape(3, 4, 5).astype(name)
    group["complex"] = RANDOM.random(9) + 1j * RANDOM.random(9)
    group["bool"] = np.arange(11) % 3 == 0
    group["scalar"] = np.float64(2.5)
    group["empty"] = np.zeros((0, 4))
    group["null"] = h5py.Empty("<f4")
    group["big"] = np.arange(500_000, dtype="<f8")              # three chunks of 1.5 MiB
    group.create_dataset("never_written", (100, 3), "<i4", fillvalue=-7)
    group["big"].attrs["unit"] = "K"


def chunked(group):
    """Chunked datasets that are read without the HDF5 library."""
    cube = RANDOM.integers(0, 50, (37, 20, 11))
    for itemsize, kind in ((1, "<i1"), (2, "<u2"), (4, "<f4"), (8, ">f8")):
        data = cube.astype(kind)
        for name, options in (("plain", {}), ("gzip", {"compression": 1}), ("shuffled", {"compression": 4, "shuffle": True})):
            group.create_dataset(f"{name}{itemsize}", data=data, chunks=(8, 7, 11), **options)
    group.create_dataset("long", data=np.arange(700_000, dtype="<i8") // 3, chunks=(10_000,), compression=1, shuffle=True)
    group.create_dataset("points", data=points(300).reshape(20, 15), chunks=(6, 4), compression=2, shuffle=True)
    group.create_dataset("complex", data=RANDOM.random((30, 7)) * 1j, chunks=(4, 4), compression=2, shuffle=True)
    for name, options in (("gaps", {}), ("gaps_gzip", {"compression": 1, "shuffle": True})):
        grown = group.create_dataset(name, (25, 14), "<i4", maxshape=(None, 14), chunks=(5, 6), fillvalue=99, **options)
        grown[6:13, 3:5] = 5
        grown.resize(31, axis=0)
    group.create_dataset("never", (50,), "<f8", chunks=(8,), fillvalue=1.5, compression=1)
    skipped = group.create_dataset("skipped_filter", (16,), "<i4", chunks=(8,), compression=1, shuffle=True)
    skipped[:8] = np.arange(8)
    skipped.id.write_direct_chunk((8,), np.arange(8, 16, dtype="<i4").tobytes(), filter_mask=3)


def others(group):
    """Datasets whose raw data stays in the image."""
    data = np.arange(5000, dtype="<i4").reshape(50, 100)
    group.create_dataset("lzf", data=data, chunks=(16, 30), compression="lzf")
    group.create_dataset("fletcher32", data=data, chunks=(16, 30), fletcher32=True)
    group.create_dataset("scaleoffset", data=data, chunks=(16, 30), scaleoffset=0)
    if h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        group.create_dataset("szip", data=data, chunks=(16, 30), compression="szip")
    group.create_dataset("shuffle_only", data=data, chunks=(16, 30), shuffle=True)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    compact = h5py.h5d.create(group.id, b"compact", h5py.h5t.STD_I16BE, h5py.h5s.create_simple((9,)), creation)
    compact.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(9, dtype=">i2"))
    virtual = h5py.VirtualLayout((2, 100), "<i4")
    for row in range(2):
        virtual[row] = h5py.VirtualSource(group["lzf"])[row]
    group.create_virtual_dataset("virtual", virtual)


def structures(group):
    """Compound, array, enum, opaque and fixed-string elements, and a committed type."""
    group["points"] = points(20)
    group["padded"] = np.zeros(6, PADDED)
    group.create_dataset("arrays", (4,), np.dtype(("<i4", (6,))))[...] = np.arange(24).reshape(4, 6)
    group.create_dataset("colours", data=[0, 1, 7, 1], dtype=COLOUR)
    group.create_dataset("fixed", data=np.array([b"ab", b"", b"abcde"], "S7"))
    group.create_dataset("opaque", data=np.arange(8).astype("<M8[s]").astype(h5py.opaque_dtype("<M8[s]")))
    group["type"] = np.dtype([("t", "<f4"), ("k", COLOUR)])
    group.create_dataset("committed", (5,), dtype=group["type"])


def lists(group):
    """Elements of varying length, and references."""
    words = np.array(["", "a", "zwölf", "x" * 300] * 3000, dtype=object)
    group.create_dataset("strings", data=words, dtype=h5py.string_dtype())
    group.create_dataset("ascii", data=[b"one", b"two"], dtype=h5py.string_dtype("ascii"), chunks=(1,), compression=1)
    group["one_string"] = "alone"
    group.create_dataset("one_row", (), h5py.vlen_dtype("<i4"))[()] = np.arange(6, dtype="<i4")
    group.create_dataset("square", (100, 90), h5py.string_dtype())[3:50, 7] = "filled"
    rows = group.create_dataset("rows", (4,), h5py.vlen_dtype("<i2"))
    rows[0], rows[2] = np.arange(3), np.arange(5)
    group.create_dataset("objects", data=[group.ref, rows.ref], dtype=h5py.ref_dtype)
    group.create_dataset("regions", data=[rows.regionref[0:2]], dtype=h5py.regionref_dtype)
    mixed = group.create_dataset("mixed", (2,), np.dtype([("n", "<i4"), ("text", h5py.string_dtype())]))
    mixed[0] = (1, "inside")


def links(file):
    """Hard, soft and external links, loops among them, and names that are not ASCII."""
    file["alias"] = file["numbers/big"]
    file["numbers/again"] = file["numbers/type<i4"]
    file["structures/loop"] = file["structures"]
    file["same_group"] = file["chunked"]
    file["soft"] = h5py.SoftLink("/numbers/big")
    file["dangling"] = h5py.SoftLink("/nowhere")
    file["external"] = h5py.ExternalLink("elsewhere.h5", "/x")
    file["größe"] = np.arange(3)
    file.attrs["title"] = "zoo"


def points(count):
    found = np.zeros(count, POINT)
    found["x"], found["n"], found["name"] = RANDOM.random(count), np.arange(count), b"p"
    return found
