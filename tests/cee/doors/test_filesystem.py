"""`wrp://`: the tree of tags and blobs, reading and writing through fsspec, and pandas over it."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

fsspec = pytest.importorskip("fsspec", reason="fsspec isn't installed: pip install -e '.[arrays]'")

from cee.doors.conftest import CSV
from wrp.cee.doors import tree
from wrp.cee.doors.filesystem import WrpFileSystem
from wrp.cee.doors.folders import Folders
from wrp.cte import Store, crypt
from wrp.errors import Corrupt, UsageError, WrpError


@pytest.fixture
def fs(memory):
    for tag, blob in (("runs/a", "x"), ("runs/a", "sub/y"), ("runs/b", "z"), ("top", "t_10"), ("top", "t_9")):
        memory.put(tag, blob, f"{tag}:{blob}".encode())
    return WrpFileSystem(memory, skip_instance_cache=True)


@pytest.fixture
def taken(taken_in):
    return WrpFileSystem(taken_in, skip_instance_cache=True)


def test_the_protocol_is_known():
    assert fsspec.get_filesystem_class("wrp") is WrpFileSystem


@pytest.mark.parametrize("path, names", [
    ("", ["runs", "top"]), ("wrp://runs", ["runs/a", "runs/b"]), ("runs/a/", ["runs/a/sub", "runs/a/x"]), ("runs/a/sub", ["runs/a/sub/y"]),
    ("top", ["top/t_9", "top/t_10"]), ("runs/b/z", ["runs/b/z"]),
])
def test_ls(fs, path, names):
    assert fs.ls(path, detail=False) == names
    assert [entry["name"] for entry in fs.ls(path)] == names


def test_info_exists_and_kinds(fs):
    assert fs.info("runs/a/x")["size"] == len("runs/a:x") and fs.isfile("runs/a/x") and fs.isdir("runs/a/sub") and fs.isdir("")
    assert fs.modified("runs/a/x").year > 2000 and fs.ukey("runs/a/x") != fs.ukey("runs/b/z")
    for path in ("nothing", "runs/a/nothing", "runs/a/x/deeper", "run"):
        assert not fs.exists(path)
        with pytest.raises(FileNotFoundError):
            fs.info(path)


@pytest.mark.parametrize("path", ["runs//x", "/runs/x", "runs/a//x", "runs/../x", "./x"])
def test_paths_that_would_not_be_listed_are_not_written(fs, memory, path):
    before = memory.tags(".*")
    for write in (lambda: fs.pipe(path, b"x"), lambda: fs.mkdir(path)):
        with pytest.raises(UsageError, match="has a part that is empty"):
            write()
    assert memory.tags(".*") == before and not fs.exists(path)


def test_the_folders_that_are_none_but_for_what_lies_in_them(memory):
    for tag, blob in (("runs/a", "sub/deep/y"), ("runs/a", "odd/"), ("runs//b", "z"), ("top/", "x"), ("top", "sub/x"), ("a", "b"), ("a/b/c", "d")):
        memory.put(tag, blob, b"1")
    paths = {"/".join(parts) for count in (1, 2, 3) for parts in itertools.product(("runs", "a", "sub", "deep", "odd", "top", "", "b", "c"), repeat=count)} | {"runs/a/sub/deep"}
    found = set(Folders(memory))
    assert found == {path for path in paths if path and tree.lies_in(memory, path)} and {"runs", "runs/a/sub", "runs/a/sub/deep", "top/sub", "a", "a/b"} <= found
    assert all(tree.find(memory, path) == tree.find(memory, path, found.__contains__) for path in paths)


def test_what_is_listed_is_there(fs, memory):
    for tag, blob in (("odd/", "x"), ("runs/a", "odd/"), ("runs//deep", "x")):
        memory.put(tag, blob, b"1")
    assert all(fs.exists(path) for folder in ("", "runs", "runs/a") for path in fs.ls(folder, detail=False))


def test_find_walk_and_glob(fs):
    assert fs.find("") == ["runs/a/sub/y", "runs/a/x", "runs/b/z", "top/t_10", "top/t_9"]
    assert fs.glob("runs/*/x") == ["runs/a/x"] and fs.du("top") == len("top:t_10top:t_9")


def test_reading(fs):
    assert fs.cat_file("runs/a/sub/y") == b"runs/a:sub/y" and fs.cat_file("top/t_9", 1, 4) == b"op:" and fs.cat_file("top/t_9", -2) == b"_9"
    assert fs.cat_file("top/t_9", 100) == b"" and fs.cat_file("top/t_9", 2, 1000) == b"p:t_9"
    assert fs.cat(["runs/b/z", "runs/a/x"]) == {"runs/b/z": b"runs/b:z", "runs/a/x": b"runs/a:x"}
    assert fs.cat_ranges(["top/t_9", "top/t_10"], [0, 4], [3, 8]) == [b"top", b"t_10"]
    with fs.open("top/t_10") as file:
        file.seek(-2, 2)
        assert file.read() == b"10"
    for wrong, error in (("top", IsADirectoryError), ("none/none", FileNotFoundError)):
        with pytest.raises(error):
            fs.open(wrong)


def test_many_ranges_ask_for_whole_blobs_of_a_tag_at_once(fs, memory, monkeypatch):
    asked, get_many = [], memory.get_many
    monkeypatch.setattr(memory, "get_many", lambda tag, blobs: asked.append((tag, blobs)) or get_many(tag, blobs))
    paths = ["top/t_9", "runs/a/x", "top/t_10", "none/none", "runs/a/sub/y", "top/t_9", "top"]
    found = fs.cat_ranges(paths, [None, 0, 0, None, 5, 0, None], [None, 100, 8, None, None, 3, None])
    assert found[:3] == [b"top:t_9", b"runs/a:x", b"top:t_10"] and found[4:6] == [b"a:sub/y", b"top"]
    assert isinstance(found[3], FileNotFoundError) and isinstance(found[6], IsADirectoryError)
    assert asked == [("top", ["t_9", "t_10"]), ("runs/a", ["x"])]
    assert fs.cat_ranges(["top/t_9", "runs/b/z"], 0, None) == [b"top:t_9", b"runs/b:z"] and fs.cat_ranges([], [], []) == []
    for call, error in ((lambda: fs.cat_ranges(paths, 0, None, on_error="raise"), FileNotFoundError), (lambda: fs.cat_ranges(paths, [0], None), ValueError)):
        with pytest.raises(error):
            call()


def test_a_blob_that_is_damaged_is_the_only_one_that_many_ranges_miss(fs, memory):
    memory._tiers.ram_bytes[memory.extents("top", "t_9")[0][1]] ^= 1
    good, bad = fs.cat_ranges(["top/t_10", "top/t_9"], None, None)
    assert good == b"top:t_10" and isinstance(bad, Corrupt)
    memory.delete("top", "t_9")


def test_writing(fs, memory):
    fs.pipe_file("runs/a/new", b"1")
    assert memory.get("runs/a", "new") == b"1"                  # into the longest tag that is there
    fs.pipe_file("fresh/deep/blob", memoryview(b"2"))
    assert memory.get("fresh/deep", "blob") == b"2"             # else the folder becomes a tag
    with fs.open("top/file", "wb") as file:
        for _ in range(3):
            file.write(os.urandom(1 << 20))
        assert not fs.exists("top/file")                        # not before it is closed
    assert memory.size("top", "file") == 3 << 20
    with fs.open("top/text", "w") as file:
        file.write("text")
    assert fs.cat_file("top/text") == b"text"


@pytest.mark.parametrize("path, mode, error", [
    ("alone", "wb", PermissionError), ("alone", "w+b", PermissionError), ("a//b", "wb", UsageError), ("runs/a", "wb", IsADirectoryError), ("runs/a", "ab", IsADirectoryError), ("runs/a/x", "tb", ValueError), ("runs/a/x", "x+b", FileExistsError), ("none/x", "r+b", FileNotFoundError), ("runs/a/x", "xb", FileExistsError),
])
def test_refused_writes_change_nothing(fs, path, mode, error):
    before = fs.find("", detail=True)
    with pytest.raises(error):
        fs.open(path, mode)
    assert fs.find("", detail=True) == before


def test_appending(fs, memory):
    for number in range(3):
        with fs.open("top/log", "a") as file:
            file.write(f"line {number}\n")
    assert fs.cat_file("top/log") == b"line 0\nline 1\nline 2\n"
    with fs.open("top/t_9", "ab") as file:
        file.write(b"+")
        memory.append("top", "t_9", b"-")                       # another's stays
        assert file.tell() == 8 and fs.cat_file("top/t_9") == b"top:t_9-"
    assert fs.cat_file("top/t_9") == b"top:t_9-+"


def test_updating_in_place(fs):
    with fs.open("top/t_9", "r+b") as file:
        file.seek(4)
        file.write(b"T")
        assert file.seek(0) == 0 and file.read() == b"top:T_9"
        file.flush()
        assert fs.cat_file("top/t_9") == b"top:T_9"
        file.seek(10)
        file.write(b"end")
        assert file.truncate(12) == 12
    assert fs.cat_file("top/t_9") == b"top:T_9\0\0\0en"
    with fs.open("top/new", "w+b") as file:
        assert fs.cat_file("top/new") == b""
        file.write(b"12345")
        file.seek(-2, 2)
        assert file.read() == b"45"
    with fs.open("top/t_9", "r+") as text:
        assert text.read(4) == "top:"
    with pytest.raises(UsageError, match="in a transaction"), fs.transaction:
        fs.open("top/t_9", "r+b")


def test_times(fs, memory):
    before = fs.info("runs/a/x")
    fs.touch("runs/a/x", truncate=False)
    after = fs.info("runs/a/x")
    assert after["mtime"] > before["mtime"] and after["created"] == before["created"] == memory.info("runs/a", "x").created / 1e9 and after["size"] == before["size"]
    assert fs.created("runs/a/x") <= fs.modified("runs/a/x") and fs.info("runs/a")["mtime"] == memory.tag_stamp("runs/a") / 1e9 and "mtime" not in fs.info("runs")
    fs.touch("runs/a/x")
    fs.touch("runs/a/fresh", truncate=False)
    assert fs.cat_file("runs/a/x") == fs.cat_file("runs/a/fresh") == b""


def test_one_who_creates_a_file_is_the_only_one(fs, memory, monkeypatch):
    with pytest.raises(FileExistsError):
        fs.pipe("runs/a/x", b"", mode="create")
    monkeypatch.setattr(fs, "_find", lambda path: None)         # another made it after this one has looked
    monkeypatch.setattr(fs, "exists", lambda path: False)
    stamp = memory.info("runs/a", "x").stamp
    fs.touch("runs/a/x", truncate=False)
    assert memory.get("runs/a", "x") == b"runs/a:x" and memory.info("runs/a", "x").stamp > stamp
    with pytest.raises(FileExistsError):
        fs.pipe_file("runs/a/x", b"", mode="create")
    assert memory.get("runs/a", "x") == b"runs/a:x"


def test_folders_move(fs, memory):
    fs.mv("runs", "old/runs", recursive=True)
    assert memory.tags() == ["old/runs/a", "old/runs/b", "top"] and fs.cat_file("old/runs/a/sub/y") == b"runs/a:sub/y"
    fs.mv("old/runs/a/sub", "top/inner", recursive=True)
    assert fs.find("top") == ["top/inner/y", "top/t_10", "top/t_9"] and not fs.exists("old/runs/a/sub")
    fs.mkdir("into")
    fs.mv("top/inner", "into", recursive=True)                  # into a folder that is there
    fs.mv("old/runs/b/z", "into/")
    fs.mv("top/t_9", "top/t_10")                                # over a file
    assert fs.find("") == ["into/inner/y", "into/z", "old/runs/a/x", "top/t_10"] and fs.cat_file("top/t_10") == b"top:t_9"
    for wrong in (("old", "old/deeper"), ("nothing", "other")):
        with pytest.raises(OSError):
            fs.mv(*wrong, recursive=True)


def test_copy_move_and_remove(fs, memory):
    fs.cp_file("runs/a/x", "runs/b/x")
    fs.mv("runs/a/sub/y", "top/y")
    assert fs.cat_file("runs/b/x") == b"runs/a:x" and fs.cat_file("top/y") == b"runs/a:sub/y" and not fs.exists("runs/a/sub")
    fs.rm("top/t_*")
    assert fs.ls("top", detail=False) == ["top/y"]
    with pytest.raises(IsADirectoryError):
        fs.rm("runs")
    fs.rm("runs", recursive=True)
    assert memory.tags() == ["top"]
    fs.mkdir("empty/tag")
    assert fs.isdir("empty/tag")
    with pytest.raises(FileExistsError):
        fs.mkdir("empty/tag")
    with pytest.raises(OSError, match="isn't empty"):
        fs.rmdir("top")
    fs.rmdir("empty/tag")
    assert not fs.exists("empty")
    with pytest.raises(FileNotFoundError):
        fs.rm("nothing")


def test_an_encrypted_store_moves_and_updates_files(tmp_path):
    pytest.importorskip("cryptography", reason="cryptography isn't installed: pip install -e '.[crypt]'")
    with Store.open(tmp_path / "store", key=crypt.Key.make(tmp_path / "key")) as store:
        fs = WrpFileSystem(store, skip_instance_cache=True)
        fs.pipe({"a/x": b"1" * 100_000, "a/y": b"2"})
        fs.mv("a/x", "a/y")
        with fs.open("a/y", "r+b") as file:
            file.seek(50_000)
            file.write(b"three")
        assert fs.find("") == ["a/y"] and fs.cat_file("a/y", 49_999, 50_006) == b"1three1" and fs.info("a/y")["size"] == 100_000


def test_a_transaction_shows_its_files_together(fs):
    with fs.transaction:
        with fs.open("top/one", "wb") as file:
            file.write(b"1")
        assert not fs.exists("top/one")
    assert fs.cat_file("top/one") == b"1"
    with fs.transaction:
        with fs.open("top/one", "ab") as file:
            file.write(b"2")
        assert fs.cat_file("top/one") == b"1"
    assert fs.cat_file("top/one") == b"12"
    with pytest.raises(ZeroDivisionError), fs.transaction:
        with fs.open("top/one", "wb") as file:
            file.write(b"never")
        raise ZeroDivisionError
    assert fs.cat_file("top/one") == b"12"


def test_what_was_taken_in_is_one_file(taken, sources):
    assert taken.info("runs/table.csv")["size"] == len(CSV) and taken.isfile("runs/table.csv")
    assert taken.cat_file("runs/table.csv", 100, 130) == CSV.encode()[100:130] and taken.cat_file("runs/table.csv") == CSV.encode()
    assert taken.cat_file("runs/table.csv/description").startswith(b"binary<")      # its blobs, by name
    assert "runs/climate/temperature" in taken.ls("runs/climate", detail=False)
    with pytest.raises(OSError):
        taken.pipe_file("runs/table.csv", b"over it")
    with pytest.raises(OSError):
        taken.append("runs/table.csv", b"behind it")


def test_a_range_of_it_reads_little(taken, taken_in, monkeypatch):
    seen, plain = [], taken_in.get

    def get(tag, blob, offset=0, size=None, out=None):
        seen.append(len(out) if out is not None else size or 0)
        return plain(tag, blob, offset, size, out)
    monkeypatch.setattr(taken_in, "get", get)
    with taken.open("zoo/alias", block_size=4096) as file:
        file.seek(2_000_000)
        assert len(file.read(100)) == 100
    assert sum(seen) < 20_000 < taken.info("zoo/alias")["size"]


def test_pandas_reads_it(sources):
    pandas = pytest.importorskip("pandas", reason="pandas isn't installed: pip install -e '.[arrays]'")
    options = {"store": sources["store"]}
    found = pandas.read_csv("wrp://runs/table.csv", storage_options=options)
    assert len(found) == 40_000 and found.value[800] == 100.0
    fsspec.filesystem("wrp", **options).close()


@pytest.mark.parametrize("is_there", [False, True])
def test_pandas_writes_where_no_store_is_yet(tmp_path, is_there):
    pandas = pytest.importorskip("pandas", reason="pandas isn't installed: pip install -e '.[arrays]'")
    folder = tmp_path / "new"
    if is_there:
        folder.mkdir()
    fs = fsspec.filesystem("wrp", store=folder)
    assert not fs.exists("tab") and not fs.exists("tab/f.csv") and sorted(tmp_path.rglob("*")) == [folder] * is_there
    pandas.DataFrame({"a": [1]}).to_csv("wrp://tab/f.csv", index=False, storage_options={"store": folder})
    assert pandas.read_csv("wrp://tab/f.csv", storage_options={"store": folder}).a.tolist() == [1]
    fs.close()


def got(store):
    """Bytes that were read from the store's ram until now."""
    return store.targets()[0].counts.read_nbytes


