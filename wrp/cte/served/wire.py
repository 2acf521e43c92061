"""How calls of an attached program, their values and their errors are written: msgpack, with a few types of the store's own. Pure.

A question is a call's name and arguments; long bytes among these are `Part`s, which lie behind it, one after the other.
"""

import builtins
import dataclasses
from typing import NamedTuple

import msgpack
import numpy as np

from wrp import errors
from wrp.cte.calls.info import BlobInfo, Child
from wrp.cte.codecs import Compression, Outcome
from wrp.cte.modelling import Modelled
from wrp.cte.organizing import Organized
from wrp.cte.targets import Lasting, TargetInfo
from wrp.cte.telemetry import CacheStatistics, Change, Counts, Entry, IndexStatistics, Op, Poll, Statistics
from wrp.cte.telemetry.statistics import TagStatistics, TargetStatistics
from wrp.errors import UsageError

_TUPLE, _OBJECT, _PART, _OP = 1, 2, 3, 4        # codes of what msgpack doesn't have
_KINDS = (BlobInfo, Child, Compression, Outcome, Modelled, Organized, Lasting, TargetInfo, Counts, Entry, Poll, Change, CacheStatistics, IndexStatistics, Statistics,
          TagStatistics, TargetStatistics)
_BY_NAME = {kind.__name__: kind for kind in _KINDS}


class Part(NamedTuple):
    """`nbytes` bytes from `start` on, of those that lie behind a question."""

    start: int
    nbytes: int


def question_of(call, args, options):
    """A call as it is asked for. UsageError for an argument that is of no type that the store takes."""
    try:
        return _packed([call, args, options])
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{call}: an argument can't go to a daemon's store: {error}") from None


def asked(data, behind):
    """(call, arguments, options) of a question; its Parts as memoryviews of `behind`."""
    return _unpacked(data, lambda start, nbytes: behind[start:start + nbytes])


def answer_of(value):
    return _packed(value)


def value_of(data):
    return _unpacked(data, Part)


def error_of(error):
    """The same of an error, with what it has besides its sentence, and besides what it says of the daemon's ranks."""
    message = str(error)
    more = {name: value for name, value in vars(error).items() if isinstance(value, (bool, int, str)) and name not in ("message", "common", "named")}
    return _packed([type(error).__name__, message, more])


def error_in(data):
    """The error that `error_of` was given: of wrp's, or of Python's own, else a WrpError that names its kind."""
    name, message, more = _unpacked(data, Part)
    kind = getattr(errors, name, None) or getattr(builtins, name, None)
    try:
        error = kind(message)
    except TypeError:                       # none that there is, or one that needs more than a sentence
        error = errors.WrpError(f"{name}: {message}")
    vars(error).update(more)
    return error


def _packed(value):
    return msgpack.packb(value, default=_extended, strict_types=True, unicode_errors="surrogatepass")


def _unpacked(data, part):
    def extended(code, inner):
        if code == _PART:
            return part(*msgpack.unpackb(inner))
        fields = _unpacked(inner, part)
        if code == _TUPLE:
            return tuple(fields)
        return Op(fields) if code == _OP else _BY_NAME[fields[0]](*fields[1:])
    return msgpack.unpackb(data, ext_hook=extended, strict_map_key=False, unicode_errors="surrogatepass")


def _extended(value):
    """What msgpack has no type for. TypeError for what the store doesn't know either."""
    if isinstance(value, Part):
        return msgpack.ExtType(_PART, msgpack.packb([value.start, value.nbytes]))
    if type(value).__name__ in _BY_NAME and type(value) in _KINDS:
        fields = value if isinstance(value, tuple) else (getattr(value, field.name) for field in dataclasses.fields(value))
        return msgpack.ExtType(_OBJECT, _packed([type(value).__name__, *fields]))
    if isinstance(value, Op):
        return msgpack.ExtType(_OP, _packed(int(value)))
    if isinstance(value, tuple):
        return msgpack.ExtType(_TUPLE, _packed(list(value)))
    if isinstance(value, str):
        return str(value)           # an own name of a tag
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"one of type {type(value).__name__}")
