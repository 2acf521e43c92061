"""What `wrp_cee` prints for people: tables, counts, names with control characters escaped. Nothing is written here."""

import time

_WIDEST = 60                # of a column; a longer cell has the rest of its row on the next line


def table(head, rows):
    """Lines: columns as wide as their widest cell, up to a limit; a cell beyond it ends its line."""
    rows = [tuple(visible(str(cell)) for cell in row) for row in rows]
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(head, *rows)]
    return [line for row in [tuple(head), *rows] for line in _row(row, widths)]


def visible(text):
    """The text with every character that can't be printed escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode() for letter in text)


def count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def checksum(value):
    """A crc32 as people compare it."""
    return f"{value:08x}"


def moment(stamp_ns):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp_ns // 10**9))


def _row(cells, widths):
    line, start = "", 0
    for cell, width in zip(cells, widths):
        if line and len(line) + 2 > start:
            yield line
            line = ""
        line = line.ljust(start) + cell
        start += width + 2
    yield line.rstrip()
