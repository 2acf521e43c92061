"""OMNI job files: YAML with a list of transfers, checked key by key and made into `Transfer` records.

The grammar and the sentences for missing keys are those of IOWarp's OMNI loader. Keys that are not in
the grammar are ignored, which a note says; a key of the grammar with a value of a wrong type is refused.
"""

import os
import re
from dataclasses import dataclass, field, replace

from wrp.cae import document, formats, inline, registry, remarks, url
from wrp.errors import JobFileError

_REQUIRED = ("src", "dst", "format")
_STRINGS = ("depends_on", "src_token", "dst_token", "s3_region", "s3_profile")
_INTEGERS = ("range_off", "range_size")
_PATTERNS = {"include": "include_patterns", "exclude": "exclude_patterns"}


@dataclass(frozen=True)
class Transfer:
    """One source to be taken in under one tag. Offsets and sizes in bytes; patterns are globs."""

    number: int
    src: str
    dst: str
    format: str
    name: str = ""
    depends_on: str = ""
    range_off: int = 0
    range_size: int = 0
    src_token: str = ""
    dst_token: str = ""
    include: tuple = ()
    exclude: tuple = ()
    src_data: bytes = b""
    s3_region: str = ""
    s3_profile: str = ""
    notes: tuple = field(default=(), compare=False)     # sentences on what of the job file has no effect
    folder: str = field(default="", compare=False)      # of the job file, where a relative source is looked for as well

    @property
    def label(self):
        return f"transfer {self.number} ({self.name})" if self.name else f"transfer {self.number}"


@dataclass(frozen=True)
class Job:
    """The transfers of one job file, in the file's order."""

    transfers: tuple
    path: str = ""
    notes: tuple = field(default=(), compare=False)     # like those of a transfer


def load(path):
    """Read a job file into a `Job`. Local, reads only this file; JobFileError says which transfer and key is wrong."""
    data, lines = document.read(path)
    if not isinstance(data, dict) or "transfers" not in data:
        raise JobFileError(f"OMNI file missing required 'transfers' key ({path})")
    entries = data["transfers"]
    if not isinstance(entries, list):
        raise JobFileError(f"OMNI 'transfers' must be a sequence/array ({path})")
    transfers = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}:{lines[number - 1]}"
        transfers.append(_transfer(number, entry, where, os.path.dirname(os.path.abspath(path))))
    check(transfers, path)
    return Job(tuple(transfers), path, tuple(remarks.of_keys(data, remarks.TOP, path)))


def check(transfers, where="the list of transfers"):
    """Refuse (JobFileError) a source no assimilator takes, a destination that is no tag, and two transfers to one tag (but of different
    blobs, string::) or one below the datasets of another."""
    seen = {}
    for transfer in transfers:
        try:
            protocol, _ = url.parse(transfer.src)
            registry.check(protocol)
            tag = url.tag_of(transfer.dst)
            if protocol == "string":
                inline.name_of(transfer)
        except JobFileError as error:
            raise JobFileError(f"{where}: {transfer.label}: {error}") from None
        here = seen.setdefault(tag.rstrip("/"), [])
        for first in here:
            if not (protocol == "string" == url.parse(first.src)[0] and first.src != transfer.src):
                raise JobFileError(f"{where}: {transfer.label} and {first.label} both write {transfer.dst!r}, so one would "
                                   "replace the other; give each its own tag")
        here.append(transfer)
    _check_below({tag: here[0] for tag, here in seen.items()}, where)


def _check_below(taken, where):
    """`taken`: {tag: its first transfer}. The tags below that of an HDF5 transfer are for its datasets."""
    for tag, transfer in taken.items():
        above = (taken.get(tag[:at]) for at, letter in enumerate(tag) if letter == "/")
        for other in above:
            if other is not None and formats.kind(other) == "hdf5":
                raise JobFileError(f"{where}: {transfer.label} writes {transfer.dst!r}, which lies below {other.dst!r} of {other.label}, "
                                   "where the datasets of its HDF5 file go; give each its own tag")


def _transfer(number, entry, where, folder):
    if not isinstance(entry, dict):
        raise JobFileError(f"Transfer {number} must be a mapping with 'src', 'dst' and 'format' ({where})")
    for key in _REQUIRED:
        if entry.get(key) is None:
            raise JobFileError(f"Transfer {number} missing required '{key}' field ({where})")

    def of_type(key, value, types, wanted):
        if not isinstance(value, types) or isinstance(value, bool):
            raise JobFileError(f"Transfer {number}: '{key}' must be {wanted}, not {value!r} ({where})")
        return value

    known = {key: of_type(key, entry[key], str, "a string") for key in _REQUIRED}
    for key in _STRINGS:
        known[key] = of_type(key, _or(entry.get(key), ""), str, "a string")
    for key in _INTEGERS:
        known[key] = of_type(key, _or(entry.get(key), 0), int, "an integer")
        if not 0 <= known[key] < 2**63:
            raise JobFileError(f"Transfer {number}: '{key}' must be from 0 to 2^63-1, not {known[key]} ({where})")
    data = of_type("src_data", _or(entry.get("src_data"), b""), (str, bytes), "a string or !!binary")
    try:
        known["src_data"] = inline.bytes_of(data)
    except JobFileError as error:
        raise JobFileError(f"Transfer {number}: {error} ({where})") from None
    known["name"] = str(of_type("name", _or(entry.get("name"), ""), (str, int, float), "a string"))

    patterns = of_type("dataset_filter", _or(entry.get("dataset_filter"), {}), dict, "a mapping")
    for field, key in _PATTERNS.items():
        globs = of_type(f"dataset_filter.{key}", _or(patterns.get(key), []), list, "a list of globs")
        known[field] = tuple(of_type(f"dataset_filter.{key}", glob, str, "a list of strings") for glob in globs)
    transfer = _expanded(Transfer(number=number, folder=folder, **known), where, folder)
    return replace(transfer, notes=(*remarks.of_keys(entry, remarks.TRANSFER, transfer.label), *_of_filter(entry, patterns, transfer.label)))


def _of_filter(entry, patterns, label):
    if "dataset_filter" in entry and not patterns:
        return [f"{label}: 'dataset_filter' is empty and filters nothing"]
    return remarks.of_filter(patterns, label)


def _or(value, default):
    return default if value is None else value


def _expanded(transfer, where, folder):
    """With `${ENV}` in the tokens replaced and a source beside the job file found."""
    try:
        src = url.beside(transfer.src, folder)
    except JobFileError as error:
        raise JobFileError(f"Transfer {transfer.number}: 'src': {error} ({where})") from None
    return replace(transfer, src=src, src_token=_with_environment(transfer.src_token),
                   dst_token=_with_environment(transfer.dst_token))


def _with_environment(text):
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], ""), text)
