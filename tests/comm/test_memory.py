"""Available memory of the machine and of control groups."""
import time

import pytest

from wrp.comm import memory, reserve
from wrp.errors import OutOfSpace

_MIB = 1 << 20


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 8 GiB available, 1 GiB of swap, and this process in the group /job/step without limits."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {8 << 20} kB\nSwapFree: {1 << 20} kB\n")
    (tmp_path / "proc/self/cgroup").write_text("4:cpu:/x\n0::/job/step\n")
    (tmp_path / "groups/job/step").mkdir(parents=True)
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    return tmp_path


def _limit(folder, limit, current, cached, *names):
    limit_name, current_name, prefix = names or ("max", "current", "")
    (folder / f"memory.{limit_name}").write_text(f"{limit}\n")
    (folder / f"memory.{current_name}").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{prefix}inactive_file {cached}\n{prefix}active_file 10\nshmem 7\n")


def test_machine_alone(machine):
    assert memory.available() == 9 << 30


def test_the_tightest_group_counts(machine):
    _limit(machine / "groups/job/step", "max", 5, 5)
    _limit(machine / "groups/job", 1000, 700, 90)
    assert memory.available() == 1000 - 700 + 90 + 10
    _limit(machine / "groups/job/step", 50, 700, 0)
    assert memory.available() == 0


def test_groups_of_version_1(machine):
    (machine / "proc/self/cgroup").write_text("9:cpuset,memory:/job/step\n8:pids:/job\n0::/\n")
    (machine / "groups/memory/job/step").mkdir(parents=True)
    _limit(machine / "groups/memory/job", 1000, 700, 90, "limit_in_bytes", "usage_in_bytes", "total_")
    assert memory.available() == 1000 - 700 + 90 + 10


def test_unknown(machine):
    (machine / "proc/meminfo").unlink()
    (machine / "proc/self/cgroup").unlink()
    assert memory.available() is None


def test_this_machine():
    assert memory.available() is None or memory.available() > 0


def test_reserving_beyond_the_limit_of_the_job_is_refused_and_what_is_backed_needs_nothing(segment, machine):
    segment.reserve(0, 2 * _MIB)
    _limit(machine / "groups/job", 1 << 30, (1 << 30) - _MIB, -10)
    segment.reserve(0, 2 * _MIB)
    time.sleep(reserve._LOOK_S)             # what was seen before doesn't count any more
    with pytest.raises(OutOfSpace, match="no room for 2 MiB more: 1 MiB are free"):
        segment.reserve(2 * _MIB, 2 * _MIB)
    assert reserve._missing(segment.address + 2 * _MIB, 2 * _MIB) == 2 * _MIB
