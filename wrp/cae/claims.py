"""Which tags and blobs of a store belong to what was taken in before, and that a transfer takes none of another context."""

import re

from wrp.cae import described
from wrp.errors import JobFileError

_LAYOUT = "layout"
_DESCRIPTION = "description"
_TAKEN_IN = re.compile(r"(binary|tensor|hdf5)<.*>", re.S)
_OF_CONTEXTS = re.compile(rf"{_DESCRIPTION}|{_LAYOUT}|chunk_\d+")


def of(store, context):
    """Set of the tags of the datasets that an HDF5 file taken in under the tag `context` has left there. Local."""
    if not store.exists(context, _LAYOUT):
        return set()
    from wrp.cae.hdf5 import layout

    return set(layout.dataset_tags(store.get(context, _LAYOUT), context))


def check(survey, store):
    """JobFileError when a tag of the survey belongs to a context of another name: that file could not be given back. Local."""
    claimed = {survey.context: ()}
    for item in survey.items:
        if not survey.replaces and _is_of_source(store, item.tag, item.name(0)):
            raise JobFileError(f"the blob {item.name(0)!r} of the tag {item.tag!r} holds a source that was taken in; name another blob, or "
                               f"remove that context first: wrp_cee destroy {item.tag!r}")
        if item.tag != survey.context and of(store, item.tag):
            raise JobFileError(f"the dataset tag {item.tag!r} is an HDF5 context in the store already; {_cure(item.tag)}")
        for context in above(item.tag):
            if context not in claimed:
                claimed[context] = of(store, context)
            if item.tag in claimed[context]:
                raise JobFileError(f"the tag {item.tag!r} belongs to the HDF5 context {context!r} in the store; {_cure(context)}")


def _is_of_source(store, tag, blob):
    """Whether a blob of this name would take the place of what was taken in under the tag."""
    if blob == described.BLOB or described.is_chunk(blob):
        return store.exists(tag, described.BLOB)
    return _OF_CONTEXTS.fullmatch(blob) is not None and _is_taken_in(store, tag)


def _is_taken_in(store, tag):
    return (store.exists(tag, _DESCRIPTION) and store.size(tag, _DESCRIPTION) <= 4096
            and _TAKEN_IN.fullmatch(store.get(tag, _DESCRIPTION).decode("utf-8", "replace")) is not None)


def above(tag):
    """The names that a context with this dataset tag can have, shortest first, which may end with a slash."""
    for at, letter in enumerate(tag):
        if letter == "/" and at:
            yield tag[:at]
            yield tag[:at + 1]


def _cure(context):
    return f"choose another dst, or remove that context first: wrp_cee destroy {context!r}"
