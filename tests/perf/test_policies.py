"""perf/policies.py, short: the policies differ where they are known to. And the readers of published traces."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PERF = Path(__file__).resolve().parents[2] / "perf"


def run(out, *arguments):
    done = subprocess.run([sys.executable, PERF / "policies.py", "--out", out, *arguments], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_policies_differ_as_known(tmp_path):
    result = run(tmp_path / "r.json", "--accesses", "1500")
    found = result["organizers"]
    assert all(traces["none"]["moved_mib"] == 0 for traces in found.values())
    assert found["loop"]["lru"]["hit_ratio"] < 0.05 < found["loop"]["frecency"]["hit_ratio"]        # a loop is the worst for LRU
    assert found["zipf"]["frecency"]["hit_ratio"] > 2 * found["zipf"]["none"]["hit_ratio"]
    assert found["scan"]["frecency"]["moved_mib"] < found["scan"]["lru"]["moved_mib"] / 3           # one look moves nothing
    assert found["shift"]["lru"]["hit_ratio"] > found["shift"]["frecency"]["hit_ratio"]             # LRU follows at once
    # where putting can evict, a job doesn't wait for the disk
    assert found["checkpoint"]["lru"]["io_s"] < found["checkpoint"]["none"]["io_s"] / 2
    placed = result["placements"]
    assert all(0 <= figures["hit_ratio"] <= 1 and figures["io_s"] > 0 for trace in placed.values() for figures in trace.values())
    assert placed["zipf"]["cost"]["io_s"] < placed["zipf"]["round_robin"]["io_s"]


@pytest.mark.parametrize("name, text, blobs", [
    ("t.csv", "128166372003061629,usr,0,Read,7014609920,24576,41286\n128166372016382155,usr,0,Write,1048000,1024,1963\n", 3),
    ("P1.lis", "100 3 0 1\n101 1 0 2\n", 3),
])
def test_published_traces_are_read(tmp_path, name, text, blobs):
    (tmp_path / name).write_text(text)
    result = run(tmp_path / "r.json", "--trace", tmp_path / name, "--share", "0.9")
    sys.path.insert(0, str(PERF))
    try:
        import traces
    finally:
        sys.path.remove(str(PERF))
    accesses = list(traces.read(tmp_path / name))
    assert len({access.blob for access in accesses}) == blobs
    assert [access.now for access in accesses] == sorted(access.now for access in accesses)
    assert set(result["organizers"]["trace"]) == {"none", "frecency", "lru", "hotset"}
