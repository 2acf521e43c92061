"""How questions, answers and errors are written between nodes: msgpack. Pure."""

from dataclasses import astuple

import msgpack

from wrp import errors
from wrp.cte.names import Own
from wrp.cte.records import Record
from wrp.cte.telemetry import CacheStatistics, Counts, IndexStatistics, Statistics
from wrp.cte.telemetry.statistics import TagStatistics, TargetStatistics

INLINE = 32 << 10               # bytes of a blob that travel inside a question or an answer; more go by themselves
PORTION = 1 << 20               # bytes of questions, and of what is fetched of an answer at once

WITHDRAWN = b"\xc0"           # the first byte of a question that isn't asked any more
_OWN = 1                        # code of an Own, with the name that was given for it
encode = msgpack.packb


def question_of(call, args):
    """A call as it is asked for; own names of tags are arguments by themselves. UsageError for arguments that msgpack doesn't take."""
    try:
        return encode([call, *(msgpack.ExtType(_OWN, encode([str(arg), arg.given, arg.number])) if type(arg) is Own else arg for arg in args)])
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        raise errors.UsageError(f"{call}: an argument can't be told to other nodes ({error})") from None


def decode(data):
    return msgpack.unpackb(data, strict_map_key=False, ext_hook=_own_of)


def _own_of(_, data):
    return Own(*msgpack.unpackb(data))


def answer_of(value):
    return encode([value])


def error_of(error):
    """The answer of a question that ended with an error."""
    return encode([type(error).__name__, str(error)])


def value_of(data):
    """What `answer_of` was given; raises the error that `error_of` was."""
    value, *sentence = decode(data)
    if sentence:
        kind = getattr(errors, value, None)
        if isinstance(kind, type) and issubclass(kind, errors.WrpError):
            raise kind(*sentence)
        raise errors.WrpError(f"{value}: {sentence[0]}")
    return value


def extents_of(plain):
    """Extents as records have them."""
    return tuple(map(tuple, plain))


def record_of(plain):
    """The Record of its list of fields."""
    record = Record(*plain)
    return record.but(extents=extents_of(record.extents), durable=extents_of(record.durable))


def plain_of(found):
    """Statistics of a node as they are told; without what is a rank's."""
    return [{name: astuple(tag) for name, tag in found.tags.items()}, {number: astuple(target) for number, target in found.targets.items()}, found.index, found.cache]


def statistics_of(plain):
    """The Statistics that `plain_of` was given."""
    tags, targets, index, cache = plain
    return Statistics({name: TagStatistics(*fields) for name, fields in tags.items()},
                      {number: TargetStatistics(blobs, nbytes, Counts(*counts)) for number, (blobs, nbytes, counts) in targets.items()},
                      IndexStatistics(*index), cache=CacheStatistics(*cache))
