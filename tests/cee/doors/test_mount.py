"""A store that is mounted: programs that know nothing of wrp read what is in it, and change nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("fsspec", reason="fsspec isn't installed: pip install -e '.[posix]'")
try:
    import fuse  # noqa: F401
except (ImportError, OSError) as missing:
    pytest.skip(f"no FUSE here: {missing}", allow_module_level=True)

from wrp.cee.doors import mount
from wrp.cte import Store


@pytest.fixture
def folder(tmp_path):
    with Store.open(tmp_path / "store") as store:
        for tag, blob, data in (("run 7", "field", os.urandom(300_000)), ("run 7", "sub/notes", b"pressure 3\ntemperature 4\n"), ("top", "t_10", b"10")):
            store.put(tag, blob, data)
    return tmp_path / "store"


@pytest.fixture
def mounted(folder, tmp_path):
    """The folder where it is mounted; skipped where the system refuses that."""
    place = tmp_path / "files"
    place.mkdir()
    process = subprocess.Popen([sys.executable, "-m", "wrp.cee.doors.mount", str(place), "--store", str(folder)], stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 40
        while not os.path.ismount(place) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if process.poll() is not None:
            said = process.communicate()[1]
            assert "refuses to mount" in said, said
            pytest.skip(said)
        yield place
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0 and not os.path.ismount(place)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if os.path.ismount(place):
            subprocess.run(["fusermount", "-u", place], check=False)
        process.stderr.close()


def run(*command):
    return subprocess.run(command, capture_output=True, timeout=30)


def test_programs_read_what_is_in_it(mounted, folder, tmp_path):
    with Store.open(folder, write=False) as store:
        field = store.get("run 7", "field")
    assert run("ls", mounted / "run 7").stdout.split() == [b"field", b"sub"] and sorted(os.listdir(mounted)) == ["run 7", "top"]
    assert run("cp", "-r", mounted / "run 7", tmp_path / "copy").returncode == 0
    assert (tmp_path / "copy" / "field").read_bytes() == field
    assert run("grep", "-rl", "temperature", mounted).stdout.decode().strip().endswith("run 7/sub/notes")
    assert run("tail", "-c", "100", mounted / "run 7" / "field").stdout == field[-100:] and os.stat(mounted / "run 7" / "field").st_size == 300_000
    with open(mounted / "top" / "t_10", "rb") as file:
        assert file.read() == b"10"


def test_nothing_is_changed(mounted):
    assert [oct(os.stat(mounted / path).st_mode & 0o777) for path in ("top", "top/t_10")] == ["0o555", "0o444"]
    for change in (lambda: open(mounted / "new", "w"), lambda: os.unlink(mounted / "top" / "t_10"), lambda: os.mkdir(mounted / "dir"),
                   lambda: os.rename(mounted / "top", mounted / "bottom"), lambda: open(mounted / "top" / "t_10", "a")):
        with pytest.raises(OSError):
            change()
    with pytest.raises(FileNotFoundError):
        os.stat(mounted / "top" / "none")


def test_refusals_are_sentences(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, sentence in ((["--store", str(folder), str(folder)], "is no empty folder"), (["--store", str(tmp_path / "no"), str(tmp_path / "empty")], "no store at"),
                                (["--store", str(folder), str(tmp_path / "empty"), "--path", "gone"], "no tag or folder of tags 'gone'"),
                                ([], "arguments are required: DIR"), (["--store", str(tmp_path / "new"), "--write", str(folder)], "is no empty folder")):
        assert mount.main(arguments) != 0
        said = capsys.readouterr().err
        assert said.startswith("wrp: ") and sentence in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("module", ["filesystem", "tagstore", "hdf5store", "mount"])
def test_without_its_package_a_door_says_how_to_get_it(module, tmp_path):
    code = "import sys\nsys.modules.update(fsspec=None, zarr=None, fuse=None)\n" \
           f"from wrp.cee.doors import {module}\nsys.exit({module}.main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and f"{sys.executable} -m pip install -e '.[{'posix' if module == 'mount' else 'arrays'}]' in the clone of wrp" in done.stderr.splitlines()[-1]
