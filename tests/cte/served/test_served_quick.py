"""What a daemon's worker answers without a thread: nothing that may wait, and nothing by half."""

import pytest

from wrp.cte.served.quick import LATER, LONGEST, table
from wrp.errors import NoSuchBlob, WrpError


def test_short_blobs_in_ram_and_looks(open_store):
    store = open_store(memory=True)
    quick = table(store)
    assert quick["put"]("t", "a", memoryview(b"short")) is None and quick["put"]("t", "a", b"shorter", score=0.5) is None
    assert quick["get"]("t", "a") == b"shorter" and quick["get"]("t", "a", 0, 7) == b"shorter"
    assert quick["exists"]("t", "a") and quick["size"]("t", "a") == 7 and quick["info"]("t", "a").score == 0.5
    store.put("t", "long", bytes(LONGEST + 1))
    for arguments in (("t", "long"), ("t", "a", 1), ("t", "a", 0, 3), ("t", "a", 0, 70)):
        assert quick["get"](*arguments) is LATER
    for options in ({"offset": 3}, {"score": 2.0}, {"score": "x"}, {"if_generation": 0}, {"compression": "zlib"}, {"min_persistence": "temporary"}):
        assert quick["put"]("t", "b", b"x", **options) is LATER
    assert quick["put"]("t", "", b"x") is LATER and quick["put"]("t", "empty", b"") is LATER
    assert store.list("t") == ["a", "long"]
    with pytest.raises(NoSuchBlob):
        quick["get"]("t", "none")


def test_what_lies_elsewhere_or_is_packed_is_left_to_a_thread(open_store):
    store = open_store(ram="1m")
    quick = table(store)
    store.put("t", "moved", bytes(1000))
    store.flush()
    assert store.move("t", "moved", "file") and quick["get"]("t", "moved") is LATER
    store.set_compression("z", "zlib")
    assert quick["put"]("z", "a", bytes(1000)) is LATER
    store.close()
    with pytest.raises(WrpError):
        quick["put"]("t", "a", b"x")
