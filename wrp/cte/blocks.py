"""Blocks of ram for small blobs: pages of 64 KiB leased from the node's ram device, each cut into blocks of one size, shared by all ranks.

Taking and giving back are a few instructions whatever is stored, by whichever rank. Where pages come from and go to is in tiers/space.py.
"""

from collections import deque

import numpy as np

from wrp.comm import lock
from wrp.comm.atomics import add, clear, load, lowest_bit, store
from wrp.comm.jit import direct, kernel
from wrp.comm.refusals import let_out
from wrp.errors import OutOfSpace, WrpError

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
def _take_noted(at, nbytes, note):
    """As `blocks_take`, with what that gives in a word, where it is found whatever comes behind this kernel. With the token."""
    offset = blocks_take(at, nbytes)
    store(note, offset)
    return offset


@kernel
def _has(at, offset):
    """True when the offset is in a page of ours."""
    number = offset // PAGE
    return number < load(at + _PAGES) and load(_page(at, number) + _BLOCK) != 0


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
def _add_pages(at, first, count, nbytes):
    """Pages become ours, for blocks of `nbytes`. With the token."""
    for number in range(first, first + count):
        _add_page(at, number, nbytes)


@kernel
def _add_page(at, number, nbytes):
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
    """Pages without a block in use aren't ours any more: their numbers are in `out` (int64), which it may fill, before -1. With the token."""
    count = 0
    out[0] = -1
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
                if count < len(out):
                    out[count] = -1
            number = after


class Blocks:
    """The tables at an address, and the device that pages come from. Any thread of any rank of the node may use it."""

    def __init__(self, at, device, timeout_s):
        self.at, self.unused_at = at, at + _UNUSED
        self._device = device
        self._load, self._take, self._give, self._add = direct(load, 1), direct(_take_noted, 3), direct(blocks_give, 2), direct(_add_pages, 4)
        self._has = direct(_has, 2)
        word = np.zeros(1, np.int64)    # what was taken last, with the token
        self._taken, self._taken_at = memoryview(word), word.ctypes.data
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
    def is_own(self):
        """True when this thread is in the middle of a call that the others wait for."""
        return self._token.is_own

    @property
    def unused(self):
        """Bytes of the pages that no block in use takes."""
        return self._load(self.unused_at)

    def take(self, nbytes):
        """Offset of a block. Raises OutOfSpace when the device has no page for it."""
        offset = NONE
        while offset < 0:
            try:
                with self._held():
                    self._give_late()
                    self._taken[0] = NONE
                    try:
                        self._take(self.at, nbytes, self._taken_at)
                    finally:
                        offset = self._taken[0]
            except BaseException:       # a handler's of a signal
                if offset >= 0:
                    self.give(offset)
                raise
            if offset < 0:
                self.grow(nbytes)
        return offset

    def grow(self, nbytes, count=1):
        """Get pages for `count` blocks of `nbytes`, at most 4 MiB of them; fewer where the device is nearly full. Raises OutOfSpace."""
        pages, held = max(1, min(-(-count * block_of(class_for(nbytes)) // PAGE), _GROWTH // PAGE)), []
        try:
            try:
                self._lease_pages(pages, held)
            except OutOfSpace as error:
                let_out(error)
                if pages == 1:
                    raise
                self._lease_pages(1, held)
            with self._held():
                first, pages = held[0][0] // PAGE, held[0][1] // PAGE
                # no calls from here to the kernel
                del held[0]
                self._add(self.at, first, pages, nbytes)
        except BaseException:
            self._return(held)
            raise

    def _lease_pages(self, count, held):
        """Lease `count` pages of the device: (offset, nbytes) of them is in `held`; a page begins at a multiple of its size."""
        nbytes = count * PAGE
        offset = self._device.lease(nbytes)
        held += (offset, nbytes),
        if offset % PAGE:
            self._return(held)
            first = self._device.lease(nbytes + PAGE)
            offset = -(-first // PAGE) * PAGE
            held += (offset, nbytes), (first, offset - first), (offset + nbytes, first + PAGE - offset)
            while len(held) > 1:
                self._device.give_back(*held[-1], held)

    def _return(self, held):
        """Give [(offset, nbytes)] back to the device; the list is empty then."""
        while held:
            self._device.give_back(*held[-1], held)

    def give(self, offset, held=()):
        """Make a block free; False when the offset is in no page of ours. Raises WrpError when it is free already.

        held : a list whose last goes when it is free, or is with the next call: a handler of a signal may raise an error before, or after
        Never refused: what a handler of a signal gives back in the middle of another call is free with the next one.
        """
        # whose the page is doesn't change as long as something in it is in use
        if not self._has(self.at, offset):
            return False
        late = offset,
        if self._token.is_own:
            # no calls in between
            if held:
                del held[-1]
            self._late += late
            return True
        with self._held():
            self._give_late()
            # no calls from here to the kernel
            if held:
                del held[-1]
            code = self._give(self.at, offset)
        if code == DOUBLE:
            raise WrpError(f"the block at {offset} of the node's ram can't be given back: it is free already")
        return True

    def _give_late(self):
        while self._late:
            offset = self._late[0]
            # no calls in between
            del self._late[0]
            self._give(self.at, offset)

    def shrink(self):
        """Give empty pages back to the device; True when there were some."""
        pages, found = np.empty(_SHRUNK, np.int64), False
        while True:
            pages[0], held = -1, None
            try:
                with self._held():
                    self._give_late()
                    _pop_empty(self.at, pages)
                held = _listed(pages)
                count = len(held)
                self._return(held)
            except BaseException:
                self._return(_listed(pages) if held is None else held)
                raise
            found = found or count > 0
            if count < _SHRUNK:
                return found


def _listed(pages):
    """[(offset, nbytes)] of pages, whose numbers -1 ends."""
    numbers = pages.tolist()
    return [(number * PAGE, PAGE) for number in numbers[:numbers.index(-1) if -1 in numbers else None]]
