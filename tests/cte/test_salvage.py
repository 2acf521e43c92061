"""Damaged snapshots and journals: a flipped bit is noticed, what is left is had again, and what isn't is named."""

import errno
import json
import os
import random
import shutil

import pytest

from wrp.cee.cli import main
from wrp.cte import Store
from wrp.cte.folder import folder as folders
from wrp.cte.folder import frames, salvage
from wrp.cte.folder.salvage import BYTES, OLDER, RECORD
from wrp.errors import StoreBusy, StoreError

COUNT, BATCHES = 200, 12


def data(name, generation=0):
    return random.Random(f"{name} {generation}").randbytes(100 + 40 * (len(name) % 7))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A store whose snapshot has 200 blobs and two names of a tag, and whose journal puts, removes and renames: its folder, and {blob: generations that it had}."""
    folder, had = tmp_path_factory.mktemp("salvage") / "store", {}

    def put(store, tag, blob, generation=0):
        store.put(tag, blob, data(blob, generation))
        had.setdefault((tag, blob), []).append(generation)
    with Store.open(folder) as store:
        for number in range(COUNT):
            put(store, f"t{number % 3}", f"blob {number}")
        store.rename_tag("t2", "renamed")
    with Store.open(folder) as store:
        for batch in range(BATCHES):
            put(store, "t0", f"blob {3 * batch}", 1)
            put(store, "new", f"more {batch}")
            store.delete("t1", f"blob {1 + 3 * batch}")
            store.flush()
    return folder, {("renamed" if tag == "t2" else tag, blob): had for (tag, blob), had in had.items()}


@pytest.fixture
def damaged(written, tmp_path):
    """A function: a copy of that store with some bits of one of its files flipped, by the name of its folder."""
    def make(name, *bits):
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(written[0], folder)
        path = folder / name if name == "snapshot" else folder / "journal" / os.listdir(folder / "journal")[0]
        found = bytearray(path.read_bytes())
        for bit in bits:
            found[bit // 8] ^= 1 << bit % 8
        path.write_bytes(found)
        return folder
    return make


def contents(folder):
    with Store.open(folder, write=False) as store:
        return {(tag, blob): store.get(tag, blob) for tag, blob in store.blobs(".*")}


def bits_of(folder, name, count, seed):
    path = folder / name if name == "snapshot" else folder / "journal" / os.listdir(folder / "journal")[0]
    nbytes = path.stat().st_size
    return random.Random(seed).sample(range(8 * nbytes), count)


@pytest.mark.parametrize("name", ["snapshot", "journal"])
def test_a_flipped_bit_is_noticed_and_what_is_left_is_right_or_named(written, damaged, name):
    sound, had = contents(written[0]), written[1]
    for bit in bits_of(written[0], name, 10, name):
        folder = damaged(name, bit)
        try:
            assert contents(folder) == sound, bit
            continue
        except StoreError as refused:
            assert "wrp_cee salvage" in str(refused)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
        told = salvage(folder)
        assert told.damaged and {path: path.read_bytes() for path in before} == before
        done = salvage(folder, write=True)
        assert done[:4] == told[:4] and set(os.listdir(done.aside)) >= {"snapshot"}
        found, named = contents(folder), {(each.tag, each.blob) for each in done.lost}
        assert len(found) == done.kept >= len(sound) - 17
        assert all(bytes_ in [data(blob, each) for each in had[tag, blob]] for (tag, blob), bytes_ in found.items()), bit
        wrong = {each for each in sound.keys() | found.keys() if sound.get(each) != found.get(each)}
        assert wrong <= named or not done.is_complete, bit
        with Store.open(folder) as store:
            store.put("t0", "after", b"x")
        assert contents(folder) == {**found, ("t0", "after"): b"x"}


def test_a_name_that_is_damaged_leaves_the_tag_another(damaged, written):
    data_ = (written[0] / "snapshot").read_bytes()
    folder = damaged("snapshot", 8 * data_.index(b"renamed") + 1)
    salvage(folder, write=True)
    with Store.open(folder, write=False) as store:
        assert [store.get(tag, "blob 197") for tag in store.tags() if store.exists(tag, "blob 197")] == [data("blob 197")]


def test_bytes_that_have_changed_and_bytes_of_another(written, damaged):
    folder = damaged("snapshot")
    assert salvage(folder).lost == []
    with Store.open(folder, write=False) as store:
        _, offset, _ = store.extents("t1", "blob 199")[0]
    with open(folder / "data" / "0", "r+b") as file:
        file.seek(offset)
        file.write(b"rot")
    done = salvage(folder, write=True)
    assert [(each.tag, each.blob, each.why) for each in done.lost] == [("t1", "blob 199", BYTES)] and done.is_complete
    assert ("t1", "blob 199") not in contents(folder)


def test_what_was_put_last_is_damaged(written, damaged):
    journal = (written[0] / "journal" / os.listdir(written[0] / "journal")[0]).read_bytes()
    start = journal.index(b"blob 6")
    folder = damaged("journal", 8 * start + 8 * len("blob 6") + 80)         # in its numbers, behind the name
    done = salvage(folder, write=True)
    assert not done.is_complete and {each.why for each in done.lost} <= {RECORD, OLDER}
    assert contents(folder)["t0", "blob 6"] == data("blob 6")


def test_a_torn_tail_is_no_damage(written, damaged):
    folder = damaged("journal")
    path = folder / "journal" / os.listdir(folder / "journal")[0]
    whole = path.read_bytes()
    closed = len(frames.encode({"closed": True}))
    path.write_bytes(whole[:-closed - 10])                                  # as of a process that was killed while it wrote
    assert salvage(folder).damaged == [] and salvage(folder, write=True).aside == "" and len(contents(folder)) > COUNT


def test_a_missing_data_file_and_another_job_are_refused(damaged):
    folder = damaged("snapshot", 400)
    os.rename(folder / "data" / "0", folder / "elsewhere")
    with pytest.raises(StoreError, match="isn't there: bring it back"):
        salvage(folder, write=True)
    os.rename(folder / "elsewhere", folder / "data" / "0")
    with pytest.raises(StoreError, match="not a store"):
        Store.salvage(folder / "data")
    salvage(folder, write=True)
    with Store.open(folder), pytest.raises(StoreBusy):
        salvage(folder, write=True)


def test_a_disk_that_takes_nothing_is_told_and_nothing_is_lost(damaged, monkeypatch):
    folder, replace = damaged("snapshot", 8 * 200), folders.replace

    def refused(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(folders, "replace", refused)
    with pytest.raises(StoreError, match="No space left on device .*check its permissions and the room on its disk"):
        salvage(folder, write=True)
    monkeypatch.setattr(folders, "replace", replace)
    assert salvage(folder, write=True).kept == len(contents(folder)) > 100


def test_the_command(damaged, capsys):
    folder = damaged("snapshot", 8 * 200)
    assert main(["ls", "--store", str(folder)]) == 7 and "wrp_cee salvage" in capsys.readouterr().err
    assert main(["salvage", "--store", str(folder)]) == 0 and "nothing was written: see --write" in capsys.readouterr().out
    assert main(["salvage", "--store", str(folder), "--write", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["kept"] > 100 and answer["lost"] and os.path.isdir(answer["aside"])
    assert main(["salvage", "--store", str(folder)]) == 0 and "nothing is damaged" in capsys.readouterr().out


def test_an_opening_that_ended_before_it_wrote_a_snapshot_hides_no_journal(tmp_path):
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        for number in range(5):
            store.put("t", f"blob {number}", data(f"blob {number}"))
            store.flush()
    header = json.loads((folder / "STORE").read_text())
    (folder / "STORE").write_text(json.dumps({**header, "epoch": header["epoch"] + 1}))     # the first that an opening writes
    assert not (folder / "snapshot").exists() and salvage(folder).kept == 5
    journal, = (folder / "journal").iterdir()
    found = bytearray(journal.read_bytes())
    found[found.index(b"blob 2") - 30] ^= 1
    journal.write_bytes(found)
    done = salvage(folder, write=True)
    assert done.kept == 4 and len(done.damaged) == 1 and not done.is_complete
    assert sorted(contents(folder)) == [("t", f"blob {number}") for number in (0, 2, 3, 4)]
