"""Blocks of ram for small blobs: pages of 64 KiB leased from the node's ram device, each cut into blocks of one size, shared by all ranks.

Taking and giving back are a few instructions whatever is stored, by whichever rank. Where pages come from and go to is in tiers/space.py.
"""

from collections import deque

import numpy as np

from wrp.comm import lock
from wrp.comm.atomics import add, clear, load, lowest_bit, store
from wrp.comm.jit import direct, kernel
from wrp.errors import OutOfSpace, UsageError, WrpError

PAGE = 64 << 10
LARGEST = 16 << 10              # of a block
_SMALLEST = 128
_CLASSES = 15
_GROWTH = 4 << 20              # pages are leased in such steps at most
_SHRUNK = 1024                  # pages that go back to the device at once

# header
_TOKEN = 0
_PAGES = 64                     # pages that the device may have
_UNUSED = 72                    # bytes of our pages in no block in use
_PARTIAL = 128                  # per size: first page with a free block, its number + 1
_HEADER = 512

# a page's words
_BLOCK = 0                      # bytes of a block; 0: the page isn't ours
_COUNT, _USED = 8, 16
_NEXT, _BEFORE = 24, 32         # pages of the same size with free blocks, number + 1
_CLASS = 40
_BITS = 64                      # one for each block, 1: in use
_ENTRY = 128
_WORDS = (_ENTRY - _BITS) // 8

NONE, NOT_OURS, DOUBLE = -1, -2, -3


