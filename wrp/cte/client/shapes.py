"""Arrays in and out of calls: what a put takes as bytes, and bytes as an array of a dtype and shape. Touches no store."""

from math import prod

import numpy as np

from wrp.cte.arrays.array import host_array
from wrp.errors import UsageError


def flat(data):
    """The bytes of `data` (bytes-like, or an array: NumPy, DLPack, CuPy; copied where it isn't C-contiguous) as a bytes-like of one dimension."""
    if isinstance(data, bytes):
        return data
    if not isinstance(data, np.ndarray) and not hasattr(data, "__dlpack__") and not hasattr(data, "__cuda_array_interface__"):
        try:
            view = memoryview(data)
        except TypeError:
            raise UsageError(f"data of type {type(data).__name__} is neither bytes nor an array: encode it first") from None
        if view.c_contiguous:
            return view.cast("B") if view.nbytes else b""
    return np.ascontiguousarray(host_array(data)).reshape(-1).view(np.uint8)


def nbytes_of(dtype, shape):
    """Bytes of an array."""
    return np.dtype(dtype).itemsize * prod((shape,) if isinstance(shape, int) else shape)


def shaped(data, dtype, shape=None):
    """`data` (bytes-like) as an array of a dtype, of one dimension unless a shape is given. Read-only where the data is. UsageError when it doesn't fit."""
    try:
        array = np.frombuffer(data, np.uint8).view(np.dtype(dtype)) if len(data) else np.empty(0, dtype)
        return array if shape is None else array.reshape(shape)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{len(data)} bytes are no array of dtype {dtype}{f' and shape {shape}' if shape is not None else ''}: {error}") from None
