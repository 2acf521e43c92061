"""An analysis that reads line by line what the simulation writes, and sums it up. It knows nothing of CAPIO: run alone, after it, it does the same."""

import os
import time


def main():
    folder, begun, first = os.environ.get("CAPIO_DIR", "."), time.monotonic(), None
    highest, turns, before = 0.0, 0, None
    with open(os.path.join(folder, "series.csv"), encoding="ascii") as lines:
        for line in lines:
            first = first or time.monotonic()
            _, angle, speed = map(float, line.split(","))
            highest = max(highest, abs(speed))
            turns += before is not None and before * speed < 0
            before = speed
    with open(os.path.join(folder, "summary.txt"), "w", encoding="ascii") as out:
        print(f"highest speed {highest:.3f} rad/s, {turns} turning points, last angle {angle:.3f}", file=out)
    print(f"analyse: the first line came after {first - begun:.1f} s, the last after {time.monotonic() - begun:.1f} s")


main()
