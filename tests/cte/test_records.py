"""Records: packed and unpacked, torn ones recognised."""

import pytest

from wrp.comm.checksum import crc32
from wrp.cte import records
from wrp.cte.records import BLOB, TAG, Record

SAMPLES = [
    Record("t", TAG, 7),
    Record("tag\0blob", BLOB, 2**62, 10, 0xFFFFFFFF, 0.25, ((0, 64, 10, 5),), ((3, 4096, 10, 5),), False),
    Record("größe\0Ж" * 1, BLOB, 1, 0, 0, 1.0, (), ()),
    Record("many\0x", BLOB, 9, 300, 1, 0.0, tuple((k, k * 64, 3, k) for k in range(100)), ()),
]


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record.tag)
def test_comes_back(record):
    assert records.unpack(records.pack(record)) == record


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record.tag)
def test_any_changed_byte_is_seen(record):
    data = bytearray(records.pack(record))
    for position in range(0, len(data), 7):
        data[position] ^= 0x10
        assert records.unpack(bytes(data)) is None
        data[position] ^= 0x10


def test_cut_record_is_seen():
    data = records.pack(SAMPLES[1])
    assert all(records.unpack(data[:end]) is None for end in range(0, len(data), 8))


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
    back = records.from_plain(records.to_plain(SAMPLES[1]))
    assert back.extents == back.durable == SAMPLES[1].durable
    assert (back.name, back.size, back.checksum, back.stamp, back.dirty) == (
        SAMPLES[1].name, 10, 0xFFFFFFFF, 2**62, False)
