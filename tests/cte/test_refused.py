"""Frames that a journal refuses: cut, on storage too; and where that fails, what they name stays taken, for they may come back when the machine has gone down."""

import errno
import os
import random
import shutil

import pytest

from wrp.cte import Store
from wrp.cte.folder import Journal, frames
from wrp.errors import StoreError, Uncertain

NAMES = ("pwrite", "fdatasync", "ftruncate", "fsync")


class Broken:
    """While it is entered the named functions of `os` fail on the file of a journal. `calls`: what was called on it; `left`: what the file had when its sync failed."""

    def __init__(self, path, *failing):
        self._path, self._failing = str(path), failing
        self.calls, self.left, self._originals = [], b"", {}

    def __enter__(self):
        for name in NAMES:
            self._originals[name] = getattr(os, name)
            setattr(os, name, self._wrapped(name))
        return self

    def __exit__(self, *error):
        for name, function in self._originals.items():
            setattr(os, name, function)

    def _wrapped(self, name):
        def call(descriptor, *more):
            if os.readlink(f"/proc/self/fd/{descriptor}") == self._path:
                self.calls.append(name)
                if name == "fdatasync":
                    with open(self._path, "rb") as file:
                        self.left = file.read()
                if name in self._failing:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            return self._originals[name](descriptor, *more)
        return call


def change(number):
    return {"remove": [[f"t\0{number}", number]]}


def test_a_refused_frame_is_cut_and_the_cut_synced(tmp_path):
    journal = Journal(str(tmp_path / "j"))
    journal.append(change(1))
    with Broken(journal.path, "fdatasync") as broken, pytest.raises(StoreError) as refused:
        journal.append(change(2))
    assert not isinstance(refused.value, Uncertain)
    assert broken.calls[-3:] == ["fdatasync", "ftruncate", "fsync"]
    assert frames.decode_all(broken.left)[0] == [change(1), change(2)]
    with open(journal.path, "rb") as file:
        assert file.read() == frames.encode(change(1))
    journal.append(change(3))
    journal.close()
    with open(journal.path, "rb") as file:
        assert frames.decode_all(file.read())[0] == [change(1), change(3), {"closed": True}]


@pytest.mark.parametrize("cut", ["ftruncate", "fsync"])
def test_a_journal_that_cannot_be_cut_takes_nothing_more(tmp_path, cut):
    journal = Journal(str(tmp_path / "j"))
    journal.append(change(1))
    with Broken(journal.path, "fdatasync", cut), pytest.raises(Uncertain, match="may be there when the store is opened again"):
        journal.append(change(2))
    with pytest.raises(StoreError, match="close the store and open it again"):
        journal.append(change(3))
    journal.close()


@pytest.mark.parametrize("cut", ["ftruncate", "fsync"])
@pytest.mark.parametrize("kind", ["long", "small", "batch"])
def test_what_a_frame_names_that_may_come_back_stays_taken(tmp_path, open_store, folder, kind, cut):
    """The storage has kept the frame, although nobody could say so: what it names has its bytes, whatever was put meanwhile."""
    made, store = random.Random(7), open_store()
    store.put("t", "before", b"before")
    store.flush()
    value = made.randbytes(15_000 if kind == "small" else 200_000)
    with Broken(store._parts.journal.path, "fdatasync", cut) as broken, pytest.raises(Uncertain):
        if kind == "batch":
            with store.batch("b") as batch:
                batch.put("t", "a", value)
        else:
            for blob in ("a", *"bcdefgh") if kind == "small" else "a":      # more than the journal carries
                store.put("t", blob, value)
            store.flush()
    for number in range(4):
        for blob in ("a", f"small{number}"):
            store.put("t", blob, made.randbytes(len(value) if blob == "a" else 300))
        with pytest.raises(StoreError):
            store.flush()
        with pytest.raises(StoreError), store.batch("later") as batch:
            batch.put("t", f"b{number}", made.randbytes(200_000))
    shutil.copytree(folder, tmp_path / "after")
    with open(tmp_path / "after" / os.path.relpath(store._parts.journal.path, folder), "wb") as file:
        file.write(broken.left)
    with pytest.raises(StoreError):
        store.close()
    with Store.open(tmp_path / "after") as after:
        assert after.get("t", "a") == value and after.get("t", "before") == b"before"


def test_a_flush_that_may_have_happened_says_so_though_there_are_removals_too(open_store):
    store = open_store()
    store.put("t", "gone", b"gone")
    store.flush()
    store.delete("t", "gone")
    store.put("t", "a", bytes(200_000))
    with Broken(store._parts.journal.path, "fdatasync", "ftruncate"), pytest.raises(Uncertain, match="may be there when the store is opened again"):
        store.flush()
    with pytest.raises(StoreError):
        store.close()
