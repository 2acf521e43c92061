"""A small Gray-Scott reaction-diffusion run that writes what wrp ingests: run.h5, probe.bin, history.csv.

Needs NumPy and h5py only. The same size and seed give the same values on every machine of one kind.
"""

import argparse
import json
import math
import os
import sys
import time

import h5py
import numpy as np

STEPS = 8                 # written to run.h5
ITERATIONS = 25           # computed between two written steps
SIZES_MIB = {"small": 4, "default": 64, "large": 512}
DIFFUSION_U, DIFFUSION_V, FEED, KILL = 0.16, 0.08, 0.035, 0.060

STATISTICS = np.dtype([("step", "<i4"), ("time", "<f8"), ("u", "<f4", (2,)), ("v", "<f4", (2,)), ("label", "S8")])
PEAK = np.dtype([("row", "<u2"), ("column", "<u2"), ("v", "<f8")])


def side_of(nbytes):
    """Cells along one side of the grid, so that a run takes about `nbytes` (25 bytes a cell and step)."""
    return max(24, math.isqrt(nbytes * 7 // 8 // (25 * STEPS)))


def begin(side, rng):
    """u = 1, v = 0 with a few square seeds; two float32 arrays of shape (side, side)."""
    u, v = np.ones((side, side), "f4"), np.zeros((side, side), "f4")
    width = max(4, side // 24)
    for row, column in rng.integers(0, side - width, size=(max(4, side // 24), 2)):
        u[row:row + width, column:column + width] = 0.50
        v[row:row + width, column:column + width] = 0.25
    v += rng.random((side, side), dtype="f4") * np.float32(0.02)
    return u, v


def laplacian(a):
    """Five-point Laplacian with periodic borders."""
    return np.roll(a, 1, 0) + np.roll(a, -1, 0) + np.roll(a, 1, 1) + np.roll(a, -1, 1) - 4 * a


def advance(u, v):
    """One iteration in place."""
    reaction = u * v * v
    u += np.float32(DIFFUSION_U) * laplacian(u) - reaction + np.float32(FEED) * (1 - u)
    v += np.float32(DIFFUSION_V) * laplacian(v) + reaction - np.float32(FEED + KILL) * v


def write_step(file, number, u, v):
    """One group: fields contiguous, chunked and compressed, integers, a small compound table."""
    group = file.create_group(f"step_{number:02d}")
    group.attrs["time"] = float(number * ITERATIONS)
    group.attrs["cells"] = np.array(u.shape, "<i8")
    chunk = (min(128, u.shape[0] // 4),) * 2
    u_set = group.create_dataset("u", data=u.astype("<f8"))
    u_set.attrs["unit"] = "mol/m3"
    group.create_dataset("v", data=v.astype("<f8"), chunks=chunk, fillvalue=-1.0)
    packed = np.round(v, 3).astype("<f4")
    group.create_dataset("v_packed", data=packed, chunks=chunk, compression="gzip", compression_opts=4, shuffle=True)
    group.create_dataset("cells", data=(v * 10000).astype("<i4"))
    group.create_dataset("mask", data=(v > 0.1).astype("u1"), chunks=(chunk[0] // 2, chunk[1]))
    order = np.argsort(v, axis=None, kind="stable")[-10:]
    rows, columns = np.unravel_index(order, v.shape)
    peaks = np.zeros(order.size, PEAK)
    peaks["row"], peaks["column"], peaks["v"] = rows, columns, v[rows, columns]
    group.create_dataset("peaks", data=peaks)


def write_rest(file, side, statistics):
    """What belongs to the whole run: coordinates, statistics, strings, empty datasets, links, attributes."""
    axis = (np.arange(side) + 0.5) / side
    coordinates = file.create_group("coordinates")
    for name in "xy":
        coordinates.create_dataset(name, data=axis).attrs["unit"] = "m"
    file.create_dataset("statistics", data=statistics, chunks=(4,), maxshape=(None,))
    file.create_dataset("big_endian", data=np.arange(100, dtype=">i2"))
    notes = file.create_group("notes")
    notes.create_dataset("fixed", data=np.array([b"feed", b"kill", b"diffusion"], "S12"))
    notes.create_dataset("variable", data=["Gray", "Scott", "réaction–diffusion", ""], dtype=h5py.string_dtype())
    notes.create_dataset("title", data="a Gray-Scott run", dtype=h5py.string_dtype())
    empty = file.create_group("empty")
    empty.create_dataset("null", data=h5py.Empty("<f8"))
    empty.create_dataset("no_rows", shape=(0, 5), dtype="<f4", maxshape=(None, 5))
    file.create_group("empty/group")
    file["latest"] = h5py.SoftLink(f"/step_{STEPS - 1:02d}")
    file.attrs["model"] = "Gray-Scott"
    file.attrs["parameters"] = np.array([DIFFUSION_U, DIFFUSION_V, FEED, KILL])


def run(out, side, probes, seed):
    """Compute, and write the three files into the folder `out`."""
    rng = np.random.default_rng(seed)
    u, v = begin(side, rng)
    where = rng.integers(0, side * side, size=probes)
    statistics = np.zeros(STEPS, STATISTICS)
    with h5py.File(os.path.join(out, "run.h5"), "w") as file, \
            open(os.path.join(out, "probe.bin"), "wb") as probe, \
            open(os.path.join(out, "history.csv"), "w", encoding="ascii") as history:
        history.write("iteration,mean_u,mean_v,max_v\n")
        for number in range(STEPS):
            for iteration in range(number * ITERATIONS, (number + 1) * ITERATIONS):
                advance(u, v)
                v.ravel()[where].tofile(probe)
                history.write(f"{iteration},{u.mean():.6f},{v.mean():.6f},{v.max():.6f}\n")
            write_step(file, number, u, v)
            statistics[number] = (number, iteration, (u.mean(), u.std()), (v.mean(), v.std()), f"step {number}".encode())
        write_rest(file, side, statistics)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Make the quickstart's input: run.h5, probe.bin, history.csv.")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "input"),
                        help="folder to write into (default: input beside this program)")
    parser.add_argument("--size", choices=SIZES_MIB, default="default", help="4, 64 or 512 MiB in all (default: 64)")
    parser.add_argument("--mib", type=int, help="size in MiB instead of --size")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args(arguments)
    nbytes = (SIZES_MIB[args.size] if args.mib is None else args.mib) << 20
    if nbytes <= 0:
        parser.error("--mib must be at least 1")
    made = {"side": side_of(nbytes), "probes": nbytes // 8 // (4 * STEPS * ITERATIONS), "seed": args.seed, "form": 1}
    complete = os.path.join(args.out, "complete")
    if os.path.exists(complete):
        with open(complete, encoding="ascii") as file:
            if file.read() == json.dumps(made):
                print(f"simulate: {args.out} is there already")
                return 0
        os.remove(complete)
    os.makedirs(args.out, exist_ok=True)
    began = time.monotonic()
    run(args.out, made["side"], made["probes"], made["seed"])
    with open(complete, "w", encoding="ascii") as file:
        file.write(json.dumps(made))
    total = sum(os.path.getsize(os.path.join(args.out, name)) for name in ("run.h5", "probe.bin", "history.csv"))
    print(f"simulate: {total / 2**20:.1f} MiB in {args.out} ({STEPS} steps of {made['side']}x{made['side']} cells, "
          f"{time.monotonic() - began:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
