"""What the tests read items with: whole streams, and streams in pieces."""

from wrp.cae import registry
from wrp.cae.omni import Transfer


def survey(src, **fields):
    transfer = Transfer(1, src, "iowarp::run", "any", **fields)
    return registry.assimilator(src.partition("::")[0]).survey(transfer)


def whole(item):
    """All bytes of an item, read in one piece."""
    return b"".join(pieces(item, [0, item.nbytes]))


def pieces(item, cuts):
    """The bytes of an item between neighbouring `cuts`, read by one reader in that order."""
    if not item.nbytes:
        return [b""]
    reader = item.open()
    try:
        parts = []
        for start, stop in zip(cuts, cuts[1:]):
            parts.append(bytearray(stop - start))
            reader.read_into(parts[-1], start)
        return parts
    finally:
        reader.close()
