"""A distributed array in a tag: put by all ranks together, each its block; any box of it is got by any rank of any later job.

The tag holds a blob `array` (JSON: version, dtype as in the .npy format, shape, a word of the put) and a blob per block, named
`block_PUT_OFFSET+SHAPE`, e.g. `block_5ab0c2d1_0,512+256,512`, with its elements in C order. A large block is several such blobs. No two puts
have the same word, so blocks of one name are of one put. Arrays of version 1, which have no word, are read too.
"""

import json
import secrets
import time
from dataclasses import dataclass
from math import prod

import numpy as np

from wrp.comm.refusals import let_out
from wrp.cte.arrays import boxes
from wrp.cte.arrays.boxes import Box
from wrp.cte.given import host_array, score_of, wholes
from wrp.errors import Corrupt, NoSuchBlob, NoSuchTag, RangeError, UsageError, WaitTimeout, WrpError

ABOUT = "array"
VERSION = 2
MOST = 64 << 20                 # bytes of one blob, where rows are no larger
_PREFIX = "block_"
_DESCRIPTION, _SHORT = "description", 4096
_NAP_S, _LACKS_S = 1e-3, 1.0    # an array that lacks blocks for longer than that isn't one that is being put


@dataclass(frozen=True)
class ArrayInfo:
    """shape: tuple; dtype: numpy.dtype; blocks: {Box: name of its blob}; put: the word of its put."""

    shape: tuple
    dtype: np.dtype
    blocks: dict
    put: str = ""

    @property
    def nbytes(self):
        return prod(self.shape) * self.dtype.itemsize


def put_array(store, tag, block, offset=None, shape=None, score=1.0):
    """Put an array of which every rank has a block, in place of what the tag held. Collective; all or nothing; durable when it returns.

    block : this rank's elements, anything that NumPy takes without a copy: arrays, memoryviews, arrays of a device through DLPack
    offset : index of its first element in the whole array (default: the origin); a rank without elements passes an empty block
    shape : of the whole array (default: the largest end of a block)
    score : of this rank's blobs, as of a put: it says to which targets they go, among those that last in a store with a folder
    Raises UsageError on every rank when blocks overlap, leave elements out, lie outside, or differ in dtype or rank.
    """
    ranks, failure, described = store.ranks, None, None
    try:
        score, block = score_of(score, f"array {tag!r:.80}"), host_array(block)
        described = _described(block, offset)
    except Exception as error:          # told below, so that no rank waits for this one
        failure = error
    with ranks.agreed(f"the blocks of array {tag!r}"):
        if failure is not None:
            raise failure
    *everything, words = zip(*ranks.gather((described, shape, secrets.token_hex(8)), f"the blocks of array {tag!r}"))
    everything, put = list(zip(*everything)), words[0]
    with ranks.agreed(f"checking the blocks of array {tag!r}"):
        shape = _common_shape(everything, tag, getattr(store, "alone", ""))
    box = Box(*described[1:])
    with store.batch(f"array {tag}") as batch:
        batch.replace(tag)
        if ranks.rank == 0:
            batch.put(tag, ABOUT, json.dumps({"version": VERSION, "dtype": np.lib.format.dtype_to_descr(block.dtype), "shape": shape, "put": put}).encode(), score)
        for part in boxes.rows(box, block.dtype.itemsize, MOST) if box.size else ():
            batch.put(tag, block_name(part, put), np.ascontiguousarray(block[part.within(box)]), score)


