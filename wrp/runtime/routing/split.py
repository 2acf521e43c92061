"""Splitting a range of containers among neighbours, who split their pieces again. Pure."""


def pieces(first, count, neighborhood):
    """[(first, count)] of at most `neighborhood` (2 or more) pieces, in order: single containers where they are few."""
    most = max(2, neighborhood)
    each = -(-count // most)
    return [(start, min(each, first + count - start)) for start in range(first, first + count, each)]
