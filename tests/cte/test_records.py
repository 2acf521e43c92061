"""Records: into the catalog and out of it, and into the journal."""

import pytest

from wrp.comm.checksum import crc32
from wrp.comm.ranks.solo import Solo
from wrp.cte import records
from wrp.cte.catalog import Catalog
from wrp.cte.records import BLOB, TAG, Record

SAMPLES = [
    Record("t", TAG, 7, created=3, read=5, reads=2),
    Record("tag\0blob", BLOB, 2**62, 10, 0xFFFFFFFF, 0.25, ((0, 64, 10, 5),), ((3, 4096, 10, 0xFFFFFFFF),), False, created=2**61, raw=99, codec=7),
    Record("größe\0Ж" * 1, BLOB, 1, 0, 0, 1.0, (), (), pinned=True, journaled=True),
    Record("many\0x", BLOB, 9, 300, 1, 0.0, tuple((k, k * 64, 3, k) for k in range(1000)), (), reads=1),
    Record("t" * 4096 + "\0" + "b" * 4096, BLOB, 9),
]


@pytest.fixture
def catalog():
    with_room = Catalog(Solo(), 100, 5)
    yield with_room
    with_room.close()


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record.tag[:10])
def test_comes_back(catalog, record):
    with catalog.changing("test"):
        catalog.put(record)
    assert catalog.find(record.name) == record
    assert catalog.scan() == [record]
    if record.kind == BLOB:
        assert catalog.scan(tag=record.tag) == []           # a blob whose tag isn't there isn't seen by its tag
        with catalog.changing("test"):
            catalog.put(Record(record.tag, TAG))
        assert catalog.scan(tag=record.tag) == [record] and catalog.names(record.tag) == [record.blob]


def test_names():
    record = SAMPLES[1]
    assert (record.tag, record.blob) == ("tag", "blob")
    assert records.full_name("a") == "a" and records.full_name("a", "b") == "a\0b"


def test_checksum_of_extents_is_that_of_their_bytes():
    parts = [b"abc", b"", b"defgh" * 1000, b"z"]
    extents = [(0, 0, len(part), crc32(part)) for part in parts]
    assert records.combined_crc(extents) == crc32(b"".join(parts))
    assert records.combined_crc([]) == 0


def test_journal_form_keeps_what_is_durable():
    record = SAMPLES[1]
    back = records.from_plain(records.to_plain(record))
    assert back == record.but(extents=record.durable, dirty=False, journaled=True)


def test_journal_of_format_1_is_read():
    old = records.to_plain(SAMPLES[1])[:7]
    assert records.from_plain(old) == Record("tag\0blob", BLOB, 2**62, 10, 0xFFFFFFFF, 0.25, SAMPLES[1].durable, SAMPLES[1].durable, False,
                                             journaled=True, created=2**62)
