"""Salvage: what can still be had of a folder whose snapshot or journals are damaged, and a sound folder made of it. The damaged files are kept aside.

A frame counts if its checksum holds, and a blob if its bytes have theirs. What stood in other frames is named as far as names can be read there.
"""

import os
import shutil
from contextlib import ExitStack, suppress
from typing import NamedTuple

import msgpack

from wrp.comm.digests import crc32_of
from wrp.comm.lasting import sync_path
from wrp.comm.refusals import is_refusal
from wrp.cte.folder import frames
from wrp.cte.folder.carried import carried, restore
from wrp.cte.folder.checking import checked
from wrp.cte.folder.folder import FORMAT, Folder
from wrp.cte.folder.replay import newest
from wrp.cte.names import HIDDEN, MARK, readable
from wrp.cte.naming.settling import settled
from wrp.cte.naming.table import entry_of, table_of
from wrp.cte.records import BLOB, Record, from_plain
from wrp.errors import StoreError
from wrp.runtime.devices import places

_RECORDS = bytes((0x97, 0x9c))          # what a plain record begins with: a list of 7 values in format 1, else of 12
_WINDOW = 256 << 10                     # bytes in which a record that begins there ends, or isn't read
RECORD, BYTES, OLDER, NAME = "its record is damaged", "its bytes have changed", "what was put last is damaged, an older one is kept", "its name is damaged"


class Lost(NamedTuple):
    """`blob` is "" for a tag; `why`: one of the texts above, of a name with the one that the tag has now."""

    tag: str
    blob: str
    why: str


class Salvaged(NamedTuple):
    """kept: number of blobs; lost: [Lost] by tag and blob; damaged: [(path, first byte, bytes)]; aside: where the damaged files are, "" where nothing was written

    is_complete: False where more may be lost than is named
    """

    kept: int
    lost: list
    damaged: list
    is_complete: bool
    aside: str = ""


def salvage(path, write=False):
    """The Salvaged of the folder at `path`; with `write` it is sound when this returns, else nothing is changed. Local; nobody else may have it open for writing.

    Raises StoreError for a folder that is no store, that can't be read or written, or whose data files aren't all there, StoreBusy.
    """
    folder = Folder(path, write)
    folder.header = folder._read_header()
    try:
        folder._lock.take(write)
        folder.header = folder._read_header()
        return _salvaged(folder, write)
    except StoreError:
        raise
    except OSError as error:
        if not is_refusal(error):
            raise
        raise folder.unusable(error) from error
    finally:
        folder.close()


def _salvaged(folder, write):
    files = folder._journal_files()
    changes, damaged, is_complete = _read(folder, files)
    beside = [each for path, start, nbytes in damaged for each in _plains(_bytes(path)[start:start + nbytes], folder.header["files"])]
    records, lost = _counting(changes, folder.header["files"])
    held = _held(changes)
    for name, stamp in beside:
        if name not in records:
            lost[name] = RECORD
        elif stamp > records[name].stamp:
            lost[name] = OLDER
    for name in _spoiled(folder, records, held):
        del records[name]
        lost[name] = BYTES
    for name in _overlapping(records):
        del records[name]
        lost[name] = OLDER if name in lost else BYTES
    named = _named(records) if damaged or lost else {}
    records = settled({**records, **{entry_of(new, own): Record(entry_of(new, own), BLOB, max(record.stamp for record in records.values())) for own, new in named.items()}})
    table = table_of(name.partition("\0")[2] for name in records if name.startswith(HIDDEN + "\0"))
    found = sorted([*(_told(table, name, why) for name, why in lost.items()), *(Lost(readable(own), "", f"{NAME}: it is {new!r} now") for own, new in named.items())])
    done = Salvaged(sum(record.kind == BLOB and record.tag != HIDDEN for record in records.values()), found, damaged, is_complete)
    if not write or not (damaged or lost):
        return done
    return done._replace(aside=_make_sound(folder, records, held, files))


def _read(folder, files):
    """(changes of whole frames, [(path, first byte, bytes)] of what is damaged, whether a count says that no record more is in there)."""
    path = os.path.join(folder.path, "snapshot")
    data = _bytes(path)
    changes, damaged = _frames(data)
    ends = [change for change in changes if "end" in change]
    count = sum(len(change.get("put", ())) for change in changes)
    found = [(path, *place) for place in damaged]
    if data and not ends and not damaged:
        found.append((path, len(data), 0))            # cut behind a whole frame
    missing = ends[0]["end"] - count if ends else None
    is_complete = not found or missing is not None and missing == len({name for _, start, nbytes in found for name, _ in _plains(data[start:start + nbytes], folder.header["files"])})
    # as folder.py reads them; where no count says what the snapshot has, a journal that was to be dropped is better read twice than not at all
    first = ends[0].get("epoch", 0) if ends else 0
    for journal in files:
        if not journal.endswith(".new") and int(os.path.basename(journal).partition("-")[0]) >= first:
            data = _bytes(journal)
            more, torn = _frames(data)
            if torn and torn[-1][0] + torn[-1][1] == len(data):
                torn.pop()                              # the frame that was being written when its process was killed
            changes += more
            found += [(journal, *place) for place in torn]
            is_complete = is_complete and not torn
    return changes, found, is_complete