def get_array(store, tag, offset=None, shape=None, out=None):
    """The box of `shape` elements at `offset` (default: the whole array) as a new C-ordered NumPy array, or in `out`. Local.

    Only the bytes from the first to the last row wanted of each block are read. Raises NoSuchTag, NoSuchBlob when the tag holds no
    array, RangeError beyond its end, UsageError for an `out` of another shape or dtype, Corrupt when a block isn't there.
    All elements are of one put: where another comes in between it begins anew; WaitTimeout when puts don't pause.
    """
    begun = since = time.monotonic()
    info = array_info(store, tag)
    while (found := _got(store, tag, info, offset, shape, out)) is None:
        # it is being put, or another is in its place
        before, info, now = info, array_info(store, tag), time.monotonic()
        if info.put != before.put:
            since = now
        elif now - since > _LACKS_S:
            raise Corrupt(f"array {tag!r}: some of its elements are in no block: a blob of the tag was deleted; put it again")
        if now - begun > store.ranks.timeout_s:
            raise WaitTimeout(f"array {tag!r} was put again and again for {store.ranks.timeout_s:g} s while it was read; its writers don't pause")
        time.sleep(_NAP_S)
    return found


def _got(store, tag, info, offset, shape, out):
    """The same of the array as it is described, or None: some of its blocks aren't there."""
    wanted = _wanted(info, offset, shape, tag)
    if out is None:
        out = np.empty(wanted.shape, info.dtype)
    elif not isinstance(out, np.ndarray):
        raise UsageError(f"array {tag!r} is read into a NumPy array, not a {type(out).__name__}")
    elif out.shape != wanted.shape or out.dtype != info.dtype:
        raise UsageError(f"array {tag!r}: `out` has shape {out.shape} and dtype {out.dtype}, wanted are {wanted.shape} and {info.dtype}")
    filled = 0
    for box, name in info.blocks.items():
        common = box.intersection(wanted) if wanted.size else None
        if common is not None:
            try:
                _read(store, (tag, name), box, common, out[(*common.within(wanted), ...)])
            except (NoSuchBlob, NoSuchTag) as error:
                let_out(error)
                return None
            filled += common.size
    return out if filled == wanted.size else None


def array_info(store, tag):
    """The ArrayInfo of a tag. Local. Raises NoSuchTag, NoSuchBlob when it holds no array."""
    try:
        described = store.get(tag, ABOUT)
    except NoSuchTag:
        raise
    except NoSuchBlob as error:
        let_out(error)
        raise NoSuchBlob(f"tag {tag!r} holds no array: {_instead(store, tag)}") from None
    try:
        about = json.loads(described)
        version, shape, dtype = about["version"], tuple(about["shape"]), np.lib.format.descr_to_dtype(_tuples(about["dtype"]))
        put = about.get("put", "")
    except WrpError:                    # of a signal's handler
        raise
    except (ValueError, LookupError, TypeError) as error:
        raise Corrupt(f"tag {tag!r}: its blob {ABOUT!r} doesn't describe an array ({error})") from error
    if version not in (1, VERSION):
        raise UsageError(f"array {tag!r} is of version {version}, this wrp reads versions 1 and {VERSION}")
    names = [name for name in store.list(tag, _prefix(put)) if put or name.count("_") == 1]
    return ArrayInfo(shape, dtype, {parsed_name(name): name for name in names}, put)


def _instead(store, tag):
    """What a tag without an array is: one that was taken in from HDF5 says so in its description."""
    try:
        about = store.get(tag, _DESCRIPTION).decode() if store.size(tag, _DESCRIPTION) <= _SHORT else ""
    except (NoSuchBlob, RangeError, UnicodeDecodeError) as error:
        let_out(error)
        about = ""
    if not about.startswith(("tensor<", "hdf5<")):
        return f"it has no blob {ABOUT!r}"
    what = "dataset" if about.startswith("tensor<") else "file"
    return f"it is an HDF5 {what} that was taken in ({about}), which wrp.cee.doors.hdf5store.Hdf5Store reads, by the tag of the file: docs/arrays.md"


def _prefix(put):
    return f"{_PREFIX}{put}_" if put else _PREFIX


def block_name(box, put=""):
    """Name of the blob of a Box of a put."""
    return _prefix(put) + ",".join(map(str, box.offset)) + "+" + ",".join(map(str, box.shape))


