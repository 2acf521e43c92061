"""Blobs written to their places in a file, by all ranks. The file is there, with room for them."""

from wrp.cee.writing import opened_to_write, told
from wrp.comm.lasting import write_all

_PIECE = 8 << 20


def fill(store, places, path, ranks):
    """Write the blobs of `places`, [(offset, tag, blob, size)], the same on every rank: each its share of the bytes, neighbours. Collective."""
    ranks.barrier("export begins")
    total, before = sum(size for *_, size in places), 0
    with ranks.agreed(f"write {path}"), told(path), opened_to_write(path) as descriptor:
        for offset, tag, blob, size in places:
            if size and before * ranks.size // total == ranks.rank:
                for start, piece in pieces_of(store, tag, blob, size):
                    write_all(descriptor, piece, offset + start)
                    ranks.tick()
            before += size


def pieces_of(store, tag, blob, size):
    """(start, bytes) of a blob in pieces of at most 8 MiB, each checked by the store."""
    for start in range(0, size, _PIECE):
        yield start, store.get(tag, blob, start, min(_PIECE, size - start))
