"""A blob that is written in ranges, against a bytearray."""

import random
import threading

import pytest

from wrp.cee.doors.growing import Growing
from wrp.errors import NoSuchBlob, NoSuchTag, OutOfSpace

MIB = 1 << 20


@pytest.fixture
def growing(memory):
    memory.put("t", "b", b"")
    return Growing(memory, "t", "b")


@pytest.mark.parametrize("seed, longest, compression", [(1, 5000, None), (2, 400_000, None), (3, 3 * MIB, None), (4, 50_000, "zlib")])
def test_it_is_what_a_file_would_be(growing, memory, seed, longest, compression):
    if compression:
        memory.set_compression("t", compression)
    made, model = random.Random(seed), bytearray()
    for _ in range(300):
        what, offset, nbytes = made.choice(("write", "write", "write", "read", "on", "truncate", "put")), made.randrange(2 * longest), made.randrange(longest)
        if what in ("write", "on"):
            offset = len(model) if what == "on" else offset
            data = made.randbytes(nbytes % 100) * (nbytes // 100 + 1)
            growing.write(offset, data)
            model.extend(bytes(max(0, offset + len(data) - len(model))))
            model[offset:offset + len(data)] = data
        elif what == "read":
            assert growing.read(offset, nbytes) == model[offset:offset + nbytes]
        elif what == "truncate" and nbytes % 5 == 0:
            growing.truncate(offset)
            del model[offset:]
            model.extend(bytes(offset - len(model)))
        elif what == "put":
            growing.put()
            assert not growing.waits and memory.get("t", "b") == model
        assert growing.nbytes == len(model)
    assert growing.read(0, len(model) + 1) == model


def test_small_writes_in_a_row_are_put_in_pieces(growing, memory, monkeypatch):
    puts, put_segments = [], memory.put_segments
    monkeypatch.setattr(memory, "put_segments", lambda tag, blob, parts, **options: puts.append(sum(len(data) for _, data in parts)) or put_segments(tag, blob, parts, **options))
    for number in range(64):
        growing.write(number << 17, bytes([number]) * (1 << 17))
        assert growing.read(number << 17, 9) == bytes([number]) * 9
    growing.put()
    assert puts == [MIB] * 8 and memory.size("t", "b") == 8 * MIB
    for number in range(1000):
        growing.write(8 * MIB - 5000 * number, b"!")           # here and there: they wait for each other
    growing.put()
    assert puts[8:] == [1000]


def test_reading_in_a_row_asks_for_blocks(growing, memory, monkeypatch):
    growing.write(0, bytes(9 * MIB))
    growing.put()
    asked, get = [], memory.get
    monkeypatch.setattr(memory, "get", lambda tag, blob, offset=0, size=None: asked.append(size) or get(tag, blob, offset, size))
    assert all(growing.read(start, 1 << 17) == bytes(1 << 17) for start in range(0, 9 * MIB, 1 << 17))
    assert asked == [4 * MIB, 4 * MIB, MIB]
    memory.put("t", "b", b"x", offset=9 * MIB - 1)              # by somebody else
    growing.refresh()
    assert growing.read(9 * MIB - 2, 2) == b"\0x"


def test_what_finds_no_room_still_waits(growing, monkeypatch, memory):
    growing.write(0, bytes(MIB))

    def full(*_, **options):
        raise OutOfSpace("full")
    with monkeypatch.context() as patched:
        patched.setattr(memory, "put_segments", full)
        with pytest.raises(OutOfSpace):
            growing.write(MIB, b"more")
    assert growing.nbytes == growing.waits == MIB
    growing.put()
    assert memory.size("t", "b") == MIB


def test_a_cut_puts_nothing(growing, memory, monkeypatch):
    """What is cut off takes no room; what stays is put later, behind a gap, too."""
    monkeypatch.setattr(memory, "put_segments", lambda *_: pytest.fail("put"))
    growing.write(0, b"a" * 3000)
    growing.write(9000, b"b" * 1000)
    growing.truncate(0)
    assert not growing.nbytes and not growing.waits
    growing.write(0, b"c" * 100)
    growing.write(5000, b"d" * 100)
    growing.truncate(50)
    growing.write(70, b"e" * 100)
    growing.truncate(60)
    assert growing.read(0, 99) == b"c" * 50 + bytes(10) and not memory.size("t", "b")
    monkeypatch.undo()
    growing.put()
    assert memory.get("t", "b") == b"c" * 50 + bytes(10)


def test_a_cut_is_of_the_blob_as_others_have_made_it(growing, memory):
    growing.write(0, b"1")
    memory.put("t", "b", b"longer")
    growing.truncate(3)
    growing.put()
    assert memory.get("t", "b") == b"1on"


def test_many_small_ranges_are_put_before_a_read_is_long(growing, memory):
    for number in range(5000):
        growing.write(3 * number, b"!")
    assert growing.waits < 4097 and growing.read(0, 15000) == b"!\0\0" * 4999 + b"!" and memory.size("t", "b") > 9000


def test_what_others_remove_is_never_made_anew(growing, memory):
    def refused(error=NoSuchBlob):
        for call in (growing.put, growing.refresh, lambda: growing.truncate(1)):
            with pytest.raises(error):
                call()
        assert growing.waits

    memory.put("t", "b", bytes(5000))
    growing.write(5000, b"behind")
    memory.delete("t", "b")
    refused()
    assert memory.list("t") == []
    memory.put("t", "b", b"another one")
    refused()
    assert memory.get("t", "b") == b"another one"
    memory.destroy("t")
    refused(NoSuchTag)
    assert not memory.exists("t")
    memory.put("t", "b", b"1")
    again = Growing(memory, "t", "b")
    memory.put("t", "b", b"longer")             # as a whole: it stays the one that was opened
    again.write(6, b"!")
    again.put()
    assert memory.get("t", "b") == b"longer!"
    memory.rename("t", "b", "c")
    again.write(7, b"?")
    again.follow("t", "c")
    again.put()
    assert memory.get("t", "c") == b"longer!?" and not memory.exists("t", "b")


def test_a_blob_of_its_tag_s_source_is_written_to(memory):
    memory.put("source", "b", b"as it was")
    memory.checkpoint("later", "source")
    growing = Growing(memory, "later", "b")
    growing.write(0, b"AS")
    growing.put()
    growing.write(9, b".")
    growing.put()
    assert memory.get("later", "b") == b"AS it was." and memory.get("source", "b") == b"as it was"


def test_who_writes_and_who_removes_at_once(memory):
    """A blob that is removed stays removed, at whatever moment."""
    memory.put("t", "b", bytes(3000))
    for number in range(300):
        growing = Growing(memory, "t", "b")
        growing.write(3000, b"x")
        remover = threading.Thread(target=memory.delete, args=("t", "b"))
        remover.start()
        try:
            growing.put()
        except NoSuchBlob:
            pass
        remover.join()
        assert memory.list("t") == []
        memory.put("t", "b", bytes(3000))
