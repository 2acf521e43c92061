"""What a flush promises lies in files, and these in folders, whose names must be on storage, too: else a power cut leaves bytes that nobody finds."""
import os

import pytest

from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.cte.crypt import Key
from wrp.runtime.config import load


@pytest.fixture
def lasting(monkeypatch):
    """{folder: names that were in it when it was synced last}."""
    found, sync = {}, os.fsync

    def watched(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        names = os.listdir(path) if os.path.isdir(path) else None
        sync(descriptor)
        if names is not None:
            found[path] = set(names)
    monkeypatch.setattr(os, "fsync", watched)
    return found


def lost(top, lasting):
    """Paths below `top` that a power cut may leave without a name; what no call promised is left out."""
    return [os.path.join(folder, name) for folder, folders, files in os.walk(top) for name in folders + files
            if name not in lasting.get(folder, ()) and name not in ("lock", "members", "spare", "conf.yaml")]


def test_all_of_a_new_store_has_its_name_on_storage_once_a_flush_returns(tmp_path, lasting):
    config = tmp_path / "conf.yaml"
    config.write_text(f"""
storage:
  - {{path: 'ram::test', bdev_type: ram, capacity_limit: 8m}}
  - {{path: data, bdev_type: file, capacity_limit: 64m}}
  - {{path: {tmp_path}/other/place, bdev_type: file, capacity_limit: 64m}}
performance: {{metadata_log_path: {tmp_path}/logs/log}}
""")
    for name in ("other", "logs"):
        (tmp_path / name).mkdir()
        lasting.setdefault(str(tmp_path), set()).add(name)
    with Store.open(tmp_path / "above" / "more" / "store", Solo(), load(config)) as store:
        store.put("t", "b", b"x" * 300_000)
        store.flush()
        store.add_target(str(tmp_path / "other" / "late"), "file", 64 << 20, persistence="long_term")
        assert len(os.listdir(tmp_path / "other")) == 2 and len(os.listdir(tmp_path / "logs")) == 1
        assert lost(tmp_path, lasting) == []


def test_a_folder_that_was_there_empty_has_its_name_on_storage(tmp_path, lasting):
    (tmp_path / "store").mkdir()
    with Store.open(tmp_path / "store", Solo()) as store:
        store.put("t", "b", b"x")
        store.flush()
        assert lost(tmp_path, lasting) == []


@pytest.mark.parametrize("entry", ["bdev_type: safe, path: kept, members: [%s/a, %s/b, %s/c]", "bdev_type: object, path: 'file://%s/deep/objects'"], ids=["safe", "objects"])
def test_what_takes_the_place_of_a_data_file_has_its_names_on_storage(entry, tmp_path, lasting):
    config = tmp_path / "conf.yaml"
    config.write_text("storage:\n  - {path: 'ram::test', bdev_type: ram, capacity_limit: 8m}\n"
                      f"  - {{{entry.replace('%s', str(tmp_path))}, capacity_limit: 64m}}\n")
    with Store.open(tmp_path / "store", Solo(), load(config)) as store:
        store.put("t", "b", b"x" * 300_000)
        store.flush()
        assert lost(tmp_path, lasting) == []


def test_a_key_is_kept_where_what_it_seals_is(tmp_path, lasting):
    pytest.importorskip("cryptography")
    Key.make(tmp_path / "key")
    assert lost(tmp_path, lasting) == []