def _bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _frames(data):
    """(values of the whole frames in `data`, [(first byte, bytes)] of what lies between them)."""
    values, gaps, position = [], [], 0
    while position < len(data):
        start = position
        while (found := frames.whole_at(data, position)) is None:
            position = data.find(frames.MAGIC, position + 1)
            if position < 0:
                break
        if found is None or position > start:
            gaps.append((start, (position if found is not None else len(data)) - start))
        if found is None:
            break
        value, position = found
        values.append(value)
    return values, gaps


def _plains(data, files):
    """[(name, stamp)] of the plain records that can be read in bytes, whatever stands around them."""
    found, position = [], 0
    while position < len(data):
        if data[position] in _RECORDS:
            unpacker = msgpack.Unpacker(strict_map_key=False)
            unpacker.feed(data[position:position + _WINDOW])
            with suppress(Exception):               # it is none
                plain = checked(unpacker.unpack(), files)
                found.append((plain[0], plain[2]))
                position += unpacker.tell() - 1
        position += 1
    return found


def _counting(changes, files):
    """({name: Record} of the newest changes, {name: why} of those that no wrp wrote)."""
    records, lost = {}, {}
    for name, each in newest(changes).items():
        if each.plain is not None:
            try:
                records[name] = from_plain(checked(each.plain, files))
            except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
                lost[name] = RECORD
    return records, lost


def _held(changes):
    """{extent: bytes} of what whole frames hold."""
    found = {}
    for change in changes:
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            found.update(carried([change]))
    return found


def _spoiled(folder, records, held):
    """Names of blobs whose bytes, in files or in `held`, don't have their checksums. StoreError where a data file isn't there."""
    found = []
    with ExitStack() as opened:
        readers = {}
        for name, record in records.items():
            for extent in record.durable:
                target, offset, nbytes, crc = extent
                if extent in held:
                    continue
                if target not in readers:
                    readers[target] = _reader(folder.data_path(target - 1), opened)
                if crc32_of(readers[target](offset, nbytes)) != crc:
                    found.append(name)
                    break
    return found


def _reader(path, opened):
    """A function: bytes of a data file, fewer where it is shorter."""
    if not places.is_there(path):
        raise StoreError(f"data file {path} isn't there: bring it back to this path, or run where it is; nothing was changed")
    if places.kind_of(path) == "file":
        file = opened.enter_context(open(path, "rb", buffering=0))
        return lambda offset, nbytes: os.pread(file.fileno(), nbytes, offset)
    device = places.open_reader(path)
    opened.callback(device.close)

    def read(offset, nbytes):
        data = bytearray(nbytes)
        device.read(offset, memoryview(data))
        return data
    return read


def _overlapping(records):
    """Names of blobs that say of bytes that they are theirs which a newer one says it of, too."""
    gone, last = set(), {}
    runs = sorted((extent[0], extent[1], extent[1] + extent[2], record.stamp, name) for name, record in records.items() for extent in record.durable)
    for target, begin, end, stamp, name in runs:
        before = last.get(target)
        if before is not None and begin < before[0]:
            gone.add(min((stamp, name), before[1:])[1])
        if before is None or end >= before[0]:
            last[target] = end, stamp, name
    return gone


def _named(records):
    """{own name: a free name} of tags to which no name leads any more."""
    kept = {record.tag for record in settled(dict(records)).values()}
    used, found = set(kept), {}
    for own in sorted({record.tag for record in records.values()} - kept - {HIDDEN}):
        name, number = readable(own), 0
        while name in used:
            number += 1
            name = f"{readable(own)}~{number}"
        used.add(name)
        found[own] = name
    return found


def _told(table, name, why):
    tag, _, blob = name.partition("\0")
    if tag == HIDDEN:
        return Lost(blob.strip(MARK).partition(MARK)[0], "", NAME)
    return Lost(next(iter(table.names_of(tag)), readable(tag)), blob, why)


def _make_sound(folder, records, held, files):
    """The folder has these records, and no journal; where the files are that it had. What it was stays as it is until what it will be is on storage."""
    wanted = {extent for record in records.values() for extent in record.durable}
    restore(folder.data_path, {extent: data for extent, data in held.items() if extent in wanted})
    aside = os.path.join(folder.path, f"damaged-{folder.header['epoch']}")
    os.makedirs(aside, exist_ok=True)
    for path in [os.path.join(folder.path, "snapshot"), *files]:
        if os.path.exists(path):
            shutil.copy2(path, os.path.join(aside, os.path.basename(path)))
            sync_path(os.path.join(aside, os.path.basename(path)))
    sync_path(aside), sync_path(folder.path)
    folder.change_header(format=FORMAT, epoch=folder.header["epoch"] + 1)
    folder.write_snapshot(records)
    folder._drop(files)
    return aside
