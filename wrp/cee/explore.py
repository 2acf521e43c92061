"""Questions to an open store as plain functions, and the removal of whole contexts. Nothing here prints."""

import re
from dataclasses import dataclass

from wrp.cae import claims
from wrp.cte.names import matcher
from wrp.errors import NoSuchTag, NothingMatched

EVERYTHING = ".*"
_BEST = 10
LAYOUT = "layout"            # the blob that an HDF5 context keeps its file's image description in


@dataclass(frozen=True)
class TagRow:
    """A tag, how many blobs it holds, and their bytes in all."""

    tag: str
    blobs: int
    nbytes: int


@dataclass(frozen=True)
class BlobRow:
    """A blob and its size in bytes."""

    tag: str
    blob: str
    size: int


@dataclass(frozen=True)
class BlobStat:
    """All that the store says about a blob; ``checksum`` is the crc32 of its bytes, ``tiers`` where they lie.

    stored: bytes that they take; codec: what made them fewer, "none": they lie as they are, or encrypted only
    targets: {name of a target: bytes that are read from there}, data files as paths
    """

    tag: str
    blob: str
    size: int
    checksum: int
    score: float
    stamp: int
    tiers: tuple
    stored: int
    codec: str
    targets: dict


def ls(store, pattern=EVERYTHING):
    """[TagRow] of the tags whose whole name matches `pattern`, in natural order. NothingMatched if there is none.

    An empty store asked for all its tags has none: [].
    """
    if pattern == EVERYTHING and not store.tags():
        return []
    held = {tag: [] for tag in store.tags(pattern)}
    for tag, blob in store.blobs(pattern) if held else ():
        held.setdefault(tag, []).append(store.size(tag, blob))
    rows = [TagRow(tag, len(sizes), sum(sizes)) for tag, sizes in held.items()]
    return _some(rows, f"no tag matches {pattern!r}")


def query(store, tag_pattern, blob_pattern=".*", limit=0):
    """[BlobRow] of the blobs whose whole tag and blob names match, in natural order; `limit` 0 = all. NothingMatched."""
    found = store.blobs(tag_pattern, blob_pattern, limit)
    rows = [BlobRow(tag, blob, store.size(tag, blob)) for tag, blob in found]
    return _some(rows, f"no blob matches {blob_pattern!r} in the tags that match {tag_pattern!r}")


def find(store, tag_pattern, blob_pattern, prompt="", times=(0, 0), limit=0):
    """[(tag, blob)] that match as a whole: changed last within `times`, the oldest first; else with words of `prompt`, the best first; else in natural order.

    limit : at most so many; 0: all, or of those with words 10
    """
    begin, end = times
    if begin or end:
        changes, matches = store.changed(begin, end + 1 if end else None, pattern=tag_pattern), matcher("blob", blob_pattern)
        return [(tag, blob) for _, tag, blob in changes if matches(blob)][:limit or None]
    if prompt:
        from wrp.cte.client.searching import Searching

        return [(found.tag, found.blob) for found in Searching(store).search(prompt, tag_pattern, blob_pattern, limit or _BEST)]
    return store.blobs(tag_pattern, blob_pattern, limit)


def stat(store, tag, blob=None):
    """[BlobStat] of one blob, or of every blob of a tag. NoSuchTag, NoSuchBlob."""
    if not store.exists(tag):
        raise NoSuchTag(f"no tag {tag!r} in the store; wrp_cee ls shows what there is")
    names = [blob for _, blob in store.blobs(re.escape(tag))] if blob is None else [blob]
    return [_stat(store, tag, name) for name in names]


def members(store, tag):
    """The tags that belong to the context `tag`: itself, and the dataset tags that its layout blob names."""
    if not store.exists(tag, LAYOUT):
        return [tag]
    from wrp.cae.hdf5 import layout

    datasets = layout.dataset_tags(store.get(tag, LAYOUT), tag)
    return [tag] + [name for name in datasets if name != tag and store.exists(name)]


def context_of(store, tag):
    """The HDF5 context that `tag` is one dataset of, or None."""
    return next((context for context in claims.above(tag) if tag in members(store, context)[1:]), None)


def destroy(store, tags, ranks, missing_ok=False):
    """Remove contexts with all that belongs to them, in one step: all of them or none. Collective.

    Returns the names that weren't there when `missing_ok`, else raises NoSuchTag and removes nothing.
    """
    with ranks.agreed("look for the tags to destroy"):
        missing = [tag for tag in tags if not store.exists(tag)]
        if missing and not missing_ok:
            raise NoSuchTag(f"no tag {missing[0]!r} in the store; nothing was destroyed (wrp_cee ls shows what there is)")
        gone = {name for tag in tags if tag not in missing for name in members(store, tag)}
    with store.batch("destroy") as batch:
        if ranks.rank == 0:
            for name in sorted(gone):
                batch.remove(name)
    return missing


def _some(rows, sentence):
    if not rows:
        raise NothingMatched(f"{sentence}; a pattern has to match the whole name (wrp_cee ls shows the tags)")
    return rows


def _stat(store, tag, blob):
    info, targets = store.info(tag, blob), {}
    for number, _, nbytes in store.extents(tag, blob):
        name = store.target_name(number)
        targets[name] = targets.get(name, 0) + nbytes
    return BlobStat(tag, blob, info.size, info.checksum, info.score, info.stamp, tuple(info.tiers), info.stored, info.codec, targets)
