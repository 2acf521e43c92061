"""Random workflows with real processes for as long as asked: `python tests/capio/long_flows.py --minutes 30 [--seed N]`. Prints what failed."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from capio.flows import flow  # noqa: E402
from capio.playing import Play, leftovers  # noqa: E402
from capio.rules.model import Model  # noqa: E402
from harness import leaks  # noqa: E402
from wrp.capio import language  # noqa: E402
from wrp.capio.language import graph  # noqa: E402
from wrp.errors import WrpError  # noqa: E402


def play(seed, folder):
    """One workflow of a seed: a third each undisturbed, with killed processes, with a killed server. Returns the readings compared."""
    kind = seed % 3
    found = flow(seed, can_fail=kind == 1 and seed % 2 == 1)
    try:
        graph.refuse_stuck(language.parse(found.document, "/d"))
    except WrpError:
        return 0                # the server doesn't take it
    played = Play(folder, found, kills=kind == 1 and 1 + seed % 3, server=kind == 2, within_s=0.05 * (1 + seed % 10))
    compared = played.check()
    if kind == 0:
        assert bool(Model(found).run().failures) == bool(played.failures()), (seed, played.told, played.served.log())
    assert not leftovers(played), (seed, leftovers(played))
    return compared


def flows(args):
    seed, compared, failed, end = args.seed, 0, 0, time.monotonic() + 60 * args.minutes
    while time.monotonic() < end:
        folder = Path(tempfile.mkdtemp(prefix="wrp-flows-"))
        try:
            compared += play(seed, folder / "play")
        except AssertionError as error:
            failed += 1
            print(f"seed {seed}: {error}", flush=True)
        finally:
            shutil.rmtree(folder)
        seed += 1
    print(f"{seed - args.seed} workflows, {compared} readings compared, {failed} failed")
    return bool(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with leaks.own_folder():
        return flows(args)


if __name__ == "__main__":
    sys.exit(main())
