"""`wrp://` for fsspec: tags are folders, blobs are files, and what was taken in is a file with the bytes of its source (see tree.py)."""

import io
from datetime import datetime, timezone

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from wrp.cee.doors import tree
from wrp.cee.doors.handle import Handle
from wrp.errors import UsageError, WrpError

_BLOCK_NBYTES = 1 << 20


class WrpFileSystem(AbstractFileSystem):
    """The store at a folder, or an opened Store, as a file system.

    store : an opened wrp Store, or its folder (default: WRP_STORE, else ./wrp-store)
    What is written is one blob, seen when its file is closed, durable after `flush` or `close`. Calls are local.
    """

    protocol = "wrp"
    root_marker = ""

    def __init__(self, store=None, **options):
        super().__init__(store=store, **options)
        self._handle = Handle(store)
        self._hierarchy = None, None            # (which one, that of the context last asked for)

    @property
    def fsid(self):
        return f"wrp-{self._handle.folder or id(self._handle.argument)}"

    def flush(self):
        """What was written is durable when it returns."""
        self._handle.flush()

    def close(self):
        """Flush, and give the store back; it is opened again when it is used again."""
        self._hierarchy = None, None
        self._handle.close()

    # looking

    def ls(self, path, detail=True, **_):
        path = self._strip_protocol(path)
        store, node = self._found(path)
        found = [node] if node.kind != "folder" else tree.children(store, path).values()
        entries = [_entry(each) for each in found]
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path, **_):
        return _entry(self._found(self._strip_protocol(path))[1])

    def exists(self, path, **_):
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def modified(self, path):
        return datetime.fromtimestamp(self.info(path)["mtime"], timezone.utc)

    created = modified

    def ukey(self, path):
        """Changes with every change of the file."""
        entry = self.info(path)
        return f"{entry['name']}-{entry['size']}-{entry['mtime']}"

    # reading

    def cat_file(self, path, start=None, end=None, **_):
        path = self._strip_protocol(path)
        store, node = self._found(path, file=True)
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
                got = self._handle.reading().get_many(tag, [blob for _, blob in blobs])
            except WrpError:
                continue                # one of them: which, shows when they are asked for one by one
            found.update({number: data[:wanted[number][2]] for (number, _), data in zip(blobs, got)})
        return found

    # writing

    def pipe_file(self, path, value, mode="overwrite", **_):
        self._put(self._strip_protocol(path), value, mode == "create")

    def mkdir(self, path, create_parents=True, **_):
        """An empty tag."""
        path = self._strip_protocol(path)
        if self._find(path) is not None:
            raise FileExistsError(path)
        tree.check(path)
        self._handle.writing().create(path)

    def makedirs(self, path, exist_ok=False):
        if not exist_ok or not self.exists(path):
            self.mkdir(path)

    def rmdir(self, path):
        """An empty tag goes away; OSError when it has blobs."""
        path = self._strip_protocol(path)
        store, _ = self._found(path)
        if tree.children(store, path):
            raise OSError(f"folder {path!r} isn't empty")
        if store.exists(path):
            self._handle.writing().destroy(path)

    def rm_file(self, path):
        _, node = self._found(self._strip_protocol(path), file=True)
        store = self._handle.writing()
        if node.kind == "blob":
            store.delete(node.tag, node.blob)
        else:
            store.destroy(node.tag)

    def rm(self, path, recursive=False, maxdepth=None):
        """Files, and with `recursive` folders: their tags and blobs."""
        for each in [path] if isinstance(path, str) else path:
            each = self._strip_protocol(each)
            node = self._find(each)
            if node is None and not _is_pattern(each):
                raise FileNotFoundError(each)
            for name in [each] if node is not None else self.expand_path(each, recursive=recursive, maxdepth=maxdepth):
                self._remove(name, recursive)

    def _remove(self, path, recursive):
        node = self._find(path)
        if node is None:
            return
        if node.kind != "folder":
            self.rm_file(path)
            return
        if not recursive:
            raise IsADirectoryError(f"{path!r} is a folder: give recursive=True")
        for child in list(tree.children(self._handle.reading(), path)):
            self._remove(child, True)
        store = self._handle.writing()
        if path and store.exists(path):
            store.destroy(path)

    def cp_file(self, path1, path2, **_):
        source, destination = self._strip_protocol(path1), self._strip_protocol(path2)
        node = self._found(source)[1]
        if node.kind == "folder":
            self.makedirs(destination, exist_ok=True)
        else:
            self._put(destination, self.cat_file(source))

    def _open(self, path, mode="rb", block_size=None, autocommit=True, cache_options=None, **options):
        if mode not in ("rb", "wb", "xb"):
            raise ValueError(f"a blob is opened to be read (rb) or written as a whole (wb, xb), not {mode!r}")
        if mode == "rb":
            self._found(path, file=True)
        return _File(self, path, mode, block_size or _BLOCK_NBYTES, autocommit, cache_options=cache_options, **options)

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
        store = self._handle.writing()
        if new and self._find(path) is not None:
            raise FileExistsError(path)
        try:
            tag, blob = tree.target(store, path)
        except UsageError as error:
            raise IsADirectoryError(str(error)) from None
        store.put(tag, blob, value)

    def _find(self, path):
        """The Node at a path, or None; also where there is no store yet."""
        store = self._handle.present()
        return store and tree.find(store, path)

    def _found(self, path, file=False):
        store = self._handle.reading()
        node = tree.find(store, path)
        if node is None and (nbytes := self._zarr(store, path, "nbytes")) is not None:
            node = tree.Node(path, "zarr", nbytes=nbytes)
        if node is None:
            raise FileNotFoundError(path)
        if file and node.kind == "folder":
            raise IsADirectoryError(path)
        return store, node


class _File(AbstractBufferedFile):
    """Reads ranges as they are asked for; what is written becomes one blob at the end."""

    def _fetch_range(self, start, end):
        return self.fs.cat_file(self.path, start, end)

    def _initiate_upload(self):
        self._whole = None

    def _upload_chunk(self, final=False):
        if not final:
            return False                # keep it: a blob is put as a whole
        self._whole = self.buffer.getvalue()
        if self.autocommit:
            self.commit()
        return True

    def commit(self):
        self.fs._put(self.path, self._whole, self.mode == "xb")
        self.discard()

    def discard(self):
        self._whole, self.buffer = None, io.BytesIO()


def _entry(node):
    """A node as fsspec shows it."""
    entry = {"name": node.path, "size": node.nbytes, "type": "directory" if node.kind == "folder" else "file"}
    return entry if node.kind == "folder" else {**entry, "mtime": node.stamp / 1e9, "tag": node.tag, "blob": node.blob}


def _is_pattern(path):
    return any(letter in path for letter in "*?[")
