"""bin/demo and bin/mpirun in a clone whose .venv is made of stubs."""

import mmap
import os
import pwd
import shlex
import shutil
import subprocess
import time

import pytest

from docs.documents import ROOT

STUB = '#!/bin/bash\necho "$(basename "$0") $PWD $*"\n'


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path):
    root = tmp_path / "a clone"
    (root / "bin").mkdir(parents=True)
    for name in ("demo", "mpirun", "wrp_cee"):
        shutil.copy(ROOT / "bin" / name, root / "bin")
    shutil.copytree(ROOT / "bin" / "lib", root / "bin" / "lib")
    script(root / "bin" / "setup", "#!/bin/sh\n")
    for name in ("python", "mpirun", "wrp_cee"):
        script(root / ".venv" / "bin" / name, STUB)
    return root


def bash(command, cwd, **env):
    return subprocess.run(["bash", "-c", command], cwd=cwd, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={**{key: value for key, value in os.environ.items() if not key.startswith("OMPI_")}, **env})


@pytest.mark.parametrize("where", [".", "bin", ".."])
def test_last_line_of_the_demo_works_where_the_user_is(clone, where):
    done = bash(f"{shlex.quote(str(clone / 'bin' / 'demo'))}", clone / where)
    assert done.returncode == 0, done.stderr
    said = bash(done.stdout.splitlines()[-1], clone / where)
    assert said.returncode == 0, said.stderr
    _, _, store = said.stdout.partition("--store ")
    assert (clone / where / store.partition(" run/")[0]).resolve() == clone / "examples" / "quickstart" / "store"


@pytest.mark.parametrize("arguments, code", [("--help", 0), ("-h", 0), ("--helpp", 2), ("a --help", 2)])
def test_a_demo_with_arguments_only_says_how_to_call_it(clone, arguments, code):
    done = bash(f"bin/demo {arguments}", clone)
    said, other = (done.stdout, done.stderr) if code == 0 else (done.stderr, done.stdout)
    assert (done.returncode, other) == (code, "") and said.startswith("usage: bin/demo\n") and not (clone / "examples").exists()


@pytest.mark.parametrize("name", ["wrp_cee", "mpirun"])
def test_a_command_of_a_clone_that_has_moved_says_so(clone, tmp_path, name):
    (clone / ".venv" / "wrp.root").write_text(f"{clone}\n")
    (tmp_path / "link").symlink_to(clone)
    assert bash(f"bin/{name}", clone).returncode == bash(f"link/bin/{name}", tmp_path).returncode == 0
    moved = clone.rename(tmp_path / "moved")
    done = bash(f"bin/{name}", moved)
    assert done.returncode == 1 and done.stderr == f"{name}: {moved}/.venv was made when the clone was {clone}; run bin/setup again\n"
    shutil.rmtree(moved / ".venv")
    done = bash(f"bin/{name}", moved)
    assert done.returncode == 1 and done.stderr == f"{name}: not installed in {moved}/.venv; run bin/setup first\n"


@pytest.mark.parametrize("name", ["wrp_cee", "mpirun"])
def test_a_link_to_a_command_is_that_command(clone, tmp_path, name):
    (tmp_path / "mine").symlink_to(clone / "bin" / name)
    assert bash("./mine a", tmp_path).stdout == f"{name} {tmp_path} a\n"


def test_mpirun_without_a_home_has_the_one_of_the_user(clone):
    script(clone / ".venv" / "bin" / "mpirun", '#!/bin/bash\necho "[$HOME]"\n')
    assert bash("env -u HOME bin/mpirun", clone).stdout == f"[{pwd.getpwuid(os.getuid()).pw_dir}]\n"


def test_mpirun_is_the_very_process(clone):
    """So signals reach it, and its exit code and input are the caller's."""
    script(clone / ".venv" / "bin" / "mpirun", '#!/bin/bash\necho "$$ $(cat) $OMPI_MCA_osc"\nexit 37\n')
    with subprocess.Popen([clone / "bin" / "mpirun"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "OMPI_MCA_osc": "mine"}) as process:
        out, _ = process.communicate("input", timeout=60)
    assert out.split() == [str(process.pid), "input", "mine"] and process.returncode == 37


def test_mpirun_keeps_ucx_quiet_where_no_fabric_is(clone):
    script(clone / ".venv" / "bin" / "mpirun", '#!/bin/bash\necho "[$OMPI_MCA_osc]"\n')
    fabric = os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband")
    assert bash("bin/mpirun", clone).stdout.strip() == ("[]" if fabric else "[^ucx]")


@pytest.fixture
def segment(tmp_path):
    """segment(age in s): makes a file in /dev/shm as Open MPI would on a host of our own; `bin` on PATH gives the host its name."""
    host, made = f"test-{os.getpid()}-{time.monotonic_ns()}.somewhere", []
    script(tmp_path / "path" / "uname", f"#!/bin/sh\necho {host}\n")

    def make(age_s):
        path = f"/dev/shm/sm_segment.{host.split('.')[0] if len(made) % 2 else host}.{os.getuid()}.{len(made)}0001.0"
        with open(path, "wb") as file:
            file.truncate(4096)
        os.utime(path, (time.time() - age_s,) * 2)
        made.append(path)
        return path

    make.path = f"{tmp_path / 'path'}:{os.environ['PATH']}"
    yield make
    for path in filter(os.path.exists, made):
        os.unlink(path)


def test_mpirun_removes_what_killed_jobs_left_in_memory(clone, segment):
    dead, dead_too, fresh, used = segment(300), segment(300), segment(1), segment(300)
    with open(used, "r+b") as file, mmap.mmap(file.fileno(), 4096):
        done = bash("bin/mpirun -n 2 x", clone, PATH=segment.path)
        assert (done.returncode, done.stdout.split()[-3:], done.stderr) == (0, ["-n", "2", "x"], "")
        assert [os.path.exists(path) for path in (dead, dead_too, fresh, used)] == [False, False, True, True]
