"""HDF5 datatypes as far as streams need them: the word for a description, and whether all elements have one size."""

import h5py
import numpy as np
from h5py import h5d, h5s, h5t

from wrp.errors import SourceError

_WORDS = {(h5t.INTEGER, 4): "int32", (h5t.INTEGER, 8): "int64", (h5t.FLOAT, 4): "float32", (h5t.FLOAT, 8): "float64"}


def word(tid):
    """int32, int64, float32, float64 by class and size (so unsigned shows as int), else unknown."""
    return _WORDS.get((tid.get_class(), tid.get_size()), "unknown")


def text(tid):
    """The datatype for people; never fails."""
    try:
        return str(tid.dtype)
    except (TypeError, ValueError):
        return f"class {tid.get_class()} of {tid.get_size()} bytes"


def is_fixed(tid):
    """True if no part of the type has a variable length or refers to something else in the file."""
    kind = tid.get_class()
    if kind == h5t.STRING:
        return not tid.is_variable_str()
    if kind == h5t.COMPOUND:
        return all(is_fixed(tid.get_member_type(number)) for number in range(tid.get_nmembers()))
    if kind == h5t.ARRAY:
        return is_fixed(tid.get_super())
    return kind in (h5t.INTEGER, h5t.FLOAT, h5t.TIME, h5t.BITFIELD, h5t.OPAQUE, h5t.ENUM) or kind == _COMPLEX


_COMPLEX = getattr(h5t, "COMPLEX", 11)          # since HDF5 2.0


def is_listed(tid):
    """True for elements that are each a list of fixed-size values: variable-length strings, and sequences of numbers."""
    kind = tid.get_class()
    if kind == h5t.STRING:
        return bool(tid.is_variable_str())
    if kind != h5t.VLEN:
        return False
    base = tid.get_super()
    try:
        return base.get_class() in (h5t.INTEGER, h5t.FLOAT) and base.dtype.itemsize == base.get_size()
    except TypeError:
        return False


def fill_of(dataset_id, at, path):
    """The bytes of the element at `at` (a tuple) as HDF5 gives it: the fill value, where nothing was written."""
    tid = dataset_id.get_type()
    element = np.zeros(1, f"V{tid.get_size()}")
    space = dataset_id.get_space()
    try:
        if at:
            space.select_hyperslab(at, (1,) * len(at))
        dataset_id.read(h5s.create_simple((1,)), space, element, mtype=tid)
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"{path}: the fill value can't be read: {error}") from error
    return element.tobytes()


def fill_beyond(dataset_id, path):
    """The bytes of an element beyond the extent, as it would show if a fully allocated chunked dataset grew.

    Asked of an empty dataset of the same kind in memory, since this one has no element without a value.
    """
    creation = dataset_id.get_create_plist().copy()
    creation.set_chunk((1,))
    with h5py.File("fill", "w", driver="core", backing_store=False) as memory:
        twin = h5d.create(memory.id, None, dataset_id.get_type().copy(), h5s.create_simple((1,)), creation)
        return fill_of(twin, (0,), path)
