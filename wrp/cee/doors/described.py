"""What an HDF5 dataset is in zarr's words: data type, grid of chunks, dimension names, attributes. JSON-like values only."""

import base64
import struct
from math import prod

import h5py
import numpy as np

from wrp.errors import WrpError

CHUNK_NBYTES = 1536 << 10               # as the blobs that datasets are taken in as
_HIDDEN = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS", "_Netcdf4Dimid", "_Netcdf4Coordinates",
           "_nc3_strict", "_NCProperties"}
_NAMES = {"b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8", "u2": "uint16", "u4": "uint32",
          "u8": "uint64", "f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64", "c16": "complex128"}


def group(attributes):
    """The document of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def consolidated(documents):
    """What a group's document says about all below it; `documents`: {path: document}."""
    return {"kind": "inline", "must_understand": False, "metadata": documents}


def array(shape, chunk, kind, names, attributes):
    """The document of an array; `kind` is of `kind_of`."""
    data_type, fill, codecs = kind
    return {"zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": data_type, "fill_value": fill, "codecs": codecs,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "dimension_names": list(names), "attributes": attributes}


def kind_of(text, itemsize):
    """(data type, fill value, codecs) of elements whose datatype is written `text` (layout.Dataset.dtype): numbers in their byte order, fixed
    strings, and raw bytes for everything else of one size."""
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError, SyntaxError):
        dtype = np.dtype(f"V{itemsize}")
    if dtype.itemsize != itemsize or not itemsize:
        dtype = np.dtype(f"V{itemsize}")
    name = _NAMES.get(dtype.str[1:])
    endian = "big" if dtype.str[0] == ">" else "little"
    codecs = [{"name": "bytes", "configuration": {"endian": endian}}]
    if name is not None:
        fill = False if dtype.kind == "b" else [0.0, 0.0] if dtype.kind == "c" else 0.0 if dtype.kind == "f" else 0
        return name, fill, codecs
    if dtype.kind == "S":
        return {"name": "null_terminated_bytes", "configuration": {"length_bytes": itemsize}}, "", [{"name": "bytes"}]
    fill = base64.standard_b64encode(bytes(itemsize)).decode()
    return {"name": "raw_bytes", "configuration": {"length_bytes": itemsize}}, fill, [{"name": "bytes"}]


STRINGS = "string", "", [{"name": "vlen-utf8"}]


def rows(shape, itemsize, nbytes=CHUNK_NBYTES):
    """A chunk shape of about `nbytes` whose chunks are each one run of the C-order stream."""
    chunk, inner = [1] * len(shape), itemsize
    for axis in reversed(range(len(shape))):
        chunk[axis] = max(1, min(shape[axis], nbytes // inner))
        if chunk[axis] < shape[axis]:
            break
        inner *= max(1, shape[axis])
    return tuple(chunk)


def runs(shape, start, extent):
    """Yield (first element of the C-order stream, first element of the box, elements) that make up a box, in order."""
    whole = len(shape)                  # axes behind this one are taken from end to end
    while whole and extent[whole - 1] == shape[whole - 1]:
        whole -= 1
    whole = max(whole, 1)
    steps = [prod(shape[axis + 1:]) for axis in range(len(shape))]
    length = extent[whole - 1] * steps[whole - 1] if shape else 1
    at = 0
    for outer in np.ndindex(*extent[:whole - 1]):
        first = sum((begin + index) * step for begin, index, step in zip(start, (*outer, 0), steps))
        first += sum(begin * step for begin, step in zip(start[whole:], steps[whole:]))
        yield first, at, length
        at += length


def names_of(dataset):
    """A name for each dimension: its scale's, its label, its own where it is a scale, else phony_dim_N (N unlike for unlike sizes)."""
    if dataset.ndim == 1 and dataset.attrs.get("CLASS") in (b"DIMENSION_SCALE", "DIMENSION_SCALE"):
        return [_basename(dataset.name)]
    found = []
    for axis, extent in enumerate(dataset.shape):
        name = _scale(dataset, axis) or f"phony_dim_{extent}"
        while name in found:
            name += "_"
        found.append(name)
    return found


def _scale(dataset, axis):
    dimension = dataset.dims[axis]
    try:
        scales = list(dimension.values())
    except WrpError:
        raise
    except (KeyError, RuntimeError, ValueError):        # it points at something that wasn't taken in
        scales = []
    return _basename(scales[0].name) if scales and scales[0].name else dimension.label


def _basename(path):
    return path.rpartition("/")[2]


def attributes_of(thing, dtype=None):
    """The attributes that JSON can hold, without those that only link a file's objects; `dtype`: of the array they belong to."""
    found = {}
    for name in thing.attrs:
        if name in _HIDDEN:
            continue
        try:
            value = _plain(thing.attrs[name])
        except WrpError:
            raise
        except (OSError, TypeError, ValueError, RuntimeError):       # a reference, or a type of its own
            continue
        if name == "_FillValue" and dtype is not None:
            value = _fill_value(value, dtype)
        found[name] = value
    return found


def _plain(value):
    if isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} is nothing that JSON holds")


def _fill_value(value, dtype):
    """As xarray writes the attribute in zarr v3: numbers of floats in base64."""
    value = value[0] if isinstance(value, list) and value else value
    if dtype.kind == "f" and isinstance(value, (int, float)):
        return base64.standard_b64encode(struct.pack("<d", float(value))).decode()
    return value
