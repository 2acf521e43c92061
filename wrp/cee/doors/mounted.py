"""A store as a file system of FUSE: each operation of the kernel in terms of paths, tags and blobs. The command is in mount.py; fusepy is imported here.

All operations come one after the other. What a program has written waits in a Growing per open file (opened.py), which all that have it open see.
Paths come and go as fusepy has them, which decodes them: as latin-1, so that each byte is a letter.
"""

import os
import stat
import sys
import time
from contextlib import nullcontext
from errno import EEXIST, EILSEQ, EINVAL, EIO, EISDIR, ENAMETOOLONG, ENOENT, ENOSPC, EPERM

from fuse import FUSE, FuseOSError, Operations

from wrp.cee.doors import changing, tree
from wrp.cee.doors.folders import Folders
from wrp.cee.doors.growing import Growing
from wrp.cee.doors.opened import Opened, OpenFiles, failure, told
from wrp.cte import Store
from wrp.cte.names import LONGEST
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, OutOfSpace, UsageError, WrpError

_CODES = ((OutOfSpace, ENOSPC), ((NoSuchBlob, NoSuchTag, FileNotFoundError), ENOENT), ((Changed, FileExistsError), EEXIST), (IsADirectoryError, EISDIR), (UsageError, EINVAL))
_BLOCK_NBYTES, _UNIT_NBYTES, _MODE, _FOLDER_MODE = 1 << 17, 4096, 0o644, 0o755
_NOW, _OMIT = (1 << 30) - 1, (1 << 30) - 2      # of utimensat: this moment, and let it be
_GAP_NBYTES = 1 << 20                   # longer ones are looked at before they are promised


