"""`wrp://` for fsspec: tags are folders, blobs are files, and what was taken in is a file with the bytes of its source (see tree.py)."""

from contextlib import suppress
from datetime import datetime, timezone

from wrp.cee.doors import changing, tree
from wrp.cee.doors.extras import wanting
from wrp.cee.doors.handle import Handle
from wrp.errors import Changed, UsageError, WrpError

with wanting("arrays"):
    from fsspec.spec import AbstractFileSystem

    from wrp.cee.doors.files import Updated, Whole

_BLOCK_NBYTES = 1 << 20


class WrpFileSystem(AbstractFileSystem):
    """The store at a folder, or an opened Store, as a file system.

    store : an opened wrp Store, or its folder (default: WRP_STORE, else ./wrp-store)
    What is written is seen when its file is closed, durable after `flush` or `close`. Calls are local.
    """

    protocol = "wrp"
    root_marker = ""

    def __init__(self, store=None, **options):
        super().__init__(store=store, **options)
        self.handle = Handle(store)
        self._hierarchy = None, None            # (which one, that of the context last asked for)

    @property
    def fsid(self):
        return f"wrp-{self.handle.folder or id(self.handle.argument)}"

    def flush(self):
        """What was written is durable when it returns."""
        self.handle.flush()

    def close(self):
        """Flush, and give the store back; it is opened again when it is used again."""
        self._hierarchy = None, None
        self.handle.close()

    # looking

    def ls(self, path, detail=True, **_):
        path = self._strip_protocol(path)
        store, node = self.found(path)
        found = [node] if node.kind != "folder" else tree.children(store, path).values()
        entries = [_entry(each) for each in found]
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path, **_):
        return _entry(self.found(self._strip_protocol(path))[1])

    def exists(self, path, **_):
        try:
            if self.handle.present() is None:
                return False
            self.info(path)
        except (FileNotFoundError, UsageError):         # the second: it can't be a name
            return False
        return True

    def modified(self, path):
        return datetime.fromtimestamp(self.info(path)["mtime"], timezone.utc)

    def created(self, path):
        return datetime.fromtimestamp(self.info(path)["created"], timezone.utc)

    def ukey(self, path):
        """Changes with every change of the file."""
        entry = self.info(path)
        return f"{entry['name']}-{entry['size']}-{entry['mtime']}"

    # reading

    def cat_file(self, path, start=None, end=None, **_):
        path = self._strip_protocol(path)
        store, node = self.found(path, file=True)
        if node.kind == "zarr":
            return self._zarr(store, path, "value")[start:end]
        return tree.read(store, node, start, end)

    def cat_ranges(self, paths, starts, ends, max_gap=None, on_error="return", **_):
        """[bytes of paths[k] between starts[k] and ends[k]], an error in place of those that failed where `on_error` is "return", else raised.

        Whole blobs are asked for tag by tag, all of one at once; ranges one by one.
        """
        if max_gap is not None:
            raise NotImplementedError("ranges aren't merged: leave max_gap out")
        starts, ends = (each if isinstance(each, list) else [each] * len(paths) for each in (starts, ends))
        if not len(paths) == len(starts) == len(ends):
            raise ValueError(f"{len(paths)} paths, {len(starts)} starts and {len(ends)} ends")
        wanted = list(zip(paths, starts, ends))
        found = self._whole(wanted)
        for number, one in enumerate(wanted):
            if number not in found:
                try:
                    found[number] = self.cat_file(*one)
                except Exception as error:
                    if on_error != "return":
                        raise
                    found[number] = error
        return [found[number] for number in range(len(wanted))]

    def _whole(self, wanted):
        """{number: bytes} of those of (path, start, end) that are whole blobs and are there; others are left out."""
        by_tag, found = {}, {}
        for number, (path, start, end) in enumerate(wanted):
            try:
                node = self._find(self._strip_protocol(path)) if not start else None
            except WrpError:
                node = None             # shows below, too
            if node is not None and node.kind == "blob" and (end is None or end >= node.nbytes):
                by_tag.setdefault(node.tag, []).append((number, node.blob))
        for tag, blobs in by_tag.items():
            try:
                got = self.handle.reading().get_many(tag, [blob for _, blob in blobs])
            except WrpError:
                continue                # one of them: which, shows when they are asked for one by one
            found.update({number: data[:wanted[number][2]] for (number, _), data in zip(blobs, got)})
        return found

    # writing

    def pipe_file(self, path, value, mode="overwrite", **_):
        self._put(self._strip_protocol(path), value, mode == "create")

    def append(self, path, value):
        """Put bytes at the end of a file, which need not be there, as one change."""
        path, store = self._strip_protocol(path), self.handle.writing()
        tree.check(path)
        store.append(*tree.target(store, path), value)

    def touch(self, path, truncate=True, **_):
        """An empty file; of one that is there, with truncate=False, the time of its last change is now."""
        path = self._strip_protocol(path)
        try:
            self._put(path, b"", new=not truncate)
            return
        except FileExistsError:         # perhaps since just now
            pass
        store = self.handle.writing()
        tag, blob = tree.target(store, path)
        store.score(tag, blob, store.score(tag, blob))

    def mkdir(self, path, create_parents=True, **_):
        """An empty tag."""
        changing.make_folder(self.handle.writing(), self._strip_protocol(path))

    def makedirs(self, path, exist_ok=False):
        if not exist_ok:
            self.mkdir(path)
        elif not self.exists(path):
            with suppress(FileExistsError):         # another made it just now
                self.mkdir(path)

    def rmdir(self, path):
        """An empty tag goes away; OSError when it has blobs."""
        path = self._strip_protocol(path)
        self.found(path)
        changing.remove_folder(self.handle.writing(), path)

    def rm_file(self, path):
        path = self._strip_protocol(path)
        self.found(path, file=True)
        changing.remove_file(self.handle.writing(), path)

    def rm(self, path, recursive=False, maxdepth=None):
        """Files, and with `recursive` folders: their tags and blobs."""
        for each in [path] if isinstance(path, str) else path:
            each = self._strip_protocol(each)
            node = self._find(each)
            if node is None and not _is_pattern(each):
                raise FileNotFoundError(each)
            for name in [each] if node is not None else self.expand_path(each, recursive=recursive, maxdepth=maxdepth):
                node = self._find(name)
                if node is not None and node.kind == "folder" and not recursive:
                    raise IsADirectoryError(f"{name!r} is a folder: give recursive=True")
                changing.remove_all(self.handle.writing(), name)

    def mv(self, path1, path2, recursive=False, maxdepth=None, **options):
        """Let a file, or with `recursive` a folder, have another path, without a copy in between where that is free or a file; else as fsspec does."""
        if not isinstance(path1, str) or not isinstance(path2, str) or path1.endswith("/") or maxdepth is not None:
            return super().mv(path1, path2, recursive, maxdepth, **options)
        old, new = self._strip_protocol(path1), self._strip_protocol(path2)
        node = self._find(old)
        if path2.endswith("/") or self.isdir(new):
            new = f"{new}/{old.rpartition('/')[2]}".lstrip("/")
        if node is None or node.kind == "folder" and (not recursive or self.exists(new)):
            return super().mv(path1, path2, recursive, maxdepth, **options)
        return changing.rename(self.handle.writing(), old, new)

    def cp_file(self, path1, path2, **_):
        source, destination = self._strip_protocol(path1), self._strip_protocol(path2)
        node = self.found(source)[1]
        if node.kind == "folder":
            self.makedirs(destination, exist_ok=True)
        else:
            self._put(destination, self.cat_file(source))

    def _open(self, path, mode="rb", block_size=None, autocommit=True, cache_options=None, **options):
        """Modes rb; wb, xb, ab; r+b, w+b, x+b: what is written with a + is in the store when it is flushed or closed, or sooner."""
        mode = mode[:1] + "+" * ("+" in mode) + "b"
        if mode not in ("rb", "wb", "xb", "ab", "r+b", "w+b", "x+b"):
            raise UsageError(f"a blob is opened to be read (rb), written (wb, xb), appended to (ab) or updated (r+b, w+b, x+b), not {mode!r}")
        if mode[0] == "x" and self._find(path) is not None:
            raise FileExistsError(path)
        if mode[0] == "r":
            self.found(path, file=True)
        elif "+" not in mode:           # what can't be put when it is closed is refused now
            tree.check(path)
            tree.target(self.handle.writing(), path)
        if "+" not in mode:
            return Whole(self, path, mode, block_size or _BLOCK_NBYTES, autocommit, cache_options=cache_options, **options)
        if not autocommit:
            raise UsageError(f"{path!r} can't be updated (mode {mode}) in a transaction: what is written would be seen before its end")
        if mode != "r+b":
            self._put(path, b"", new=mode[0] == "x")
        store = self.handle.writing()
        return Updated(store, *tree.target(store, path))

    def _zarr(self, store, path, what):
        """What zarr looks for in the context of an HDF5 file, a document or a chunk: its `value` or `nbytes`; None when it isn't there.

        Such files aren't listed.
        """
        for tag, rest in tree.contexts(store, path):
            key = (id(store), tag, store.info(tag, tree.LAYOUT).stamp)
            if self._hierarchy[0] != key:
                from wrp.cee.doors.hierarchy import Hierarchy

                self._hierarchy = key, Hierarchy(store, tag)
            return getattr(self._hierarchy[1], what)(rest)
        return None

    def _put(self, path, value, new=False):
        tree.check(path)
        store = self.handle.writing()
        if new and self._find(path) is not None:
            raise FileExistsError(path)
        try:
            store.put(*tree.target(store, path), value, if_generation=0 if new else None)
        except Changed:                 # another made it just now
            raise FileExistsError(path) from None

    def _find(self, path):
        """The Node at a path, or None; also where there is no store yet."""
        store = self.handle.present()
        return store and tree.find(store, path)

    def found(self, path, file=False, find=tree.find):
        """(Store, Node) of a path, also of what is made up for zarr. FileNotFoundError; with `file` IsADirectoryError."""
        store = self.handle.reading()
        node = find(store, path)
        if node is None and (nbytes := self._zarr(store, path, "nbytes")) is not None:
            node = tree.Node(path, "zarr", nbytes=nbytes)
        if node is None:
            raise FileNotFoundError(path)
        if file and node.kind == "folder":
            raise IsADirectoryError(path)
        return store, node


def _entry(node):
    """A node as fsspec shows it."""
    entry = {"name": node.path, "size": node.nbytes, "type": "directory" if node.kind == "folder" else "file"}
    times = {"mtime": node.stamp / 1e9, "created": node.created / 1e9} if node.stamp else {}
    return {**entry, **times} if node.kind == "folder" else {**entry, **times, "tag": node.tag, "blob": node.blob}


def _is_pattern(path):
    return any(letter in path for letter in "*?[")
