"""What the steps of perf/capio.py's workflow run: programs of the standard library that know nothing of capio.

    capio_program.py write PATH NBYTES BUSY_S | read PATH NBYTES BUSY_S | hold PATH NBYTES | fill FOLDER COUNT NBYTES | drain FOLDER COUNT NBYTES

BUSY_S: processor seconds of computing, spread over the blocks. `hold` writes and closes when its standard input ends.
"""

import os
import sys
import time

BLOCK = 1 << 20


def compute(seconds):
    until = time.thread_time() + seconds
    while seconds and time.thread_time() < until:
        pass


def write(path, nbytes, busy_s):
    block, count = bytes(BLOCK), nbytes // BLOCK
    with open(path, "wb", buffering=0) as file:
        for _ in range(count):
            compute(busy_s / count)
            file.write(block)


def read(path, nbytes, busy_s):
    block, found = bytearray(BLOCK), 0
    with open(path, "rb", buffering=0) as file:
        while got := file.readinto(block):
            found += got
            compute(busy_s * got / nbytes)
    check(found == nbytes, f"{found} bytes of {nbytes} in {path}")


def hold(path, nbytes):
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(nbytes))
        sys.stdin.read()


def fill(folder, count, nbytes):
    """Many small files, each under its own name from the start."""
    data = bytes(nbytes)
    os.makedirs(folder, exist_ok=True)
    for number in range(count):
        with open(f"{folder}/{number}", "wb", buffering=0) as file:
            file.write(data)


def drain(folder, count, nbytes):
    """Read every file as it comes up in the folder."""
    found = read_nbytes = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with open(entry.path, "rb", buffering=0) as file:
                read_nbytes += len(file.read())
            found += 1
    check(found == count and read_nbytes == count * nbytes, f"{found} files of {count} in {folder}, {read_nbytes} bytes of {count * nbytes}")


def check(is_right, sentence):
    if not is_right:
        raise SystemExit(sentence)


if __name__ == "__main__":
    name, path, *numbers = sys.argv[1:]
    {"write": write, "read": read, "hold": hold, "fill": fill, "drain": drain}[name](path, *(float(n) if "." in n else int(n) for n in numbers))
