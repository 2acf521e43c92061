"""The door for every program: a store as a folder of files, through FUSE: ``python -m wrp.cee.doors.mount DIR [--store DIR] [--path TAG] [--write]``.

It wants the packages fsspec and fusepy (the extra `posix`), and libfuse 2 and /dev/fuse of the system. What operations do is in mounted.py.
"""

import os
import sys

from wrp.comm.command import Parser
from wrp.errors import UsageError, WrpError


def mount(fs, path, folder, write=False):
    """Show what lies below `path` of a WrpFileSystem in an empty folder, until it is unmounted or this process is interrupted; with `write` it can be changed."""
    try:
        from wrp.cee.doors.mounted import Files, Loop
    except (ImportError, OSError) as error:
        raise UsageError(f"a store can't be mounted here: {error}; install the extra with pip install 'wrp[posix]', and the system's libfuse2") from error
    if not os.path.isdir(folder) or os.listdir(folder):
        raise UsageError(f"{folder} is no empty folder: make one to mount the store there")
    files = Files(fs, path, write)
    try:
        Loop(files, folder, nothreads=True, foreground=True, ro=not write, big_writes=True, default_permissions=True, fsname="wrp")
    except WrpError:
        raise
    except RuntimeError as error:
        raise UsageError(f"the system refuses to mount {folder} (code {error}): see that /dev/fuse is there and that this user may use it") from error
    finally:
        files.close()


def main(arguments=None):
    """The command. Returns its exit code."""
    parser = Parser("python -m wrp.cee.doors.mount", description="show a store as files, until fusermount -u DIR or Ctrl-C")
    parser.add_argument("folder", metavar="DIR", help="an empty folder")
    parser.add_argument("--store", metavar="DIR", help="the store's folder (default: WRP_STORE, else ./wrp-store)")
    parser.add_argument("--path", metavar="TAG", default="", help="show what lies below this tag or folder of tags only")
    parser.add_argument("--write", action="store_true", help="let programs make, write, rename and remove files; without it they may be read only")
    options = parser.parse_args(arguments)
    try:
        from wrp.cee.doors.filesystem import WrpFileSystem

        fs = WrpFileSystem(options.store, skip_instance_cache=True)
        try:
            if options.write:
                fs.handle.writing()
                fs.makedirs(options.path, exist_ok=True)
            fs.ls(options.path)
            mount(fs, options.path, options.folder, options.write)
        finally:
            fs.close()
    except (WrpError, OSError) as error:
        print(f"wrp.cee.doors.mount: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
