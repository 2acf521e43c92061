"""Boxes of index space: intersections, rows, covers. Pure; knows no store and no bytes.

A Box has an offset and a shape, tuples of non-negative integers of the array's rank (a scalar has the rank 0 and one element).
"""

from dataclasses import dataclass
from math import prod

from wrp.errors import UsageError


@dataclass(frozen=True, order=True)
class Box:
    """The elements whose index i has offset <= i < offset + shape in every dimension."""

    offset: tuple
    shape: tuple

    @property
    def size(self):
        """Elements."""
        return prod(self.shape)

    @property
    def end(self):
        return tuple(low + count for low, count in zip(self.offset, self.shape))

    def intersection(self, other):
        """The Box of what both have, or None."""
        low = tuple(map(max, self.offset, other.offset))
        high = tuple(map(min, self.end, other.end))
        if any(first >= last for first, last in zip(low, high)):
            return None
        return Box(low, tuple(last - first for first, last in zip(low, high)))

    def within(self, other):
        """Slices of an array that holds `other`, whose elements are those of this Box, which lies in it."""
        return tuple(slice(low - base, low - base + count) for low, base, count in zip(self.offset, other.offset, self.shape))


def whole(shape):
    """The Box of all elements of an array of this shape."""
    return Box((0,) * len(shape), tuple(shape))


def rows(box, nbytes, most):
    """Boxes along the first dimension of more than one element that make up `box`, each of at most `most` bytes where rows allow it.

    nbytes : of one element
    """
    if box.size * nbytes <= most or not any(count > 1 for count in box.shape):
        return [box]
    axis = next(number for number, count in enumerate(box.shape) if count > 1)
    of_row = nbytes * prod(box.shape[axis + 1:])
    step = max(1, most // of_row)
    parts = []
    for start in range(0, box.shape[axis], step):
        count = min(step, box.shape[axis] - start)
        part = Box(_replaced(box.offset, axis, box.offset[axis] + start), _replaced(box.shape, axis, count))
        parts += rows(part, nbytes, most) if count == 1 else [part]
    return parts


def check_cover(boxes, shape, what, hint=""):
    """UsageError unless the boxes, [(owner, Box)], cover an array of this shape, each element once. `what` names the array; `hint`: why boxes may be missing."""
    boxes = [(owner, box) for owner, box in boxes if box.size]
    inside = whole(shape)
    for owner, box in boxes:
        if box.intersection(inside) != box:
            raise UsageError(f"{what}: the block of {owner}, {_text(box)}, lies outside the array of shape {tuple(shape)}")
    for (one, first), (other, second) in _overlapping(boxes):
        raise UsageError(f"{what}: the blocks of {one}, {_text(first)}, and {other}, {_text(second)}, overlap: every element is one rank's")
    missing = inside.size - sum(box.size for _, box in boxes)
    if missing:
        raise UsageError(f"{what}: no rank has a block with {missing} of the {inside.size} elements of the array of shape {tuple(shape)}{hint and '; ' + hint}")


def _overlapping(boxes):
    """Pairs of boxes that share an element. Boxes are compared along the dimension in which they differ most."""
    if not boxes or not boxes[0][1].shape:
        yield from ((one, other) for one, other in zip(boxes, boxes[1:]))
        return
    axis = max(range(len(boxes[0][1].shape)), key=lambda number: len({box.offset[number] for _, box in boxes}))
    ordered, under_way = sorted(boxes, key=lambda pair: pair[1].offset[axis]), []
    for pair in ordered:
        under_way = [other for other in under_way if other[1].end[axis] > pair[1].offset[axis]]
        yield from ((other, pair) for other in under_way if other[1].intersection(pair[1]))
        under_way.append(pair)


def _replaced(values, axis, value):
    return values[:axis] + (value,) + values[axis + 1:]


def _text(box):
    return "[" + ", ".join(f"{low}:{high}" for low, high in zip(box.offset, box.end)) + "]"
