"""Bytes of Python's objects where they lie: addresses for kernels without asking the objects, and bytes objects that a kernel fills. CPython only, as Numba is."""

import ctypes

from wrp.comm.atomics import load
from wrp.comm.jit import kernel

HEAD_OF_BYTES = bytes.__basicsize__ - 1             # before the first byte; the last one of the size is a NUL at the end
_DATA = object.__basicsize__                        # of an array, the word with the address of its bytes: the first one of PyArrayObject_fields, NumPy's stable ABI
_CLEARED = 32 << 10             # shorter ones are cleared sooner than ctypes makes them

_make = ctypes.pythonapi.PyBytes_FromStringAndSize
_make.restype, _make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t)


@kernel
def bytes_in(array):
    """Address of the bytes of the array with this id; whoever calls keeps the array. To ask the array takes 1 us."""
    return load(array + _DATA)


def fresh_bytes(nbytes):
    """(bytes object of `nbytes` bytes that are not set yet, their address): fill them all at once, before the object goes anywhere.

    At least one byte: CPython has one object without, which nobody may change.
    """
    if nbytes < 1:
        raise ValueError(f"fresh bytes of {nbytes}: all who have none share an object")
    data = bytes(nbytes) if nbytes < _CLEARED else _make(None, nbytes)
    return data, id(data) + HEAD_OF_BYTES