def blocks_nbytes(capacity):
    """Bytes of the tables for a device of so many bytes."""
    return _HEADER + _ENTRY * (-(-capacity // PAGE))


@kernel
def block_of(number):
    """Bytes of a block of size class `number`: 128, 192, 256, 384, 512, …"""
    return (_SMALLEST if number % 2 == 0 else _SMALLEST * 3 // 2) << (number // 2)


@kernel
def class_for(nbytes):
    number = 0
    while block_of(number) < nbytes:
        number += 1
    return number


@kernel
def _page(at, number):
    return at + _HEADER + number * _ENTRY


@kernel
def _link(at, number):
    page = _page(at, number)
    head = at + _PARTIAL + 8 * load(page + _CLASS)
    first = load(head)
    store(page + _NEXT, first)
    store(page + _BEFORE, 0)
    if first != 0:
        store(_page(at, first - 1) + _BEFORE, number + 1)
    store(head, number + 1)


@kernel
def _unlink(at, number):
    page = _page(at, number)
    after, before = load(page + _NEXT), load(page + _BEFORE)
    if before != 0:
        store(_page(at, before - 1) + _NEXT, after)
    else:
        store(at + _PARTIAL + 8 * load(page + _CLASS), after)
    if after != 0:
        store(_page(at, after - 1) + _BEFORE, before)


@kernel
def blocks_take(at, nbytes):
    """Offset of a block of at least `nbytes` bytes, or NONE when no page of that size has one free. With the token."""
    head = load(at + _PARTIAL + 8 * class_for(nbytes))
    if head == 0:
        return NONE
    page = _page(at, head - 1)
    word = page + _BITS
    while load(word) == -1:
        word += 8
    bit = lowest_bit(~load(word))
    store(word, load(word) | 1 << bit)
    used = load(page + _USED) + 1
    store(page + _USED, used)
    add(at + _UNUSED, -load(page + _BLOCK))
    if used == load(page + _COUNT):
        _unlink(at, head - 1)
    return (head - 1) * PAGE + ((word - page - _BITS) * 8 + bit) * load(page + _BLOCK)


@kernel
def blocks_give(at, offset):
    """Make a block free: 0, NOT_OURS or DOUBLE. Its page stays ours, empty or not. With the token."""
    number = offset // PAGE
    if number >= load(at + _PAGES):
        return NOT_OURS
    page = _page(at, number)
    block = load(page + _BLOCK)
    if block == 0:
        return NOT_OURS
    index = (offset - number * PAGE) // block
    word = page + _BITS + index // 64 * 8
    mask = 1 << index % 64
    if load(word) & mask == 0:
        return DOUBLE
    store(word, load(word) & ~mask)
    used = load(page + _USED) - 1
    store(page + _USED, used)
    add(at + _UNUSED, block)
    if used == load(page + _COUNT) - 1:
        _link(at, number)
    return 0


@kernel
def _add_page(at, number, nbytes):
    """A page becomes ours, for blocks of `nbytes`. With the token."""
    page = _page(at, number)
    kind = class_for(nbytes)
    count = PAGE // block_of(kind)
    clear(page, _ENTRY)
    store(page + _CLASS, kind)
    store(page + _COUNT, count)
    for index in range(count, 64 * _WORDS):
        word = page + _BITS + index // 64 * 8
        store(word, load(word) | 1 << index % 64)
    store(page + _BLOCK, block_of(kind))
    add(at + _UNUSED, PAGE)
    _link(at, number)


@kernel
def _pop_empty(at, out):
    """Pages without a block in use aren't ours any more: how many of their numbers are in `out` (int64), which it may fill. With the token."""
    count = 0
    for kind in range(_CLASSES):
        number = load(at + _PARTIAL + 8 * kind)
        while number != 0 and count < len(out):
            page = _page(at, number - 1)
            after = load(page + _NEXT)
            if load(page + _USED) == 0:
                _unlink(at, number - 1)
                store(page + _BLOCK, 0)
                add(at + _UNUSED, -PAGE)
                out[count] = number - 1
                count += 1
            number = after
    return count


class Blocks:
    """The tables at an address, and the device that pages come from. Any thread of any rank of the node may use it."""

    def __init__(self, at, device, timeout_s):
        self.at, self.unused_at = at, at + _UNUSED
        self._device = device
        self._load = direct(load, 1)
        self._token = lock.Token(at + _TOKEN, "the blocks of the node's ram")
        self._timeout_s = timeout_s
        self._late = deque()            # offsets given back by a handler of a signal while its thread had the token

    @staticmethod
    def format(at, capacity):
        """Make empty tables in zeroed memory."""
        store(at + _PAGES, -(-capacity // PAGE))

    def _held(self):
        return self._token.held(None, self._timeout_s)

    @property
    def unused(self):
        """Bytes of the pages that no block in use takes."""
        return self._load(self.unused_at)

    def take(self, nbytes):
        """Offset of a block. Raises OutOfSpace when the device has no page for it."""
        while True:
            with self._held():
                self._give_late()
                offset = blocks_take(self.at, nbytes)
            if offset >= 0:
                return offset
            self.grow(nbytes)

    def grow(self, nbytes, count=1):
        """Get pages for `count` blocks of `nbytes`, at most 4 MiB of them; fewer where the device is nearly full. Raises OutOfSpace."""
        pages = max(1, min(-(-count * block_of(class_for(nbytes)) // PAGE), _GROWTH // PAGE))
        try:
            first = self._lease_pages(pages)
        except OutOfSpace:
            if pages == 1:
                raise
            pages, first = 1, self._lease_pages(1)
        with self._held():
            for number in range(first, first + pages):
                _add_page(self.at, number, nbytes)

    def _lease_pages(self, count):
        """Number of the first of `count` pages of the device, leased; a page begins at a multiple of its size."""
        nbytes = count * PAGE
        offset = self._device.lease(nbytes)
        if offset % PAGE:
            self._device.give_back(offset, nbytes)
            first = self._device.lease(nbytes + PAGE)
            offset = -(-first // PAGE) * PAGE
            for start, end in ((first, offset), (offset + nbytes, first + nbytes + PAGE)):
                if end > start:
                    self._device.give_back(start, end - start)
        return offset // PAGE

    def give(self, offset):
        """Make a block free; False when the offset is in no page of ours. Raises WrpError when it is free already.

        Never refused: what a handler of a signal gives back in the middle of another call is free with the next one.
        """
        try:
            with self._held():
                self._give_late()
                code = blocks_give(self.at, offset)
        except UsageError:
            # this thread has the token; whose the page is doesn't change as long as something in it is in use
            ours = load(self.at + _HEADER + offset // PAGE * _ENTRY + _BLOCK) != 0
            if ours:
                self._late.append(offset)
            return ours
        if code == DOUBLE:
            raise WrpError(f"the block at {offset} of the node's ram can't be given back: it is free already")
        return code != NOT_OURS

    def _give_late(self):
        while self._late:
            blocks_give(self.at, self._late.popleft())

    def shrink(self):
        """Give empty pages back to the device; True when there were some."""
        pages, found = np.empty(_SHRUNK, np.int64), False
        while True:
            with self._held():
                self._give_late()
                count = _pop_empty(self.at, pages)
            for number in pages[:count].tolist():
                self._device.give_back(number * PAGE, PAGE)
            found = found or count > 0
            if count < _SHRUNK:
                return found
