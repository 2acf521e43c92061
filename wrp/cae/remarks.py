"""What of a job file has no effect, as sentences for the user: nothing that was written there is ignored silently."""

import difflib

from wrp.cae import formats, registry

TRANSFER = ("src", "dst", "format", "name", "description", "depends_on", "range_off", "range_size", "src_token", "dst_token",
            "dataset_filter", "src_data", "s3_region", "s3_profile")
FILTER = ("include_patterns", "exclude_patterns")
TOP = ("transfers", "name", "version", "description")
_OFTEN = ("binary", "hdf5", "csv", "parquet", "raw")
_PROTOCOLS = ("file", "hdf5")
_S3 = ("s3", "s3a")


def of_keys(mapping, known, where):
    """A sentence for each key of the mapping that isn't known; `where` names the mapping."""
    return [f"{where}: the key {key!r} is not known and was ignored{_nearest(key, known)}" for key in mapping if key not in known]


def of_filter(patterns, where):
    """Sentences for a `dataset_filter` as it stands in the file."""
    empty = [f"{where}: {key!r} of dataset_filter is empty and filters nothing" for key in FILTER
             if key in patterns and not patterns[key]]
    return of_keys(patterns, FILTER, f"{where}, dataset_filter") + empty


def of_values(transfer, protocol):
    """Sentences for values of a transfer that its kind of source doesn't use."""
    label, found, kind = transfer.label, [], formats.kind(transfer)
    given = [key for key in ("range_off", "range_size") if getattr(transfer, key)]
    if given and kind in ("hdf5", "kvhdf5", "string"):
        found.append(f"{label}: {' and '.join(given)} count for file:: sources only and were ignored")
    elif given == ["range_off"]:
        found.append(f"{label}: range_off counts only with a range_size above 0 and was ignored: the whole source is taken in")
    if kind in ("file", "kvhdf5", "string") and (transfer.include or transfer.exclude):
        found.append(f"{label}: dataset_filter counts for hdf5:: sources only and was ignored")
    if kind in (*_PROTOCOLS, "kvhdf5") and transfer.src_data:
        found.append(f"{label}: src_data counts for string:: sources only and was ignored")
    if kind in (*_PROTOCOLS, "kvhdf5", "string") and protocol not in _S3:
        found += [f"{label}: {key} counts for s3:// sources only and was ignored" for key in ("s3_region", "s3_profile") if getattr(transfer, key)]
    return found + _of_format(transfer, protocol)


def _of_format(transfer, protocol):
    word = transfer.format.lower()
    meant = word if word in formats.WORDS else next(filter(lambda name: _is_near(word, name), _OFTEN), None)
    if registry.is_remote(protocol) and meant not in (None, word):
        return [f"{transfer.label}: format {transfer.format!r}, which looks like {meant!r}, is none: the object is taken in as raw bytes"]
    if protocol not in _PROTOCOLS or meant is None or (meant == word and formats.WORDS[meant] == protocol):
        return []
    taken = "an HDF5 file" if protocol == "hdf5" else "raw bytes"
    hint = f", which looks like {meant!r}," if meant != word else ""
    return [f"{transfer.label}: format {transfer.format!r}{hint} selects nothing: the source is taken in as {taken}, "
            f"because src begins with {protocol}::"]


def _nearest(key, known):
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _is_near(word, name):
    # of three letters two may not differ: nearly everything would be near
    return len(word) > 2 and _distance(word, name) <= (2 if len(name) > 3 else 1)


def _distance(a, b):
    """How many letters have to be put in, left out or changed to make `b` of `a`."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]
