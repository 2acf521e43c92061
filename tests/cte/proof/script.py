"""What the proofs share as scripts: their options, a folder, and what is said at the end."""

import argparse
import random
import shutil
import sys
import tempfile
import time


def main(text, proof):
    """Run `proof(root, made, minutes)`, which gives the sentence to print. `text`: of the help; `made`: a random.Random of the seed.

    The folder goes away at the end, or is named when an assertion failed.
    """
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--seed", type=int, default=None, help="of everything random (default: of the clock)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else time.time_ns() % (1 << 30)
    root = tempfile.mkdtemp(prefix="wrp-proof-")
    try:
        print(f"seed {seed}: {proof(root, random.Random(seed), options.minutes)}")
    except AssertionError:
        print(f"seed {seed} fails; what it left is in {root}", file=sys.stderr)
        raise
    shutil.rmtree(root)


def until(minutes):
    """True again and again until so many minutes have passed."""
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        yield True
