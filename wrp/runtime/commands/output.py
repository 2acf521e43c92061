"""How the commands print: JSON or lines, and tables as wide as their cells."""

import json

from wrp.comm.command import say


def show(answer, lines, as_json):
    """Print the answer. WrpError when it can't be written."""
    say(json.dumps(answer, indent=1) if as_json else "\n".join(lines))


def table(head, rows):
    """Lines of columns as wide as their widest cell."""
    rows = [tuple(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows]]
