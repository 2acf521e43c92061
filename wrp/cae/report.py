"""The table at the end of a job: what each transfer took in, how fast, and the checksum to compare with."""

import dataclasses

from wrp.cae.url import shown
from wrp.comm.sizes import format_size

_HEAD = ("transfer", "datasets", "bytes", "seconds", "MB/s", "checksum", "tag")


def table(results):
    """Lines for people."""
    rows = [_HEAD] + [(str(result.number), str(result.datasets), format_size(result.nbytes), f"{result.seconds:.2f}",
                       f"{result.mb_per_s:.0f}", result.checksum, result.dst.partition("::")[2]) for result in results]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.rjust(width) if number < 5 else cell.ljust(width)
                      for number, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def record(results, store_folder, error=None):
    """The same as plain lists and dicts, for JSON; seconds rounded to ms, sources without what may be secret."""
    transfers = [{**dataclasses.asdict(result), "src": shown(result.src), "seconds": round(result.seconds, 3), "mb_per_s": round(result.mb_per_s, 1)}
                 for result in results]
    found = {"store": store_folder, "transfers": transfers}
    return found if error is None else {**found, "error": str(error), "exit_code": error.exit_code}