def test_pandas_reads_what_it_asks_for(memory):
    pandas = pytest.importorskip("pandas", reason="pandas isn't installed: pip install -e '.[arrays]'")
    fs = WrpFileSystem(memory, skip_instance_cache=True)
    with fs.open("tables/long.csv", "wb") as file:
        file.write(b"a,b\n" + b"1.5,2.5\n" * (1 << 20))
    before = got(memory)
    with fs.open("tables/long.csv") as file:
        assert pandas.read_csv(file, nrows=10).b.tolist() == [2.5] * 10
    assert got(memory) - before < 3 << 20 < memory.size("tables", "long.csv") / 2


def test_parquet_goes_in_and_comes_out(memory):
    pandas = pytest.importorskip("pandas", reason="pandas isn't installed: pip install -e '.[arrays]'")
    pytest.importorskip("pyarrow", reason="pyarrow isn't installed: pip install -e '.[parquet]'")
    fs = WrpFileSystem(memory, skip_instance_cache=True)
    frame = pandas.DataFrame({"a": range(1000), "b": [number / 2 for number in range(1000)]})
    with fs.open("tables/frame.parquet", "wb") as file:
        frame.to_parquet(file)
    with fs.open("tables/frame.parquet") as file:
        assert pandas.read_parquet(file, columns=["b"]).b.sum() == frame.b.sum()
    import pyarrow.dataset

    assert pyarrow.dataset.dataset("tables/frame.parquet", filesystem=fs, format="parquet").to_table().num_rows == 1000
    frame["part"] = frame.a % 3
    pyarrow.dataset.write_dataset(pyarrow.Table.from_pandas(frame), "tables/parts", filesystem=fs, format="parquet", partitioning=["part"], partitioning_flavor="hive")
    wide = pandas.DataFrame({name: np.random.default_rng(0).random(1 << 19) for name in "abcdef"})
    with fs.open("tables/wide.parquet", "wb") as file:
        wide.to_parquet(file)
    before = got(memory)
    assert pyarrow.dataset.dataset("tables/wide.parquet", filesystem=fs, format="parquet").to_table(columns=["c"]).num_rows == 1 << 19
    assert got(memory) - before < memory.size("tables", "wide.parquet") / 2        # one of six columns, and what is read ahead of it
    read = pyarrow.dataset.dataset("tables/parts", filesystem=fs, format="parquet", partitioning="hive").to_table(columns=["a"], filter=pyarrow.dataset.field("part") == 1)
    assert read.num_rows == 333 and len(fs.glob("tables/parts/part=*/*.parquet")) == 3


