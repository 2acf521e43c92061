"""Bytes as an array of a dtype and shape. Touches no store."""

from math import prod

import numpy as np

from wrp.errors import UsageError


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
