"""The entry that a journal gets of blobs which a flush has promised, as one kernel writes it: byte for byte what `frames.encode` makes of their plain records and packed bytes.

How the entry is laid out say folder/frames.py and folder/carried.py, plain records records.py. No file is written here.
"""

from wrp.comm.atomics import copy, found_at, load, store, store_byte
from wrp.comm.digests import crc32_at
from wrp.comm.fresh import bytes_in
from wrp.comm.jit import kernel
from wrp.cte.layout import BLOB_KIND, CHECK, CREATED, LOW, RAW, READ, READS, SCORE, SIZE, STAMP, TAG, name_at, name_nbytes, nbytes_of
from wrp.cte.small import CRC, LEFT, NBYTES, PLACE, ROW, TAKEN

_MAGIC = int.from_bytes(b"WRPF", "little")
_HEAD = 16                      # magic, checksum, number of bytes
_NO_FRAME = 3                   # bytes of the magic behind which `pack` puts one more
_PUT, _ORDER, _BYTES = (int.from_bytes(key, "big") for key in (b"\xa3put", b"\xa5order", b"\xa5bytes"))
_TEXT, _BINARY, _ARRAY = 0xDA, 0xC5, 0xDC       # msgpack's codes for two bytes of length
_RECORD_NBYTES = 160            # of a plain record at most, beside its names


def most_nbytes(images_nbytes, count, carried_nbytes):
    """Room for the entry of so many blobs, whose images and carried bytes are so long."""
    return 64 + images_nbytes + _RECORD_NBYTES * count + carried_nbytes * 4 // 3


@kernel
def journaled_write(out, rows, count, images, order, target, buffer, offset):
    """Write the entry of those of the rows (see small.py) that are TAKEN to `out`: how many bytes it has.

    out, rows : ids of arrays; images : address of the images of the taken blobs, one behind the other
    buffer : id of the array that has what is to stand in the file `target` from `offset` on, if the entry is to have the blobs' bytes, else 0
    """
    out, rows = bytes_in(out), bytes_in(rows)
    taken, carried = 0, bytes_in(buffer) - offset if buffer != 0 else 0
    for row in range(count):
        taken += load(rows + ROW * row + LEFT) == TAKEN
    store(out, _MAGIC)
    at = _big(out + _HEAD, 0x83 if buffer != 0 else 0x82, 1)
    at = _head(_big(at, _PUT, 4), 0x90, 16, _ARRAY, taken)
    for row in range(count):
        place = rows + ROW * row
        if load(place + LEFT) == TAKEN:
            at = _plain(at, images, target, place)
            images += load(images)
    at = _whole(_big(at, _ORDER, 6), order)
    if buffer != 0:
        at = _head(_big(at, _BYTES, 6), 0x90, 16, _ARRAY, taken)
        for row in range(count):
            place = rows + ROW * row
            if load(place + LEFT) == TAKEN:
                at = _packed(at, carried + load(place + PLACE), load(place + NBYTES), out)
    nbytes = at - out - _HEAD
    store(out, _MAGIC | crc32_at(out + _HEAD, nbytes, 0) << 32)
    store(out + 8, nbytes)
    return at - out


@kernel
def _plain(at, image, target, row):
    """A blob's plain record, as it is once its bytes are where the row says."""
    own, tag = name_nbytes(image), load(image + TAG)
    at = _head(_big(at, 0x9C, 1), 0xA0, 32, _TEXT, tag + 1 + own)
    copy(at, image + nbytes_of(image), tag)
    store_byte(at + tag, 0)
    copy(at + tag + 1, image + name_at(image), own)
    at = _whole(at + tag + 1 + own, BLOB_KIND)
    at = _whole(_whole(_whole(at, load(image + STAMP)), load(image + SIZE)), load(image + CHECK) & LOW)
    at = _big(_big(at, 0xCB, 1), load(image + SCORE), 8)
    at = _whole(_whole(_big(at, 0x9194, 2), target), load(row + PLACE))
    at = _whole(_whole(at, load(row + NBYTES)), load(row + CRC))
    at = _whole(_whole(_whole(at, load(image + CREATED)), load(image + READ)), load(image + READS))
    return _whole(_whole(at, load(image + RAW)), load(image + CHECK) >> 32)


@kernel
def _packed(at, data, nbytes, magic):
    """What carried.pack makes of the bytes: none of a frame's beginning, at `magic`, is in it."""
    end, marks, mark = data + nbytes, 0, found_at(data, nbytes, magic, _NO_FRAME)
    while mark != 0:
        marks, mark = marks + 1, found_at(mark + _NO_FRAME, end - mark - _NO_FRAME, magic, _NO_FRAME)
    at = _big(_head(at, 0, 0, _BINARY, nbytes + 2 + marks), 0, 1)
    for _ in range(marks):
        upto = found_at(data, end - data, magic, _NO_FRAME) + _NO_FRAME
        copy(at, data, upto - data)
        at, data = _big(at + upto - data, 0, 1), upto
    copy(at, data, end - data)
    return _big(at + end - data, 0, 1)


@kernel
def _head(at, short, most, code, count):
    """msgpack's head of a text, bytes or array of `count`; `short` is the one of less than `most`."""
    if count < most:
        return _big(at, short | count, 1)
    if count < 1 << 8 and code != _ARRAY:
        return _big(_big(at, code - 1, 1), count, 1)
    return _big(_big(at, code, 1), count, 2) if count < 1 << 16 else _big(_big(at, code + 1, 1), count, 4)


@kernel
def _whole(at, number):
    """msgpack's form of a whole number from 0."""
    if number < 1 << 7:
        return _big(at, number, 1)
    if number < 1 << 8:
        return _big(_big(at, 0xCC, 1), number, 1)
    if number < 1 << 16:
        return _big(_big(at, 0xCD, 1), number, 2)
    return _big(_big(at, 0xCE, 1), number, 4) if number < 1 << 32 else _big(_big(at, 0xCF, 1), number, 8)


@kernel
def _big(at, word, nbytes):
    """The low bytes of a word, the highest first; the address behind them."""
    for number in range(nbytes):
        store_byte(at + number, word >> 8 * (nbytes - 1 - number))
    return at + nbytes
