"""What POSIX says of calls on files, as a program: each case runs in a fresh directory below the current one. Prints the cases that fail.

Run in and outside CAPIO_DIR, with each way of interception: what a program sees must not depend on it.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import traceback

CASES = []
libc = ctypes.CDLL(None, use_errno=True)


def case(function):
    CASES.append(function)
    return function


def refused(number, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except OSError as error:
        assert error.errno == number, (errno.errorcode[error.errno], errno.errorcode[number])
    else:
        raise AssertionError(f"{call.__name__} isn't refused")


def put(path, data=b"0123456789"):
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.write(file, data)
    os.close(file)


def get(path):
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1 << 20)
    finally:
        os.close(file)


@case
def create_and_open_again():
    put("f")
    assert get("f") == b"0123456789"


@case
def exclusive():
    put("f")
    refused(errno.EEXIST, os.open, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.close(os.open("g", os.O_CREAT | os.O_EXCL | os.O_WRONLY))


@case
def missing():
    refused(errno.ENOENT, os.open, "nothing", os.O_RDONLY)
    refused(errno.ENOENT, os.stat, "nothing")
    refused(errno.ENOENT, os.unlink, "nothing")
    refused(errno.ENOENT, os.rename, "nothing", "else")
    refused(errno.ENOENT, os.listdir, "nothing")
    assert not os.access("nothing", os.F_OK)


@case
def a_file_is_no_directory():
    put("f")
    refused(errno.ENOTDIR, os.open, "f/x", os.O_RDONLY)
    refused(errno.ENOTDIR, os.open, "f", os.O_RDONLY | os.O_DIRECTORY)
    refused(errno.ENOTDIR, os.listdir, "f")
    refused(errno.EISDIR, os.open, ".", os.O_WRONLY)


@case
def at_a_directory():
    os.mkdir("d")
    here = os.open("d", os.O_RDONLY | os.O_DIRECTORY)
    file = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(file, b"x")
    os.close(file)
    assert os.stat("f", dir_fd=here).st_size == 1 and get("d/f") == b"x"
    os.mkdir("e", dir_fd=here)
    os.rename("f", "g", src_dir_fd=here, dst_dir_fd=here)
    assert sorted(os.listdir(here)) == ["e", "g"]
    os.unlink("g", dir_fd=here)
    os.rmdir("e", dir_fd=here)
    file = os.open(os.path.abspath("d/h"), os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.close(file)
    os.close(here)
    refused(errno.EBADF, os.open, "f", os.O_RDONLY, dir_fd=here)


@case
def directories():
    os.mkdir("d", 0o750)
    assert stat.S_IMODE(os.stat("d").st_mode) == 0o750 and stat.S_ISDIR(os.stat("d").st_mode)
    refused(errno.EEXIST, os.mkdir, "d")
    refused(errno.ENOENT, os.mkdir, "x/y")
    put("d/f")
    refused(errno.ENOTEMPTY, os.rmdir, "d")
    os.unlink("d/f")
    os.rmdir("d")
    refused(errno.ENOENT, os.rmdir, "d")


@case
def deep_directories():
    os.makedirs("a/b/c/d")
    put("a/b/c/d/f")
    assert [len(files) for _, _, files in os.walk("a")] == [0, 0, 0, 1]
    shutil.rmtree("a")
    assert not os.path.exists("a")


@case
def working_directory():
    before = os.getcwd()
    os.mkdir("d")
    os.chdir("d")
    put("f")
    assert os.getcwd() == before + "/d" and get("../d/f") == get("./f") == get(before + "/d/f")
    os.chdir("..")
    here = os.open("d", os.O_RDONLY)
    os.fchdir(here)
    os.close(here)
    assert os.listdir(".") == ["f"]
    os.chdir(before)


@case
def short_buffer_for_the_working_directory():
    room = ctypes.create_string_buffer(2)
    assert not libc.getcwd(room, 1) and ctypes.get_errno() == errno.ERANGE


@case
def listing():
    names = [f"name{number}" for number in range(200)]
    for name in names:
        put(name, b"")
    assert sorted(os.listdir(".")) == sorted(names)
    assert sorted(entry.name for entry in os.scandir(".") if entry.is_file() and entry.stat().st_size == 0) == sorted(names)
    os.unlink("name7")
    assert "name7" not in os.listdir(".")


@case
def duplicates():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    other = os.dup(file)
    os.write(file, b"ab")
    os.write(other, b"cd")
    assert os.lseek(file, 0, os.SEEK_CUR) == 4
    os.close(file)
    os.lseek(other, 0, os.SEEK_SET)
    assert os.read(other, 10) == b"abcd"
    os.close(other)


@case
def duplicates_onto():
    put("f")
    put("g", b"other")
    first, second = os.open("f", os.O_RDONLY), os.open("g", os.O_RDONLY)
    assert os.dup2(first, second) == second and os.read(second, 3) == b"012" and os.read(first, 3) == b"345"
    assert os.dup2(first, first) == first
    os.close(first)
    os.close(second)
    refused(errno.EBADF, os.dup2, first, second)


@case
def duplicates_with_flags():
    put("f")
    file = os.open("f", os.O_RDONLY)
    libc.dup3.restype = ctypes.c_int
    assert libc.dup3(file, file, 0) == -1 and ctypes.get_errno() == errno.EINVAL
    other = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 50)
    assert other >= 50 and fcntl.fcntl(other, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    third = fcntl.fcntl(file, fcntl.F_DUPFD, 60)
    assert not fcntl.fcntl(third, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert os.read(other, 2) + os.read(third, 2) == b"0123"
    for one in (file, other, third):
        os.close(one)


@case
def closed_descriptors():
    put("f")
    file = os.open("f", os.O_RDONLY)
    os.close(file)
    for call in (lambda: os.read(file, 1), lambda: os.write(file, b""), lambda: os.close(file), lambda: os.fstat(file), lambda: os.lseek(file, 0, 0),
                 lambda: os.dup(file)):
        refused(errno.EBADF, call)


@case
def wrong_way():
    put("f")
    file = os.open("f", os.O_RDONLY)
    refused(errno.EBADF, os.write, file, b"x")
    os.close(file)
    file = os.open("f", os.O_WRONLY)
    refused(errno.EBADF, os.read, file, 1)
    os.close(file)


@case
def attributes():
    put("f")
    file = os.open("f", os.O_RDONLY)
    named, opened = os.stat("f"), os.fstat(file)
    assert (named.st_ino, named.st_size, named.st_mode, named.st_nlink) == (opened.st_ino, opened.st_size, opened.st_mode, 1)
    assert os.lstat("f").st_ino == named.st_ino and os.stat(file).st_ino == named.st_ino
    os.fchmod(file, 0o600)
    os.fchown(file, os.getuid(), os.getgid())
    os.close(file)
    assert stat.S_IMODE(os.stat("f").st_mode) == 0o600
    os.chmod("f", 0o640)
    os.utime("f", (1, 2))
    assert stat.S_IMODE(os.stat("f").st_mode) == 0o640 and os.stat("f").st_mtime == 2


@case
def statx_of_an_open_file():
    put("f")
    file = os.open("f", os.O_RDONLY)
    room = ctypes.create_string_buffer(256)
    assert libc.statx(file, b"", 0x1000, 0x7FF, room) == 0      # AT_EMPTY_PATH
    assert int.from_bytes(room[40:48], "little") == 10          # stx_size
    assert libc.statx(-100, b"f", 0, 0x80000000, room) == -1 and ctypes.get_errno() == errno.EINVAL     # the reserved flag
    assert libc.statx(-100, b"nothing", 0, 0x7FF, room) == -1 and ctypes.get_errno() == errno.ENOENT
    os.close(file)


@case
def file_systems():
    assert os.statvfs(".").f_bsize == os.fstatvfs(os.open(".", os.O_RDONLY)).f_bsize > 0


@case
def extended_attributes():
    put("f")
    file = os.open("f", os.O_RDONLY)
    refused(errno.ENODATA, os.getxattr, file, "user.nothing")
    os.close(file)


@case
def rename_a_file():
    put("f", b"new")
    put("g", b"old")
    os.rename("f", "g")
    assert get("g") == b"new" and not os.path.exists("f")
    os.mkdir("d")
    refused(errno.EISDIR, os.rename, "g", "d")
    os.rename("g", "d/h")
    assert get("d/h") == b"new"


@case
def rename_a_directory():
    os.mkdir("d")
    put("d/f")
    os.rename("d", "e")
    assert get("e/f") == b"0123456789" and not os.path.exists("d")
    os.mkdir("d")
    refused(errno.ENOTEMPTY, os.rename, "d", "e")
    os.rename("e", "d")
    put("d/g")
    assert sorted(os.listdir("d")) == ["f", "g"]
    refused(errno.EINVAL, os.rename, "d", "d/x")


@case
def rename_while_open():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    os.write(file, b"one")
    os.rename("f", "g")
    os.write(file, b"two")
    os.close(file)
    assert get("g") == b"onetwo"


@case
def unlink_while_open():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    os.unlink("f")
    os.write(file, b"x")
    assert os.pread(file, 1, 0) == b"x" and os.fstat(file).st_nlink == 0
    os.close(file)


@case
def links():
    put("f")
    os.link("f", "g")
    os.symlink("f", "s")
    assert os.stat("g").st_nlink == 2 and os.readlink("s") == "f" and get("s") == get("g")
    assert stat.S_ISLNK(os.lstat("s").st_mode)
    refused(errno.ELOOP, os.open, "s", os.O_RDONLY | os.O_NOFOLLOW)
    os.unlink("f")
    refused(errno.ENOENT, os.open, "s", os.O_RDONLY)


@case
def vectors():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    assert os.writev(file, [b"ab", b"", b"cde"]) == 5
    os.lseek(file, 0, os.SEEK_SET)
    parts = [bytearray(1), bytearray(3), bytearray(5)]
    assert os.readv(file, parts) == 5 and bytes(parts[1]) == b"bcd"
    assert os.preadv(file, [bytearray(2)], 4) == 1 and os.pwritev(file, [b"XY"], 1) == 2
    os.close(file)
    assert get("f") == b"aXYde"


@case
def positions():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    os.write(file, b"0123456789")
    assert os.lseek(file, -3, os.SEEK_END) == 7 and os.read(file, 9) == b"789" and os.read(file, 9) == b""
    assert os.lseek(file, 5, os.SEEK_SET) == 5 and os.lseek(file, 2, os.SEEK_CUR) == 7
    refused(errno.EINVAL, os.lseek, file, -1, os.SEEK_SET)
    os.lseek(file, 20, os.SEEK_SET)
    os.write(file, b"x")
    os.lseek(file, 0, os.SEEK_SET)
    assert os.read(file, 30) == b"0123456789" + bytes(10) + b"x"
    assert os.pread(file, 2, 3) == b"34" and os.pwrite(file, b"__", 0) == 2
    os.close(file)


@case
def appending():
    put("f")
    file = os.open("f", os.O_WRONLY | os.O_APPEND)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, b"end")
    os.close(file)
    assert get("f") == b"0123456789end"


@case
def truncating():
    put("f")
    os.truncate("f", 4)
    assert get("f") == b"0123"
    file = os.open("f", os.O_RDWR)
    os.ftruncate(file, 6)
    os.close(file)
    assert get("f") == b"0123\0\0"
    os.close(os.open("f", os.O_WRONLY | os.O_TRUNC))
    assert get("f") == b""


@case
def streams():
    with open("f", "w") as file:
        file.write("one\ntwo\n")
    with open("f", "r+") as file:
        assert file.readline() == "one\n" and file.read() == "two\n" and file.read() == ""
        file.write("three\n")
    with open("f") as file:
        assert file.readlines() == ["one\n", "two\n", "three\n"]


@case
def streams_of_libc():
    libc.fopen.restype = ctypes.c_void_p
    for name, types in {"fclose": [], "feof": [], "ftell": [], "fflush": []}.items():
        getattr(libc, name).argtypes = [ctypes.c_void_p, *types]
    libc.fwrite.argtypes = libc.fread.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    libc.fseek.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
    file = libc.fopen(b"f", b"w+")
    assert libc.fwrite(b"0123456789", 1, 10, file) == 10 and libc.ftell(file) == 10
    room = ctypes.create_string_buffer(20)
    assert libc.fseek(file, 4, 0) == 0 and libc.fread(room, 1, 20, file) == 6 and libc.feof(file) and room.value == b"456789"
    assert libc.fclose(file) == 0
    assert not libc.fopen(b"nothing", b"r") and ctypes.get_errno() == errno.ENOENT


@case
def mappings():
    put("f", b"0" * 5000)
    with open("f", "r+b") as file, mmap.mmap(file.fileno(), 0) as found:
        assert len(found) == 5000
        found[4999:5000] = b"1"
    assert get("f").endswith(b"01")


@case
def copies_in_the_kernel():
    put("f", bytes(range(256)) * 100)
    source, target = os.open("f", os.O_RDONLY), os.open("g", os.O_CREAT | os.O_RDWR)
    assert os.sendfile(target, source, 0, 100000) == 25600 and os.sendfile(target, source, 25600, 10) == 0
    try:
        assert os.copy_file_range(source, target, 100000) == 25600
        assert get("g") == get("f") * 2
    except OSError as error:
        assert error.errno in (errno.EXDEV, errno.EOPNOTSUPP)
    os.close(source)
    os.close(target)
    shutil.copy2("f", "h")
    assert get("h") == get("f")


@case
def locks():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    fcntl.lockf(file, fcntl.LOCK_EX)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.fsync(file)
    os.posix_fallocate(file, 0, 100)
    assert os.fstat(file).st_size == 100
    os.close(file)


@case
def flags_of_descriptors():
    file = os.open("f", os.O_CREAT | os.O_RDWR | os.O_APPEND)
    assert fcntl.fcntl(file, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND) == os.O_RDWR | os.O_APPEND
    fcntl.fcntl(file, fcntl.F_SETFL, 0)
    assert not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_APPEND
    os.close(file)


@case
def a_thread_writes():
    done = threading.Thread(target=put, args=("f", b"thread"))
    done.start()
    done.join()
    assert get("f") == b"thread"


@case
def a_child_writes():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    os.write(file, b"parent ")
    pid = os.fork()
    if not pid:
        os.write(file, b"child ")
        put("g", b"of the child")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    os.write(file, b"parent")
    os.close(file)
    assert get("f") == b"parent child parent" and get("g") == b"of the child"


@case
def a_program_inherits():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    subprocess.run(["sh", "-c", f"echo hello >&{file}"], pass_fds=[file], check=True)
    os.close(file)
    assert get("f") == b"hello\n"
    with open("f") as source, open("g", "w") as target:
        subprocess.run(["cat"], stdin=source, stdout=target, check=True)
    assert get("g") == b"hello\n"


@case
def an_empty_environment():
    put("f")
    assert subprocess.run(["/bin/cat", "f"], env={}, capture_output=True).stdout == b"0123456789"


@case
def temporary_files():
    with tempfile.NamedTemporaryFile(dir=".") as file:
        file.write(b"x")
        file.flush()
        assert get(file.name) == b"x"
    with tempfile.TemporaryFile(dir=".") as file:
        file.write(b"y")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        put(folder + "/f")


@case
def odd_names():
    for name in ("with space", "with\nline", "päth", "-dash", "(brackets)", "x" * 255, ".hidden", "a%sb"):
        put(name)
        assert get(name) == b"0123456789" and name in os.listdir(".")
    refused(errno.ENAMETOOLONG, os.open, "x" * 256, os.O_CREAT | os.O_WRONLY)
    put(b"\xff\xfe")
    assert get(b"\xff\xfe") == b"0123456789"


@case
def nothing_of_a_name():
    refused(errno.ENOENT, os.open, "", os.O_RDONLY)
    refused(errno.ENOENT, os.stat, "")


@case
def masks():
    before = os.umask(0o077)
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o666))
    os.umask(before)
    assert stat.S_IMODE(os.stat("f").st_mode) == 0o600


@case
def the_lowest_descriptor():
    first = os.open("f", os.O_CREAT | os.O_RDWR)
    second = os.open("f", os.O_RDONLY)
    os.close(first)
    third = os.open("f", os.O_RDONLY)
    assert third == first and second > first
    os.close(second)
    os.close(third)


@case
def the_old_creat():
    put("f")
    file = libc.creat(b"f", 0o640)
    assert file >= 0 and os.fstat(file).st_size == 0
    refused(errno.EBADF, os.read, file, 1)
    os.write(file, b"new")
    os.close(file)
    assert get("f") == b"new"


@case
def at_what_is_no_directory():
    put("f")
    file = os.open("f", os.O_RDONLY)
    for call in (lambda at: os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=at), lambda at: os.mkdir("x", dir_fd=at), lambda at: os.stat("x", dir_fd=at),
                 lambda at: os.unlink("x", dir_fd=at), lambda at: os.rename("f", "x", src_dir_fd=at, dst_dir_fd=at), lambda at: os.rmdir("x", dir_fd=at)):
        refused(errno.ENOTDIR, call, file)
        refused(errno.EBADF, call, 9999)
    os.close(file)
    assert get(os.path.abspath("f")) == b"0123456789" and os.listdir(".") == ["f"]


@case
def absolute_names_leave_the_directory_aside():
    os.mkdir("d")
    put("f")
    here, path = os.open("d", os.O_RDONLY | os.O_DIRECTORY), os.path.abspath("f")
    assert os.stat(path, dir_fd=here).st_size == 10 and os.access(path, os.R_OK, dir_fd=here) and not os.access("f", os.F_OK, dir_fd=here)
    os.rename(path, "g", dst_dir_fd=here)
    assert get("d/g") == b"0123456789"
    os.unlink(os.path.abspath("d/g"), dir_fd=here)
    os.mkdir(os.path.abspath("e"), dir_fd=here)
    assert sorted(os.listdir(".")) == ["d", "e"] and os.listdir("d") == []
    os.close(here)


@case
def change_to_an_open_directory():
    before = os.getcwd()
    os.mkdir("d")
    here = os.open("d", os.O_RDONLY)
    os.fchdir(here)
    put("f")
    assert os.getcwd() == before + "/d" and os.listdir(here) == ["f"]
    refused(errno.EISDIR, os.read, here, 1)
    os.close(here)
    os.chdir(before)


@case
def remove_the_wrong_kind():
    put("f")
    os.mkdir("d")
    refused(errno.ENOTDIR, os.rmdir, "f")
    refused(errno.EISDIR, os.unlink, "d")
    refused(errno.ENOTDIR, os.rename, "d", "f")
    refused(errno.ENOTDIR, os.mkdir, "f/x")
    assert sorted(os.listdir(".")) == ["d", "f"]


@case
def rename_onto_an_open_file():
    put("f", b"old")
    put("g", b"new")
    file = os.open("f", os.O_RDONLY)
    os.rename("g", "f")
    assert os.read(file, 9) == b"old" and get("f") == b"new" and not os.path.exists("g")
    os.close(file)


@case
def rename_with_flags():
    put("f", b"1")
    put("g", b"2")
    assert libc.renameat2(-100, b"f", -100, b"g", 1) == -1 and ctypes.get_errno() in (errno.EEXIST, errno.EINVAL)
    if libc.renameat2(-100, b"f", -100, b"g", 2) == 0:          # exchange; not every file system can
        os.rename("f", "h")
        os.rename("g", "f")
        os.rename("h", "g")
    assert get("f") == b"1" and get("g") == b"2"


@case
def duplicates_onto_an_open_one():
    put("f")
    put("g", b"other")
    first, second = os.open("f", os.O_RDONLY), os.open("g", os.O_RDONLY)
    assert libc.dup3(first, second, os.O_CLOEXEC) == second and fcntl.fcntl(second, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert os.read(second, 3) == b"012"
    os.dup2(second, 77, inheritable=True)
    os.close(first)
    os.close(second)
    assert not fcntl.fcntl(77, fcntl.F_GETFD) & fcntl.FD_CLOEXEC and os.read(77, 30) == b"3456789"
    os.close(77)


@case
def raw_entries():
    for name in ("a", "b", "c"):
        put(name)
    here, room = os.open(".", os.O_RDONLY | os.O_DIRECTORY), ctypes.create_string_buffer(4096)
    libc.getdents64.restype, names, at = ctypes.c_ssize_t, [], 0
    count = libc.getdents64(here, room, 4096)
    while at < count:
        nbytes = int.from_bytes(room.raw[at + 16:at + 18], "little")
        names.append(room.raw[at + 19:at + nbytes].split(b"\0")[0])
        at += nbytes
    assert sorted(names) == [b".", b"..", b"a", b"b", b"c"] and libc.getdents64(here, room, 4096) == 0
    assert libc.getdents64(here, room, 8) in (0, -1)
    os.close(here)


@case
def holes():
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(file, 1 << 20)
    os.pwrite(file, b"data", 1 << 19)
    assert os.lseek(file, 0, os.SEEK_DATA) <= 1 << 19 and os.lseek(file, 1 << 19, os.SEEK_HOLE) > 1 << 19
    assert os.pread(file, 4, 1 << 19) == b"data" and os.pread(file, 4, 0) == bytes(4)
    refused(errno.ENXIO, os.lseek, file, 1 << 21, os.SEEK_DATA)
    os.close(file)


@case
def many_threads():
    file = os.open("f", os.O_CREAT | os.O_RDWR)

    def work(number):
        for turn in range(20):
            os.pwrite(file, bytes([65 + number]) * 10, (turn * 8 + number) * 10)
            put(f"of-{number}", bytes([turn]))
            assert get(f"of-{number}") == bytes([turn])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(file)
    assert get("f") == b"".join(bytes([65 + number]) * 10 for number in range(8)) * 20 and len(os.listdir(".")) == 9


@case
def many_forks():
    file = os.open("f", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    children = []
    for number in range(12):
        children.append(os.fork())
        if not children[-1]:
            for _ in range(5):
                os.write(file, bytes([97 + number]) * 7 + b"\n")
            put(f"of-{number}")
            os._exit(len(get(f"of-{number}")))
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [10] * 12
    os.close(file)
    assert sorted(get("f").split()) == sorted(bytes([97 + number]) * 7 for number in range(12) for _ in range(5))


def main():
    failed = 0
    for number, function in enumerate(CASES):
        top = os.getcwd()
        os.mkdir(f"case{number}")
        os.chdir(f"case{number}")
        try:
            function()
        except BaseException:
            failed += 1
            print(f"{function.__name__}: {traceback.format_exc()}")
        finally:
            os.chdir(top)
            shutil.rmtree(f"case{number}", ignore_errors=True)
    print(f"{len(CASES) - failed} of {len(CASES)} hold")
    return failed


if __name__ == "__main__":
    sys.exit(main())
