"""The door for every program: a store as a folder of files, through FUSE: ``python -m wrp.cee.doors.mount DIR [--store DIR] [--path TAG] [--write]``.

It wants the packages fsspec and fusepy (the extra `posix`), and libfuse 2 and /dev/fuse of the system. What operations do is in mounted.py.
"""

import os
import sys

from wrp.comm import installing
from wrp.comm.command import Parser
from wrp.comm.ranks import refuse
from wrp.errors import NoSuchTag, UsageError, WrpError


def mount(fs, path, folder, write=False):
    """Show what lies below `path` of a WrpFileSystem in an empty folder, until it is unmounted or this process is interrupted; with `write` it can be changed."""
    from wrp.cee.doors.mounted import Files, Loop

    files = Files(fs, path, write)
    try:
        Loop(files, folder, nothreads=True, foreground=True, ro=not write, big_writes=True, default_permissions=True, fsname="wrp")
    except WrpError:
        raise
    except RuntimeError as error:
        raise UsageError(f"the system refuses to mount {folder} (code {error}): see that it is empty, that /dev/fuse is there and that this user may use it") from error
    finally:
        files.close()


def main(arguments=None):
    """The command. Returns its exit code."""
    parser = Parser("python -m wrp.cee.doors.mount", description="show a store as files, until fusermount -u DIR or Ctrl-C")
    parser.add_argument("folder", metavar="DIR", help="an empty folder")
    parser.add_argument("--store", metavar="DIR", help="the store's folder (default: WRP_STORE, else ./wrp-store)")
    parser.add_argument("--path", metavar="TAG", default="", help="show what lies below this tag or folder of tags only")
    parser.add_argument("--write", action="store_true", help="let programs make, write, rename and remove files; without it they may be read only")
    try:
        if {"-h", "--help"} & set(sys.argv[1:] if arguments is None else arguments):
            parser.print_help()
            return 0
        _show(parser.parse_args(arguments))
    except (WrpError, KeyboardInterrupt) as error:
        return refuse(error)
    except OSError as error:
        return refuse(WrpError(str(error)))
    return 0


def _show(options):
    filesystem = _possible(options.folder)
    fs = filesystem(options.store, skip_instance_cache=True)
    try:
        if options.write:
            fs.handle.writing()
            fs.makedirs(options.path, exist_ok=True)
        else:
            fs.handle.reading()         # says where no store is
        if not fs.exists(options.path):
            raise NoSuchTag(f"no tag or folder of tags {options.path!r} in the store; wrp_cee ls shows what there is")
        mount(fs, options.path, options.folder, options.write)
    finally:
        fs.close()


def _possible(folder):
    """The WrpFileSystem, before a store is made, where one can be mounted at the folder. UsageError where none can."""
    try:
        import wrp.cee.doors.mounted                                    # noqa: F401
        from wrp.cee.doors.filesystem import WrpFileSystem
    except (ImportError, OSError) as error:
        raise UsageError(f"a store can't be mounted here: {error}; it wants {installing.extra('posix')}, and the system's libfuse2") from error
    if not os.path.isdir(folder) or os.listdir(folder):
        raise UsageError(f"{folder} is no empty folder: make one to mount the store there")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise UsageError(f"the system refuses to mount {folder}: /dev/fuse isn't there, or this user may not use it")
    return WrpFileSystem


if __name__ == "__main__":
    sys.exit(main())
