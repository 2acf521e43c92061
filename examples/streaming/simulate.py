"""A simulation that writes lines after each step: a damped pendulum. It knows nothing of CAPIO; without CAPIO_DIR it writes here."""

import math
import os
import time

STEPS, PER_STEP = 40, 250


def main():
    angle, speed, dt = 2.5, 0.0, 0.001
    with open(os.path.join(os.environ.get("CAPIO_DIR", "."), "series.csv"), "w", encoding="ascii") as out:
        for step in range(STEPS):
            for number in range(PER_STEP):
                speed -= (9.81 * math.sin(angle) + 0.3 * speed) * dt
                angle += speed * dt
                print(f"{(step * PER_STEP + number) * dt:.3f},{angle:.6f},{speed:.6f}", file=out)
            out.flush()
            time.sleep(0.02)            # the rest of a real step's work


main()
