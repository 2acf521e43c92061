"""What users give to calls: buffers and arrays as plain bytes, to be stored or filled; numbers, lists; what can't be these is refused. No store and no extents here."""

import re
from collections.abc import Mapping, Set
from numbers import Real

import numpy as np

from wrp.comm.refusals import let_out
from wrp.comm.sizes import whole
from wrp.errors import UsageError

_PLAIN = "biufcmMSU"                            # kinds of dtypes whose bytes are all there is of them
_NAMES = re.compile(r":[^:]*:")                 # of fields, in the format of a buffer
_ADDRESSES = re.compile(r"[OPXz&]|Z(?![fdg])")  # in such a format: objects and pointers
_NOTHING = np.empty(0, np.uint8)
_NO_LISTS = (str, bytes, bytearray, memoryview, Mapping, Set)


def bytes_of(data, writable=False):
    """The bytes of a buffer or an array, in C order, as a memoryview of one dimension; a copy where they don't lie so.

    data : bytes-like, an array (NumPy, CuPy: copied to the host), or what has DLPack, of any dtype but objects
    writable : they are to be filled, so nothing is copied
    Raises UsageError for what holds objects or pointers, is no buffer, or can't be filled where it lies.
    """
    return memoryview(data) if type(data) is bytes and not writable else memoryview(array_of(data, writable))


def array_of(data, writable=False):
    """The same as a uint8 array of one dimension."""
    if type(data) is bytes and not writable:
        return np.frombuffer(data, np.uint8)
    if not isinstance(data, np.ndarray):
        try:
            view = memoryview(data)
        except (TypeError, ValueError, BufferError):    # it has none, or none of its dtype
            data = _of_others(data, writable)
        else:
            return _of_buffer(view, data, writable)
    check_plain(data)
    if writable and not (data.flags.c_contiguous and data.flags.writeable):
        raise _unfit(data, data.flags.writeable)
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8) if data.nbytes else _NOTHING


def whole_of(data, writable=False):
    """A C-contiguous array, of any type and shape, with the bytes that `bytes_of` gives; None where that refuses. Numbers in an array take the short way here."""
    if type(data) is np.ndarray and data.dtype.kind in _PLAIN and data.flags.c_contiguous and (not writable or data.flags.writeable):
        return data
    try:
        return array_of(data, writable)
    except UsageError as error:
        let_out(error)
        return None


def rows_of(data):
    """The rows of a C-contiguous array of two or more dimensions as a uint8 array (n x nbytes); None of anything else. UsageError for objects."""
    if not isinstance(data, np.ndarray):
        return None
    check_plain(data)
    data = np.asarray(data)
    return data.reshape(len(data), -1).view(np.uint8) if len(data) and data.ndim > 1 and data.flags.c_contiguous else None


def rows_in(data, nbytes):
    """The rows of `nbytes` bytes that stand one behind the other in `data`, as such an array."""
    return np.frombuffer(data, np.uint8).reshape(-1, nbytes)


def host_array(data):
    """`data` as a NumPy array of this process, without a copy where its memory is the host's. UsageError for objects."""
    if hasattr(data, "__cuda_array_interface__"):
        data = data.get() if hasattr(data, "get") else data
    elif not isinstance(data, np.ndarray) and hasattr(data, "__dlpack__"):
        data = np.from_dlpack(data)
    _check_unmasked(data)
    array = np.asarray(data)
    check_plain(array)
    return array


def dtype_of(data):
    """NumPy's name of the elements of an array; None of anything else, bytes are of no type."""
    found = getattr(data, "dtype", None)
    return found.str if isinstance(found, np.dtype) else None


def check_plain(array):
    """UsageError for an array of objects, and for one with masked elements."""
    if array.dtype.hasobject:
        raise _addresses(f"an array of dtype {array.dtype}")
    _check_unmasked(array)


def _check_unmasked(array):
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise UsageError("an array with masked elements: its mask would be lost: give it filled (array.filled(value)), or array.data and the mask as two")


def _of_buffer(view, data, writable):
    if view.format != "B" and _ADDRESSES.search(_NAMES.sub("", view.format)):
        raise _addresses(f"a buffer of type {type(data).__name__} and format {view.format!r}")
    if writable and (view.readonly or not view.c_contiguous):
        raise _unfit(data, not view.readonly)
    if not view.nbytes:
        return _NOTHING
    return np.frombuffer(view if view.c_contiguous else view.tobytes(), np.uint8)


def _of_others(data, writable):
    """An array of what has no buffer that Python knows."""
    if isinstance(data, np.generic):
        return np.asarray(data)
    on_device = hasattr(data, "__cuda_array_interface__")
    if writable and on_device or not on_device and not hasattr(data, "__dlpack__"):
        wanted = "bytes can't be read into it: give a writable array of the host" if writable else _advice(data)
        raise UsageError(f"data of type {type(data).__name__}: {wanted}")
    return host_array(data)


def _advice(data):
    """What to give in place of what is neither a buffer nor an array."""
    if hasattr(data, "__array__") or isinstance(data, (list, tuple)):
        return "it is neither bytes nor an array: give the array that numpy.asarray makes of it"
    return "it is neither bytes nor an array: encode it first"


def score_of(score, what):
    """A score as a float of 0 to 1. UsageError."""
    if not 0 <= real(score, f"{what}: a score") <= 1:
        raise UsageError(f"{what}: score {score} is outside 0 to 1")
    return float(score)


def real(number, what):
    """A number of any type, but not NaN. UsageError; `what` names it."""
    if not isinstance(number, Real):
        raise UsageError(f"{what} is a number, not {type(number).__name__}")
    if number != number:
        raise UsageError(f"{what} is a number, which {number} isn't")
    return number


def text(words, what):
    """A text that can be stored. UsageError; `what` names it."""
    if not isinstance(words, str):
        raise UsageError(f"{what} is a str, not {type(words).__name__}")
    return words


def listed(items, what):
    """A list, or what has a length and places as one. UsageError; `what` names it."""
    try:
        if not isinstance(items, _NO_LISTS):
            return items if hasattr(items, "__getitem__") and len(items) >= 0 else list(items)
    except TypeError:
        pass
    raise UsageError(f"{what} are a list, not {type(items).__name__}")


def wholes(items, what):
    """A tuple of whole numbers, offsets or lengths along dimensions. UsageError; `what` names it."""
    return tuple(whole(item, f"{what}: one of them,") for item in listed(items, what))


def pairs_of(items, what):
    """[(first, second)] of a list of pairs. UsageError."""
    items = listed(items, what)
    try:
        return [(first, second) for first, second in items]
    except (TypeError, ValueError):
        raise UsageError(f"{what} are a list of pairs: one of them is none") from None


def _addresses(what):
    return UsageError(f"{what} holds addresses of this process, not data: give an array of numbers, or encode the objects (json, pickle) and give the bytes")


def _unfit(data, is_writable):
    if not is_writable:
        return UsageError(f"a buffer of type {type(data).__name__} is read-only: bytes can't be read into it")
    return UsageError(f"a buffer of type {type(data).__name__} doesn't lie in one piece in C order: read into a new array (numpy.empty), and assign that to it")
