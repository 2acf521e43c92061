"""Bytes as an array of a dtype and shape. Touches no store."""

from math import prod
from numbers import Integral
from operator import index

import numpy as np

from wrp.cte.reservation import private
from wrp.errors import UsageError


def nbytes_of(dtype, shape):
    """Bytes of an array. UsageError where there can't be one."""
    try:
        lengths = [index(length) for length in ((shape,) if isinstance(shape, Integral) else shape)]
        nbytes = np.dtype(dtype).itemsize * prod(lengths)
    except (TypeError, ValueError) as error:
        raise UsageError(f"there is no array of dtype {dtype!r:.80} and shape {shape!r:.80}: {error}") from None
    if min(lengths, default=0) < 0:
        raise UsageError(f"there is no array of shape {shape}: a length is negative")
    return nbytes


def empty(dtype, shape):
    """A new array. UsageError where there can't be one, OutOfSpace where this process has no memory for it."""
    return shaped(private(nbytes_of(dtype, shape)), dtype, shape)


def shaped(data, dtype, shape=None):
    """`data` (bytes-like) as an array of a dtype, of one dimension unless a shape is given. Read-only where the data is. UsageError when it doesn't fit."""
    try:
        array = np.frombuffer(data, np.uint8).view(np.dtype(dtype)) if len(data) else np.empty(0, dtype)
        return array if shape is None else array.reshape(shape)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{len(data)} bytes are no array of dtype {dtype!r:.80}{f' and shape {shape!r:.80}' if shape is not None else ''}: {_misfit(len(data), dtype, shape) or error}") from None


def _misfit(nbytes, dtype, shape):
    """Why so many bytes aren't such an array; "" where their number isn't the reason."""
    try:
        itemsize = np.dtype(dtype).itemsize
    except TypeError:
        return ""
    if not itemsize or np.dtype(dtype).hasobject:
        return ""
    if nbytes % itemsize:
        return f"an element has {itemsize} bytes, and {nbytes % itemsize} are left over"
    try:
        wanted = nbytes_of(dtype, shape) if shape is not None else nbytes
        return f"that takes {wanted} bytes" if wanted != nbytes else ""
    except UsageError:              # a length is to be found out, or is none
        return ""