def parsed_name(name):
    """The Box of a blob's name. Corrupt when it isn't one."""
    try:
        return Box(*(tuple(int(number) for number in part.split(",") if number) for part in name.rpartition("_")[2].split("+", 1)))
    except (TypeError, ValueError) as error:
        let_out(error)
        raise Corrupt(f"blob {name!r} isn't the name of a block: it isn't of put_array") from None


def _described(block, offset):
    """(dtype, offset, shape) of this rank's block."""
    offset = (0,) * block.ndim if offset is None else wholes(offset, "offsets of a block")
    if len(offset) != block.ndim:
        raise UsageError(f"the block has {block.ndim} dimension(s) and its offset {offset} has {len(offset)}")
    return block.dtype, offset, block.shape


def _common_shape(everything, tag, hint):
    """The whole shape, which all blocks agree with. UsageError where they don't."""
    blocks = [(f"rank {rank}", *described) for rank, (described, _) in enumerate(everything)]
    kinds = {(dtype, len(shape)) for _, dtype, _, shape in blocks}
    if len(kinds) > 1:
        raise UsageError(f"array {tag!r}: blocks of different kinds: " + "; ".join(sorted(f"{dtype}, {count} dimension(s)" for dtype, count in kinds)))
    found = [(owner, Box(offset, shape)) for owner, _, offset, shape in blocks]
    asked = {wholes(shape, "lengths of an array") for _, shape in everything if shape is not None}
    if len(asked) > 1:
        raise UsageError(f"array {tag!r}: ranks give different shapes: {sorted(asked)}")
    shape = asked.pop() if asked else tuple(max(ends) for ends in zip(*(box.end for _, box in found)))
    if len(shape) != len(found[0][1].shape):
        raise UsageError(f"array {tag!r}: shape {shape} has {len(shape)} dimension(s), the blocks have {len(found[0][1].shape)}")
    boxes.check_cover(found, shape, f"array {tag!r}", hint)
    return shape


def _wanted(info, offset, shape, tag):
    """The Box asked for. RangeError beyond the array."""
    offset = (0,) * len(info.shape) if offset is None else wholes(offset, "offsets of a box")
    if len(offset) != len(info.shape):
        raise UsageError(f"array {tag!r} has {len(info.shape)} dimension(s) and the offset {offset} has {len(offset)}")
    shape = tuple(count - low for count, low in zip(info.shape, offset)) if shape is None else wholes(shape, "lengths of a box")
    if len(shape) != len(offset):
        raise UsageError(f"array {tag!r} has {len(info.shape)} dimension(s) and the shape {shape} has {len(shape)}")
    box = Box(offset, shape)
    if any(low < 0 or count < 0 or high > size for low, count, high, size in zip(offset, shape, box.end, info.shape)):
        raise RangeError(f"the box of shape {shape} at {offset} lies beyond array {tag!r} of shape {info.shape}")
    return box


def _read(store, name, box, common, place):
    """Fill `place` with the elements of `common` from the block `box`: the bytes between the first and the last row wanted."""
    where, dtype = common.within(box), place.dtype
    first, count = (where[0].start, common.shape[0]) if box.shape else (0, 1)
    of_row = dtype.itemsize * prod(box.shape[1:])
    if common.shape[1:] == box.shape[1:] and place.flags.c_contiguous:
        store.get(*name, offset=first * of_row, out=place)
        return
    rows = np.empty((count, *box.shape[1:]), dtype)
    store.get(*name, offset=first * of_row, out=rows)
    place[...] = rows[(slice(None), *where[1:])] if box.shape else rows[0]


def _tuples(descr):
    """JSON has no tuples: fields of structured dtypes as numpy.lib.format wants them."""
    if isinstance(descr, str):
        return descr
    return [tuple(_tuples(part) if number == 1 else tuple(part) if isinstance(part, list) else part for number, part in enumerate(field))
            for field in descr]
