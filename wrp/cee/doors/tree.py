"""Tags and blobs as a tree of paths: `tag/blob`, where both may have slashes. No library's interface here.

A path names a blob of the longest tag that it begins with and that has it. A tag is a folder of its blobs; what was taken in
(`description` and chunks, see docs/contexts.md) is one file, its bytes those of its source; tags with a common beginning lie in a
folder of that name.
"""

import re
from dataclasses import dataclass
from errno import EISDIR, EPERM

from wrp.cee.doors.handle import clipped, get_range
from wrp.cee.stream import TagStream
from wrp.errors import UsageError

DESCRIPTION, LAYOUT = "description", "layout"
_CHUNK = re.compile(r"chunk_\d+")
_STREAMS = ("binary<", "tensor<")


@dataclass(frozen=True)
class Node:
    """What a path leads to. kind: "blob", "stream" (something taken in), "folder", or "zarr" (made up, see filesystem.py).

    stamp, created: when it was changed and made, ns; of a folder that is a tag when that was made, of other folders 0
    """

    path: str
    kind: str
    tag: str = ""
    blob: str = ""
    nbytes: int = 0
    stamp: int = 0
    created: int = 0


def find(store, path, is_folder=None):
    """The Node at a path, or None. `is_folder`: of a path that is no tag, where that is known; else all names of tags that it begins with are looked at."""
    for tag, rest in splits(store, path):
        if not rest:
            return of_tag(store, tag)
        if store.exists(tag, rest):
            return of_blob(tag, rest, store.info(tag, rest))
    if not path or (is_folder(path) if is_folder is not None else lies_in(store, path)):
        return Node(path, "folder")
    return None


def lies_in(store, path):
    """True where something lies in the folder at a path by its name, whether that is a tag or not."""
    return bool(store.tags(re.escape(path) + "/.+")) or any(
        store.blobs(re.escape(tag), re.escape(rest) + "/(?s:.+)", 1) for tag, rest in splits(store, path) if rest)


def parents(start, name):
    """The paths of the folders that the parts of a name make: of a blob below its tag, where `start` is that and a slash."""
    return (start + name[:at] for at in range(1, len(name) - 1) if name[at] == "/")


def children(store, path):
    """{path: Node} of what lies directly in the folder at `path`, in natural order of tags, then blobs. No path leads to a name that ends in a slash."""
    found, start = {}, path + "/" if path else ""
    for tag in store.tags(re.escape(start) + ".+"):
        head, more = _first(tag, start)
        if start + head == tag:
            found[tag] = of_tag(store, tag)
        elif head and more:
            found.setdefault(start + head, Node(start + head, "folder"))
    for tag, rest in splits(store, path):
        inner = rest + "/" if rest else ""
        infos = store.infos(tag) if not rest else {}
        for blob in infos or store.list(tag, inner):
            head, more = _first(blob, inner)
            if head and (more or inner + head == blob):
                found.setdefault(start + head, Node(start + head, "folder") if more else of_blob(tag, blob, infos.get(blob) or store.info(tag, blob)))
    return found


def of_tag(store, tag):
    """The Node of a tag that is there."""
    if not store.exists(tag, DESCRIPTION) or not store.get(tag, DESCRIPTION).startswith(tuple(map(str.encode, _STREAMS))):
        return _folder(store, tag)
    infos = store.infos(tag)
    if any(name != DESCRIPTION and not _CHUNK.fullmatch(name) for name in infos):
        return _folder(store, tag)
    nbytes = sum(info.size for name, info in infos.items() if name != DESCRIPTION)
    return Node(tag, "stream", tag, "", nbytes, infos[DESCRIPTION].stamp, infos[DESCRIPTION].created)


def _folder(store, tag):
    made = store.tag_stamp(tag)
    return Node(tag, "folder", tag, stamp=made, created=made)


def of_blob(tag, blob, info):
    return Node(f"{tag}/{blob}", "blob", tag, blob, info.size, info.stamp, info.created)


def read(store, node, start=None, stop=None):
    """The bytes of a blob or stream between `start` and `stop`, clipped."""
    if node.kind == "blob":
        return get_range(store, node.tag, node.blob, start, stop)
    first, last = clipped(node.nbytes, start, stop)
    out = bytearray(last - first)
    TagStream(store, node.tag, node.nbytes).read(first, out)
    return bytes(out)


def target(store, path):
    """(tag, blob) to write for a path. IsADirectoryError; PermissionError for what was taken in, and where no folder is named."""
    return place(store, path, find(store, path))


def place(store, path, node):
    """The same where `node` is what the path leads to: the blob, else one in the longest tag that the path begins with, else in its folder as a tag."""
    if node is not None and node.kind == "blob":
        return node.tag, node.blob
    if node is not None and node.kind == "stream":
        raise PermissionError(EPERM, "it was taken in, and can't be written over", path)
    if node is not None:
        raise IsADirectoryError(EISDIR, "it is a folder", path)
    for tag, rest in splits(store, path):
        return tag, rest
    tag, _, blob = path.rpartition("/")
    if not tag or not blob:
        raise PermissionError(EPERM, "a file lies in a folder, which is a tag: write to wrp://tag/blob", path)
    return tag, blob


def check(path):
    """UsageError for a path under which nobody would find what is written there, or nothing can be written."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(f"path {path!r:.80} has half a letter, as names of files with odd bytes do: no tag or blob can have such a name") from None
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise UsageError(f"path {path!r} has a part that is empty, . or ..: write to wrp://tag/blob")


def contexts(store, path):
    """Yield (tag, rest of the path) for every context of an HDF5 file that the path begins with."""
    return ((tag, rest) for tag, rest in splits(store, path) if rest and store.exists(tag, LAYOUT))


def splits(store, path):
    """Yield (tag, rest of the path) for every tag that the path begins with, the longest first."""
    parts = path.split("/") if path else []
    for cut in range(len(parts), 0, -1):
        tag = "/".join(parts[:cut])
        if tag and store.exists(tag):
            yield tag, "/".join(parts[cut:])


def _first(name, start):
    head, _, more = name[len(start):].partition("/")
    return head, more
