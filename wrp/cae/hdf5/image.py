"""The image of a file: all its bytes but the raw data of datasets; found as a complement, read as one stream."""

from dataclasses import dataclass

import numpy as np

from wrp.errors import SourceError


def complement(runs, nbytes, path):
    """(offsets, sizes) of what the raw-data `runs`, an (n, 2) array of offset and size, leave of a file of `nbytes`.

    SourceError when the runs overlap or reach beyond the end: then the file is cut short or damaged.
    """
    runs = runs[runs[:, 1] > 0]
    runs = runs[np.argsort(runs[:, 0])]
    starts, stops = runs[:, 0], runs[:, 0] + runs[:, 1]
    if len(runs) and (starts[0] < 0 or stops.max() > nbytes):
        raise SourceError(f"{path}: raw data lies up to byte {stops.max()} but the file has {nbytes} bytes; it was cut short")
    if np.any(starts[1:] < stops[:-1]):
        where = starts[1:][starts[1:] < stops[:-1]][0]
        raise SourceError(f"{path}: two datasets hold the same bytes at {where}; the file is damaged")
    kept_starts, kept_stops = np.concatenate([[0], stops]), np.concatenate([starts, [nbytes]])
    wanted = kept_stops > kept_starts
    return kept_starts[wanted].astype(np.int64), (kept_stops - kept_starts)[wanted].astype(np.int64)


@dataclass(frozen=True, eq=False)
class RunsStream:
    """Byte runs of a file, one after the other."""

    stamp: object
    offsets: np.ndarray
    sizes: np.ndarray

    @property
    def nbytes(self):
        return int(self.sizes.sum())

    def open(self):
        return RunsReader(self)


class RunsReader:
    """Reads each run straight into the caller's buffer."""

    def __init__(self, stream):
        self._stream = stream
        self._starts = np.concatenate([[0], np.cumsum(stream.sizes)])
        self._file = stream.stamp.open()

    def read_into(self, buffer, start):
        stream, view = self._stream, memoryview(buffer).cast("B")
        run = int(np.searchsorted(self._starts, start, side="right")) - 1
        done = 0
        while done < len(view):
            skip = start + done - int(self._starts[run])
            count = min(int(stream.sizes[run]) - skip, len(view) - done)
            self._file.fill(view[done:done + count], int(stream.offsets[run]) + skip)
            done += count
            run += 1

    def close(self):
        self._file.close()


@dataclass(frozen=True)
class FillStream:
    """One element's bytes again and again: a dataset that was never written."""

    element: bytes

    def open(self):
        return FillReader(self.element)


class FillReader:
    def __init__(self, element):
        self._element = element

    def read_into(self, buffer, start):
        if self._element is None:
            raise SourceError("the reader of a dataset's fill value is closed")
        out = np.frombuffer(buffer, np.uint8)
        pattern = np.roll(np.frombuffer(self._element, np.uint8), -(start % len(self._element)))
        whole = len(out) // len(pattern) * len(pattern)
        out[:whole].reshape(-1, len(pattern))[:] = pattern
        out[whole:] = pattern[:len(out) - whole]

    def close(self):
        self._element = None