def test_no_store_is_a_sentence(tmp_path):
    fs = WrpFileSystem(tmp_path / "none", skip_instance_cache=True)
    with pytest.raises(FileNotFoundError, match=r"there is no store at .*: ingest something first, or name its folder \(--store of a command\)"):
        fs.ls("")
    fs.close()


_MADE = """
import sys
import numpy as np
import xarray
where = {"storage_options": {"store": sys.argv[1]}, "consolidated": False}
dataset = xarray.Dataset({"u": (("t", "x"), np.arange(6.0).reshape(2, 3))})
if sys.argv[2:]:
    try:
        xarray.open_zarr("wrp://run/u.zarr", **where)
    except FileNotFoundError:
        dataset.to_zarr("wrp://run/u.zarr", **where)
print(xarray.open_zarr("wrp://run/u.zarr", **where).identical(dataset))
"""


def test_zarr_makes_the_store_that_isnt_there(tmp_path):
    pytest.importorskip("xarray"), pytest.importorskip("zarr")
    for more in (["make it"], []):
        done = subprocess.run([sys.executable, "-c", _MADE, str(tmp_path / "new"), *more], capture_output=True, text=True, timeout=100)
        assert done.stdout == "True\n", done.stdout + done.stderr


@pytest.mark.parametrize("path", ["top/\ud800", "\ud800/x", "top/" + "x" * 5000, "x" * 5000 + "/y", "top/a\0b"])
def test_paths_that_cannot_be(fs, path):
    assert not fs.exists(path)
    for call in (fs.info, fs.cat_file, fs.ls, fs.rm):
        with pytest.raises((WrpError, FileNotFoundError)):
            call(path)
    for call in (lambda: fs.pipe_file(path, b"x"), lambda: fs.cp_file("top/t_9", path), lambda: fs.open(path, "wb").close()):
        with pytest.raises(UsageError):
            call()


@pytest.mark.parametrize("data, cure", [(None, "encode it first"), (5, "encode it first"), ([1], "numpy.asarray"), ("text", "encode it first")])
def test_what_is_no_data(fs, data, cure):
    with pytest.raises(UsageError, match=cure):
        fs.pipe_file("top/new", data)
    assert not fs.exists("top/new")


@pytest.mark.parametrize("call", [lambda fs: fs.pipe("alone", b"1"), lambda fs: fs.pipe_file("alone", b"1", mode="create"), lambda fs: fs.touch("alone"), lambda fs: fs.append("alone", b"1"), lambda fs: fs.cp_file("top/t_9", "alone")])
def test_a_file_in_no_folder_is_refused(fs, call):
    with pytest.raises(PermissionError, match="a file lies in a folder, which is a tag: write to wrp://tag/blob: 'alone'"):
        call(fs)
    assert not fs.exists("alone")


@pytest.mark.parametrize("wrong", [5, b"folder", ["folder"], True])
def test_what_is_no_store_is_refused(wrong):
    with pytest.raises(UsageError, match="is neither an opened Store nor the path of a store's folder"):
        WrpFileSystem(store=wrong)