class Files(Operations):
    """What lies below `path` of a WrpFileSystem. With `write` it can be changed."""

    use_ns = flag_utime_omit_ok = True
    bmap = getxattr = ioctl = listxattr = lock = readlink = removexattr = setxattr = None       # the kernel asks once, and answers by itself from then on

    def __init__(self, fs, path, write):
        self._fs, self._root, self._write = fs, path.strip("/"), write
        self._store = fs.handle.writing() if write else fs.handle.reading()
        self._is_shared = not isinstance(self._store, Store)        # a daemon's, which other programs change
        self._opened, self._handles, self._next = OpenFiles(), {}, 0        # by path, and by handle: an Opened or a file of fsspec
        self._set = {}                  # path -> what programs have set of its attributes; nothing of that is in the store
        self._since = time.time_ns()
        self._folders = Folders(self._store) if not self._is_shared else None

    def __call__(self, operation, *args):
        try:
            with self._opened.lock:
                return getattr(self, operation)(*args)
        except Exception as error:
            code = next((code for kinds, code in _CODES if isinstance(error, kinds)), getattr(error, "errno", None) or EIO)
            if code == EILSEQ and operation == "getattr":       # nothing has such a name
                code = ENOENT
            if code == EIO or operation == "release":       # whose result no program sees
                print(f"wrp.cee.doors.mount: {operation}: {told(error)}", file=sys.stderr, flush=True)
            raise FuseOSError(code) from error

    def init(self, path):
        self._opened.start()

    def close(self):
        """What waits is in the store when it returns. The first error of a file is raised, when all have had their turn."""
        self._opened.stop(self._store.ranks.timeout_s)
        failed = self._opened.put()
        self._opened.clear(), self._handles.clear()
        if failed:
            raise failed[0]

    def _path(self, path):
        try:
            return f"{self._root}{path.encode('latin-1').decode()}".strip("/")
        except UnicodeDecodeError:
            raise OSError(EILSEQ, "names are text in UTF-8", path) from None

    def _new(self, path):
        """The path of something that is to be there."""
        path = self._path(path)
        if len(path.encode()) > LONGEST:
            raise OSError(ENAMETOOLONG, f"paths have at most {LONGEST} bytes", path)
        tree.check(path)
        return path

    def _find(self, store, path):
        """As tree.find. Where nobody but this process changes the store, it is known which folders there are."""
        if self._folders is None:
            return tree.find(store, path)
        return tree.find(store, path, self._folders.__contains__)

    def _changing(self, *paths):
        """What is done inside makes and removes at most what is at these paths, and their folders as tags."""
        return self._folders.changing(*paths) if self._folders is not None else nullcontext()

    # looking

    def getattr(self, path, fh=None):
        path = self._path(path)
        _, node = self._fs.found(path, find=self._find)
        opened, changed, nbytes = self._opened.get(path), node.stamp or self._since, node.nbytes
        if opened is not None:
            opened.growing.refresh()
            changed, nbytes = opened.written if opened.growing.is_waiting else changed, opened.growing.nbytes
        mode, kind = (_FOLDER_MODE, stat.S_IFDIR) if node.kind == "folder" else (_MODE if node.kind == "blob" else 0o444, stat.S_IFREG)
        about = {"st_nlink": 1, "st_size": nbytes, "st_blocks": -(-nbytes // 512), "st_blksize": _BLOCK_NBYTES, "st_uid": os.getuid(), "st_gid": os.getgid(), "st_mode": mode,
                 "st_atime": changed, "st_mtime": changed, "st_ctime": changed, **self._set.get(path, {})}
        return {**about, "st_mode": kind | about["st_mode"] & (0o777 if self._write else 0o555)}

    def readdir(self, path, fh):
        path = self._path(path)
        return [".", "..", *(child.rpartition("/")[2].encode().decode("latin-1") for child in tree.children(self._store, path))]

    def statfs(self, path):
        capacity, free = self._room()
        return {"f_bsize": _UNIT_NBYTES, "f_frsize": _UNIT_NBYTES, "f_blocks": capacity // _UNIT_NBYTES, "f_bfree": free // _UNIT_NBYTES, "f_bavail": free // _UNIT_NBYTES, "f_namemax": 1024}

    def _room(self):
        """(capacity, free) bytes of the targets that last, or of all where none does."""
        targets = self._store.targets()
        lasting = [target for target in targets if target.persistence == "long_term"] or targets
        return sum(target.capacity for target in lasting), sum(target.remaining for target in lasting)

    # open files

    def open(self, path, flags):
        path = self._path(path)
        _, node = self._fs.found(path, True, self._find)
        if node.kind == "blob":
            return self._handle(path, node.tag, node.blob)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(EPERM, "it was taken in, and can't be written over", path)
        return self._numbered(self._fs.open(path, "rb"))

    def create(self, path, mode, flags):
        path = self._new(path)
        if "/" not in path:
            raise PermissionError(EPERM, "a file lies in a folder: a tag", path)
        tag, blob = tree.place(self._store, path, self._find(self._store, path))
        try:
            with self._changing(path):
                self._store.put(tag, blob, b"", if_generation=0)
            self._made(path, mode, _MODE)
        except Changed:                 # another program of the daemon has made it just now
            if flags & os.O_EXCL:
                raise
            if flags & os.O_TRUNC:
                Growing(self._store, tag, blob).truncate(0)
        return self._handle(path, tag, blob)

    def _made(self, path, mode, usual):
        if mode & 0o777 != usual:
            self._set[path] = {"st_mode": mode & 0o777}

    def _handle(self, path, tag, blob):
        # who has one open that another program has removed keeps that one
        if path not in self._opened or isinstance(failure(self._opened[path].growing.refresh), (NoSuchBlob, NoSuchTag)):
            self._opened[path] = Opened(Growing(self._store, tag, blob))
        self._opened[path].users += 1
        return self._numbered(self._opened[path])

    def _numbered(self, file):
        self._next += 1
        self._handles[self._next] = file
        return self._next

    def read(self, path, size, offset, fh):
        file = self._handles[fh]
        if isinstance(file, Opened):
            if self._is_shared:
                file.growing.refresh()
            return file.growing.read(offset, size)
        file.seek(offset)
        return file.read(size)

    def write(self, path, data, offset, fh):
        opened = self._handles[fh]
        self._check_gap(opened.growing, offset)
        self._opened.write(opened, offset, data)
        self._touched(self._path(path))
        return len(data)

    def truncate(self, path, length, fh=None):
        path = self._path(path)
        opened = self._opened.get(path)
        if opened is not None:
            growing, opened.written = opened.growing, time.time_ns()
        else:
            _, node = self._fs.found(path, True, self._find)
            growing = Growing(self._store, *tree.place(self._store, path, node))
        self._check_gap(growing, length)
        growing.truncate(length)
        self._touched(path)

    def _touched(self, path):
        if path in self._set:
            self._set[path] = {name: value for name, value in self._set[path].items() if name not in ("st_atime", "st_mtime")}

    def _check_gap(self, growing, start):
        """A gap takes the room of its zeros."""
        gap = start - growing.nbytes
        if gap > _GAP_NBYTES and gap > self._room()[1]:
            raise OutOfSpace(f"there is no room for a gap of {gap} bytes in blob {growing.blob!r}")

    def flush(self, path, fh):
        if isinstance(self._handles[fh], Opened):
            self._handles[fh].growing.put()

    def fsync(self, path, datasync, fh):
        self.flush(path, fh)
        self._store.flush()

    def fsyncdir(self, path, datasync, fh):
        self._store.flush()

    def release(self, path, fh):
        file = self._handles.pop(fh)
        if not isinstance(file, Opened):
            file.close()
            return
        file.users -= 1
        if not file.users:
            for path in [path for path, opened in self._opened.items() if opened is file]:
                del self._opened[path]
            file.growing.put()          # what found no room when it was flushed is lost with the last one who has it open

    # changes

    def mkdir(self, path, mode):
        path = self._new(path)
        with self._changing(path):
            changing.make_folder(self._store, path, self._find)
        self._made(path, mode, _FOLDER_MODE)

    def rmdir(self, path):
        path = self._path(path)
        with self._changing(path):
            changing.remove_folder(self._store, path)
        self._left(path)

    def unlink(self, path):
        path = self._path(path)
        with self._changing(path):
            changing.remove_file(self._store, path)
        self._left(path)

    def rename(self, old, new):
        old, new = self._path(old), self._new(new)
        kept = self._fs.found(old, find=self._find)[1]
        if "/" not in new and kept.kind == "blob":
            raise PermissionError(EPERM, "a file lies in a folder: a tag", new)
        with self._changing(old, new):
            failed = failure(lambda: changing.rename(self._store, old, new, self._find))
        if kept.kind == "folder" and self._folders is not None:
            self._folders.forget()
        if failed is None:
            self._set.pop(new, None), self._opened.pop(new, None)
        self._follow(old, new)
        if failed is not None:
            raise failed
        if kept.kind == "blob":         # whose stamp is that of its new name
            self._set.setdefault(new, {}).setdefault("st_mtime", max(kept.stamp, self._opened[new].written if new in self._opened else 0))
        self._left(old)

    def _follow(self, old, new):
        """What is known of files goes with those that have moved: of a folder for which there was no room, some."""
        for path in [path for path in {*self._set, *self._opened} if (path + "/").startswith(old + "/")]:
            there, opened = new + path[len(old):], self._opened.get(path)
            node = self._find(self._store, there)
            is_left = self._store.exists(opened.growing.tag, opened.growing.blob) if opened is not None else self._find(self._store, path) is not None
            if node is None or is_left:
                continue
            for table in (self._set, self._opened):
                if path in table:
                    table[there] = table.pop(path)
            if opened is not None:
                opened.growing.follow(node.tag, node.blob)

    def _left(self, path):
        """Nothing is at the path any more; its folder stays a folder, also where it was none but for what lay in it."""
        for table in (self._set, self._opened):
            table.pop(path, None)
        folder = path.rpartition("/")[0]
        if folder and not self._store.exists(folder) and self._find(self._store, folder) is None:
            with self._changing(folder):
                self._store.create(folder)

    def link(self, path, *_):
        raise PermissionError(EPERM, "a store has no links, and no files but plain ones", path)

    mknod = symlink = link

    def chmod(self, path, mode):
        self._set.setdefault(self._path(path), {})["st_mode"] = mode & 0o777

    def chown(self, path, uid, gid):
        self._set.setdefault(self._path(path), {}).update({name: value for name, value in (("st_uid", uid), ("st_gid", gid)) if value != -1})

    def utimens(self, path, times=None):
        now = time.time_ns()
        given = {name: now if value == _NOW else value for name, value in zip(("st_atime", "st_mtime"), times or (now, now)) if value != _OMIT}
        self._set.setdefault(self._path(path), {}).update(given)


class Loop(FUSE):
    """fusepy's: operations until the folder is unmounted. `create` is told how the file is opened, too."""

    def __init__(self, files, folder, **options):
        super().__init__(files, os.fsencode(folder).decode("latin-1"), encoding="latin-1", **options)

    def create(self, path, mode, about):
        about.contents.fh = self.operations("create", path.decode(self.encoding), mode, about.contents.flags)
        return 0
