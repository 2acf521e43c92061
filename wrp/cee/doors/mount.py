"""The door for every program: a store as a folder of files that may be read, through FUSE: ``python -m wrp.cee.doors.mount DIR [--store DIR] [--path TAG]``.

It wants the packages fsspec and fusepy (the extra `posix`), and libfuse 2 and /dev/fuse of the system.
"""

import errno
import os
import stat
import sys

from wrp.comm.command import Parser
from wrp.errors import UsageError, WrpError


def mount(fs, path, folder):
    """Show what lies below `path` of a WrpFileSystem in an empty folder, until it is unmounted or this process is interrupted."""
    try:
        from fsspec.fuse import FUSEr
        from fuse import FUSE, FuseOSError
    except (ImportError, OSError) as error:
        raise UsageError(f"a store can't be mounted here: {error}; install the extra with pip install 'wrp[posix]', and the system's libfuse2") from error
    if not os.path.isdir(folder) or os.listdir(folder):
        raise UsageError(f"{folder} is no empty folder: make one to mount the store there")

    def refused(*_, **__):
        raise FuseOSError(errno.EROFS)
    names = ("chmod", "chown", "create", "link", "mkdir", "mknod", "removexattr", "rename", "rmdir", "setxattr", "symlink", "truncate", "unlink", "utimens", "write")

    def attributes(self, path, fh=None):
        found = FUSEr.getattr(self, path, fh)
        return {**found, "st_mode": found["st_mode"] & ~0o777 | (0o555 if stat.S_ISDIR(found["st_mode"]) else 0o444), "st_uid": os.getuid(), "st_gid": os.getgid()}
    readable = type("Readable", (FUSEr,), {**dict.fromkeys(names, refused), "getattr": attributes})
    shown = readable(fs, path, ready_file=False)
    shown.root = path.strip("/") + "/" if path else ""          # no path of a store begins with a slash
    try:
        FUSE(shown, folder, nothreads=True, foreground=True, ro=True)
    except RuntimeError as error:
        raise UsageError(f"the system refuses to mount {folder} (code {error}): see that /dev/fuse is there and that this user may use it") from error


def main(arguments=None):
    """The command. Returns its exit code."""
    parser = Parser("python -m wrp.cee.doors.mount", description="show a store as files that may be read, until fusermount -u DIR or Ctrl-C")
    parser.add_argument("folder", metavar="DIR", help="an empty folder")
    parser.add_argument("--store", metavar="DIR", help="the store's folder (default: WRP_STORE, else ./wrp-store)")
    parser.add_argument("--path", metavar="TAG", default="", help="show what lies below this tag or folder of tags only")
    options = parser.parse_args(arguments)
    try:
        from wrp.cee.doors.filesystem import WrpFileSystem

        fs = WrpFileSystem(options.store, skip_instance_cache=True)
        try:
            fs.ls(options.path)
            mount(fs, options.path, options.folder)
        finally:
            fs.close()
    except (WrpError, OSError) as error:
        print(f"wrp.cee.doors.mount: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
