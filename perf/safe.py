"""A safe device of 4 + 2 files against the same bytes in one file device, and against what its encoding, checksums and bytes take by themselves. Contenders take turns.

    python perf/safe.py [--mib 256] [--seconds 2] [--folder DIR] [--out FILE]
"""

import argparse
import os
import statistics
import tempfile
import time

import numpy as np

from timing import in_turns, setting, write
from wrp.comm.checksum import crc32
from wrp.comm.ranks.solo import Solo
from wrp.runtime.config import load
from wrp.runtime.devices import address
from wrp.runtime.devices.safe.galois import factors, multiply
from wrp.runtime.devices.safe.layout import CHUNK
from wrp.runtime.runtime import Runtime

MIB = 1 << 20
DATA, PARITY = 4, 2
CALL = 4 * MIB                  # a zone: 16 rows
PART = 4096


def measure(folder, nbytes, seconds):
    """{row: its value, and its bar where there is one}: speeds as parts of the plain file's, whose MiB/s stand beside them."""
    members = [os.path.join(folder, f"member{number}") for number in range(DATA + PARITY)]
    data, out = np.random.default_rng(1).integers(0, 256, CALL, np.uint8), bytearray(CALL)
    part, piece, at = data[:PART], memoryview(out)[:PART], 77 * PART
    parity, rows = np.empty((PARITY, CALL // CHUNK // DATA, CHUNK), np.uint8), data.reshape(-1, DATA, CHUNK)
    with Runtime(Solo(), load(None, {})) as runtime:
        safe = runtime.device("safe", "safe", 2 * nbytes, address(members, PARITY), persistence="temporary")
        plain = runtime.device("plain", "file", 2 * nbytes, os.path.join(folder, "plain"), persistence="temporary")
        leases = {safe: safe.lease(nbytes), plain: plain.lease(nbytes)}
        new = {device: [] for device in leases}
        for place in range(0, nbytes, CALL):
            for device, times in new.items():
                start = time.perf_counter()
                device.write(leases[device] + place, data)
                times.append(time.perf_counter() - start)
        ours, theirs = leases.values()
        taken = in_turns({
            "over, plain": lambda: plain.write(theirs, data), "over, safe": lambda: safe.write(ours, data),
            "read, plain": lambda: plain.read(theirs, out), "read, safe": lambda: safe.read(ours, out),
            "part, plain": lambda: plain.write(theirs + at, part), "part, safe": lambda: safe.write(ours + at, part),
            "read part, plain": lambda: plain.read(theirs + at, piece), "read part, safe": lambda: safe.read(ours + at, piece),
            "encoding": lambda: multiply(factors(DATA, PARITY), rows, parity),
            "checksums": lambda: [crc32(chunk) for chunk in (*rows.reshape(-1, CHUNK), *parity.reshape(-1, CHUNK))]}, seconds)
    fresh, file = (statistics.median(new[device]) for device in (safe, plain))
    least = taken["encoding"] + taken["checksums"] + file * (DATA + PARITY) / DATA
    share = DATA / (DATA + PARITY)
    return {"write of whole rows where nobody has written / plain": _row(file, fresh, CALL, share),
            "encoding, checksums and plain writes of data and parity / write": {"value": round(least / fresh, 3)},
            "write over whole rows / plain": _row(taken["over, plain"], taken["over, safe"], CALL),
            "read / plain": _row(taken["read, plain"], taken["read, safe"], CALL, 0.7),
            "write of 4 KiB / plain": _row(taken["part, plain"], taken["part, safe"], PART),
            "read of 4 KiB / plain": _row(taken["read part, plain"], taken["read part, safe"], PART),
            "encoding, MiB/s of data": round(CALL / MIB / taken["encoding"]), "checksums, MiB/s": round(CALL * (DATA + PARITY) / DATA / MIB / taken["checksums"])}


def _row(plain, safe, nbytes, least=None):
    found = {"value": round(plain / safe, 3), "plain_mib_per_s": round(nbytes / MIB / plain), "mib_per_s": round(nbytes / MIB / safe)}
    return found if least is None else {**found, "at_least": round(least, 3), "met": plain / safe >= least}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--folder")
    parser.add_argument("--out")
    options = parser.parse_args()
    measured = setting()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result = {"setting": measured, "safe": measure(folder, options.mib * MIB, options.seconds)}
    write(options.out, result)


if __name__ == "__main__":
    main()
