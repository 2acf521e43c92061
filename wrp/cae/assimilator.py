"""The contract of assimilators: what a survey says about a source, and how its bytes are read afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Reader(Protocol):
    """An opened byte stream; belongs to one rank.

    One whose bytes lie in a file as they are may also have `whereabouts(start)`: (descriptor, offset in the file) of the bytes from `start`
    to the stream's end, or None. Then what the page cache has is taken from there, and `read_into` is asked for the rest. And it may have
    `expect([(start, nbytes)])`: these ranges are what `read_into` will be asked for next, in this order.
    """

    def read_into(self, buffer, start):
        """Fill the whole writable `buffer` with the stream's bytes from `start`; SourceError when they can't be had."""

    def close(self):
        """Idempotent."""


class Stream(Protocol):
    """Where an item's bytes come from: picklable, so that any rank can open it."""

    def open(self) -> Reader:
        """Local. SourceMissing or SourceError when the source is gone or is another one than surveyed."""


@dataclass(frozen=True)
class Item:
    """One byte stream that becomes `chunk_0`, `chunk_1`, … of `blob_nbytes` each (the last shorter) under `tag`."""

    tag: str
    description: str                # "": none is put
    nbytes: int                     # of the stream; 0: the description is all there is
    blob_nbytes: int
    cost: int                       # bytes to read and decode, for balancing
    stream: Stream = None
    extras: tuple = ()              # further blobs of the tag: (name, bytes)
    is_dataset: bool = True         # False: it only belongs to others, as an image of their file
    names: Callable = None          # picklable: the name of a blob by its number, instead of chunk_N

    @property
    def blobs(self):
        """How many chunks there are."""
        return -(-self.nbytes // self.blob_nbytes)

    def name(self, blob):
        """Of one blob."""
        return self.names(blob) if self.names else f"chunk_{blob}"

    def extent(self, blob):
        """(start, nbytes) of one chunk in the stream."""
        start = blob * self.blob_nbytes
        return start, min(self.blob_nbytes, self.nbytes - start)

    def open(self):
        """Local: a `Reader` over the stream."""
        return self.stream.open()


@dataclass(frozen=True)
class Survey:
    """What one transfer takes in: picklable. `context` is the tag named by the transfer's destination."""

    context: str
    items: tuple
    notes: tuple = ()               # sentences for the user
    removed_tags: tuple = ()        # tags of an earlier survey that are gone now
    sources: tuple = ()             # a `source.Stamp` for each file, to notice a change while it is read
    replaces: bool = True           # False: the tags keep the other blobs that they have

    @property
    def nbytes(self):
        return sum(item.nbytes for item in self.items)


class Assimilator(Protocol):
    """Takes in one kind of source."""

    def survey(self, transfer) -> Survey:
        """Rank 0 only; reads metadata only. SourceMissing, SourceError, RangeError or NothingMatched."""
