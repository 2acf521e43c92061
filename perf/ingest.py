"""How fast HDF5 files come in, against h5py and against a plain read and copy, for several numbers of ranks.

    python perf/ingest.py [--mib 1024] [--ranks 1,2,4] [--rounds 3] [--out FILE]

Makes two files (contiguous, and gzip+shuffle chunks), reads them once so that they are in the page cache, then starts `mpirun -n N python
perf/ingest_job.py` for every N, which measures all contenders in turns inside one job, and measures the start-up of `wrp_cae_omni` too.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

import limits
from timing import setting, summary, write

HERE = os.path.dirname(os.path.abspath(__file__))
GZIP_SHARE = 4                  # the compressed file holds this fraction of the bytes


def make_files(folder, mib):
    """A contiguous and a gzip+shuffle file; float64 fields of a random walk in float32 precision, as simulations write."""
    rng = np.random.default_rng(0)
    columns = 1 << 10
    rows = mib * (1 << 20) // 8 // columns
    with h5py.File(os.path.join(folder, "contiguous.h5"), "w") as file:
        field = file.create_dataset("field", (rows, columns), "f8")
        block = rng.normal(size=(1 << 12, columns))
        for start in range(0, rows, len(block)):
            field[start:start + len(block)] = block[:rows - start]
    rows //= GZIP_SHARE
    with h5py.File(os.path.join(folder, "gzip.h5"), "w") as file:
        field = file.create_dataset("field", (rows, columns), "f8", chunks=(128, columns), compression="gzip", shuffle=True)
        for start in range(0, rows, 1024):
            steps = rng.normal(size=(min(1024, rows - start), columns)).cumsum(axis=1)
            field[start:start + 1024] = steps.astype("f4")
    for name in ("contiguous.h5", "gzip.h5"):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def environment():
    """Open MPI may run as root and beyond the number of cores here."""
    extra = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "PRTE_MCA_hwloc_default_binding_policy": "none"}
    if os.geteuid() == 0:
        extra |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **extra}


def mpirun(count, *command):
    beside = os.path.join(os.path.dirname(sys.executable), "mpirun")
    launcher = beside if os.path.exists(beside) else shutil.which("mpirun")
    return subprocess.run([launcher, "-n", str(count), sys.executable, *command], env=environment(), check=True, timeout=1800,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def measure(folder, count, rounds):
    """The JSON of one job of `count` ranks."""
    out = os.path.join(folder, f"job-{count}.json")
    mpirun(count, os.path.join(HERE, "ingest_job.py"), folder, str(rounds), out)
    with open(out, encoding="utf-8") as file:
        return json.load(file)


def start_up(folder, count, rounds):
    """Wall seconds of a whole `wrp_cae_omni` job over a file of 1 KiB, kernels cached."""
    with open(os.path.join(folder, "tiny.bin"), "wb") as file:
        file.write(bytes(1024))
    jobs = os.path.join(folder, "tiny.yaml")
    with open(jobs, "w", encoding="utf-8") as file:
        file.write(f"transfers:\n  - {{src: 'file::{folder}/tiny.bin', dst: 'iowarp::tiny', format: binary}}\n")
    taken = []
    for _ in range(rounds + 1):
        store = os.path.join(folder, "tiny-store")
        start = time.perf_counter()
        mpirun(count, "-m", "wrp.cae.cli", "--quiet", "--store", store, jobs)
        taken.append(time.perf_counter() - start)
        shutil.rmtree(store)
    return summary(taken[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=int, default=1024, help="size of the contiguous file in MiB (default 1024)")
    parser.add_argument("--ranks", default="1,2,4", help="numbers of ranks (default 1,2,4)")
    parser.add_argument("--start-ranks", default="1,2,4,8", help="numbers of ranks for the start-up (default 1,2,4,8)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every contender (default 3)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    result = {"setting": setting(), "mib": arguments.mib, "limits": limits.measure(), "jobs": {}, "start_up": {}}
    with tempfile.TemporaryDirectory(prefix="wrp-perf-") as folder:
        make_files(folder, arguments.mib)
        for count in map(int, arguments.ranks.split(",")):
            result["jobs"][f"{count} ranks"] = measure(folder, count, arguments.rounds)
        for count in map(int, arguments.start_ranks.split(",")):
            result["start_up"][f"{count} ranks"] = start_up(folder, count, arguments.rounds)
    write(arguments.out, result)


if __name__ == "__main__":
    main()
