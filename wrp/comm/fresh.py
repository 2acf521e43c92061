"""Bytes objects that a kernel fills before anyone else sees them: what would be copied twice is copied once. CPython only, as Numba is."""

import ctypes

HEAD_OF_BYTES = bytes.__basicsize__ - 1             # before the first byte; the last one of the size is a NUL at the end

_make = ctypes.pythonapi.PyBytes_FromStringAndSize
_make.restype, _make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t)


def fresh_bytes(nbytes):
    """(bytes object of `nbytes` bytes that are not set yet, their address): fill them all at once, before the object goes anywhere.

    At least two bytes: CPython has one object for every shorter content, which nobody may change.
    """
    if nbytes < 2:
        raise ValueError(f"fresh bytes of {nbytes}: shorter ones than two are shared by all who have them")
    data = _make(None, nbytes)
    return data, id(data) + HEAD_OF_BYTES
