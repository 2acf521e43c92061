"""What a journal may say of a blob or tag: types and ranges, so that a damaged or foreign file ends in a sentence. Reads no file."""

from wrp.cte.records import BLOB, TAG

_LARGEST = 1 << 62
_WORD = 1 << 32


def checked(plain, files):
    """The list that `records.to_plain` made. ValueError for one that it doesn't make. `files`: data files of the folder."""
    name, kind, stamp, size, checksum, score, durable, *rest = plain
    if not isinstance(name, str) or not name or kind not in (TAG, BLOB) or (kind == BLOB) != ("\0" in name):
        raise ValueError(f"a name {name!r:.60} of kind {kind!r}")
    if not all(_is_word(word) for word in (stamp, size, *rest)) or not _is_word(checksum, _WORD) or not isinstance(score, float):
        raise ValueError(f"numbers of {name!r:.60} that are none")
    if not all(_is_extent(extent, files) for extent in durable) or kind == BLOB and sum(extent[2] for extent in durable) != size:
        raise ValueError(f"places of {name!r:.60} that aren't in the store's {files} data file(s)")
    return plain


def checked_stamp(stamp):
    """A stamp as it is. ValueError for what is none."""
    if not _is_word(stamp):
        raise ValueError(f"a stamp {stamp!r:.60}")
    return stamp


def _is_word(word, limit=_LARGEST):
    return type(word) is int and 0 <= word < limit


def _is_extent(extent, files):
    target, offset, nbytes, crc = extent
    return (_is_word(target) and 1 <= target <= files and _is_word(offset) and _is_word(nbytes) and nbytes > 0 and _is_word(crc, _WORD))
