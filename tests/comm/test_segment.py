"""Segments: their regions, names, versions and ends."""
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from wrp.comm import atomics, mapping, names
from wrp.comm import segment as segments
from wrp.comm.segment import Segment
from wrp.errors import OutOfSpace, StoreBusy, StoreError, StoreVersion, UsageError

_NBYTES = 1 << 20


@pytest.fixture
def name():
    return f"test-{os.getpid()}"


def test_place_creates_once_and_keeps_regions_apart(segment):
    assert segment.place("a", 100) == (segments.HEADER_NBYTES, True)
    offset, created = segment.place("b", 10, align=4096)
    assert created and offset % 4096 == 0 and offset >= segments.HEADER_NBYTES + 100
    assert segment.place("a", 100) == (segments.HEADER_NBYTES, False)
    assert segment.find("b") == (offset, 10) and segment.find("c") is None
    with pytest.raises(UsageError, match="'a' of the segment has 100 bytes, not 99"):
        segment.place("a", 99)
    with pytest.raises(OutOfSpace, match="no room for 'c'"):
        segment.place("c", segment.nbytes)


def test_directory_is_bounded(segment):
    for number in range(256):
        segment.place(str(number), 8)
    with pytest.raises(OutOfSpace, match="256 regions"):
        segment.place("one more", 8)


def test_processes_place_the_same_region_once(segment, fork):
    segment.place("made", 64)
    segment.find("x")

    def placer():
        for number in range(40):
            with segment.placing(f"region {number}", 64) as (offset, created):
                word = segment.address + offset
                assert atomics.load(word) == (0 if created else number + 1)     # others see it after it is initialised
                atomics.store(word, number + 1)
                atomics.add(segment.address + segments.HEADER_NBYTES, int(created))

    children = [fork(placer) for _ in range(3)]
    assert [child.join() for child in children] == [0, 0, 0]
    assert atomics.load(segment.address + segments.HEADER_NBYTES) == 40


def test_a_failed_initialisation_leaves_the_name_free_and_no_dirt(segment):
    with pytest.raises(ZeroDivisionError):
        with segment.placing("a", 8) as (offset, _):
            atomics.store(segment.address + offset, 1)
            1 / 0
    again, created = segment.place("a", 8)
    assert created and atomics.load(segment.address + again) == 0


def test_another_process_attaches_and_the_name_goes_at_close(name):
    script = f"""
from wrp.comm.segment import Segment
with Segment.named({name!r}) as segment:
    offset, created = segment.place("greeting", 16)
    assert not created
    segment.buffer[offset:offset + 5] = b"hello"
"""
    with Segment.named(name, _NBYTES, create=True) as made:
        offset, _ = made.place("greeting", 16)
        subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
        assert bytes(made.buffer[offset:offset + 6]) == b"hello\0"
        assert os.stat(names.path(name)).st_mode & 0o777 == 0o600
        with pytest.raises(StoreBusy, match="in use by a running process"):
            Segment.named(name, _NBYTES, create=True)
        with pytest.raises(StoreError, match="fewer than"):
            Segment.named(name, 2 * _NBYTES)
    assert not os.path.exists(names.path(name))
    with pytest.raises(StoreError, match="No such file"):
        Segment.named(name)
    made.close()


def test_a_segment_knows_whether_its_name_is_still_its_own(name):
    with Segment.named(name, 1 << 20, create=True) as made, Segment.named(name) as seen:
        assert made.is_named(name) and seen.is_named(name)
        made.hide()
        assert not seen.is_named(name)
        with Segment.named(name, 1 << 20, create=True) as later:
            assert later.is_named(name) and not seen.is_named(name)


def test_another_layout_and_foreign_bytes_are_refused(name):
    with Segment.named(name, _NBYTES, create=True) as made:
        atomics.store(made.address + 8, segments.VERSION + 1)
        with pytest.raises(StoreVersion, match=f"has layout {segments.VERSION + 1}, this wrp has layout {segments.VERSION}"):
            Segment.named(name)
        atomics.store(made.address, 1)
        with pytest.raises(StoreError, match="isn't a segment"):
            Segment.named(name)


def test_a_name_whose_maker_was_killed_is_replaced(name, fork):
    child = fork(lambda: (Segment.named(name, _NBYTES, create=True), os.kill(os.getpid(), signal.SIGKILL)))
    assert child.join() == -signal.SIGKILL and os.path.exists(names.path(name))
    with Segment.named(name, 2 * _NBYTES, create=True) as made:
        assert made.nbytes == 2 * _NBYTES and made.place("a", 8)[1]
    assert os.listdir(names.folder()).count(name) == 0


def test_what_a_process_killed_inside_the_making_has_left_is_no_segment_and_goes_with_the_next(name, fork):
    def die(_):
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(lambda: mapping.create(names.path(name), 1 << 20, die)).join() == -signal.SIGKILL
    unfinished = [found for found in os.listdir(names.folder()) if found.startswith(name)]
    assert len(unfinished) == 1 and unfinished[0].endswith(".new")
    with pytest.raises(StoreError, match="running on this node"):
        Segment.named(name)
    with pytest.raises(UsageError, match="aren't complete yet"):
        Segment.named(unfinished[0])
    with Segment.named(name, 1 << 20, create=True):
        assert [found for found in os.listdir(names.folder()) if found.startswith(name)] == [name]


def test_a_forked_child_leaves_the_name(name, fork):
    with Segment.named(name, _NBYTES, create=True) as made:
        assert fork(made.close).join() == 0
        assert os.path.exists(names.path(name))


def test_formats_and_attaches_in_any_memory():
    memory = np.zeros(_NBYTES // 8, dtype=np.int64)
    first = Segment(memory, memory.ctypes.data)
    first.place("a", 24)
    assert Segment(memory, memory.ctypes.data, create=False).place("a", 24)[1] is False
    with pytest.raises(StoreError, match="says that it has"):
        Segment(memory[:-8], memory.ctypes.data, create=False)


def test_memory_that_is_alone_is_the_child_s_copy(fork):
    with Segment.alone(_NBYTES) as made:
        offset, _ = made.place("a", 8)
        made.reserve(offset, 8)
        word = np.frombuffer(made.buffer, dtype=np.int64, count=1, offset=offset)
        word[0] = 5

        def change():
            assert word[0] == 5
            word[0] = 6
        assert fork(change).join() == 0 and word[0] == 5
        del word


def test_views_outlive_close():
    made = Segment.private(_NBYTES)
    offset, _ = made.place("a", 8)
    view = np.frombuffer(made.buffer, dtype=np.int64, count=1, offset=offset)
    made.close()
    made.close()
    view[0] = 5
    assert view[0] == 5


@pytest.mark.parametrize("wrong", ["", "a/b", "../x", ".hidden", "x" * 129])
def test_names_stay_in_their_folder(wrong):
    with pytest.raises(UsageError, match="can't name a segment"):
        Segment.named(wrong, _NBYTES, create=True)


def test_a_folder_that_others_can_write_is_refused(tmp_path, monkeypatch):
    tmp_path.chmod(0o777)
    monkeypatch.setenv("WRP_SHM_DIR", str(tmp_path))
    with pytest.raises(StoreError, match="only you can use"):
        names.folder()


@pytest.mark.parametrize("nbytes", [0, 100])
def test_too_small(nbytes):
    with pytest.raises(UsageError, match="at least"):
        Segment.private(nbytes)
