"""Space of a node's targets: leased where the policy wants it, given back. Whose it is knows the caller."""

import time

from wrp.comm.refusals import let_out
from wrp.comm.sizes import format_size
from wrp.cte.blocks import LARGEST
from wrp.cte.placement.contract import LONG_TERM
from wrp.cte.records import RAM
from wrp.cte.targets import Wish
from wrp.cte.targets.wanted import LEVELS
from wrp.cte.telemetry.counters import COUNTED_FILES
from wrp.cte.tiers.content import named
from wrp.errors import OutOfSpace, StoreError

PIECE = 4 << 20                 # an extent is at most this long
_REMEMBERED_S = 0.05            # a refusal of the ram, from which blobs may go that nobody tells of


class Space:
    """See tiers.Tiers."""

    def lease(self, nbytes, durable, wish=Wish(), whole=0, blob=None):
        """(target, offset) of new space where the policy wants it, or on the next target that has room; on one in files when it must be durable.

        whole, blob : bytes of which these are a piece, and their blob's name, for the sentence
        Raises OutOfSpace naming every target that has no room.
        """
        is_full = self.is_full(nbytes)
        if not is_full and not durable and wish.wants_any and self.placing.ram_first(nbytes, wish.score, exact=True) and self.ram.has_room(nbytes):
            try:
                return RAM, self._lease_ram(nbytes)
            except OutOfSpace as error:
                let_out(error)
                pass                # the list says what is next, and who is to make room
        refused = {}
        for target in self._order(nbytes, wish, durable, is_full):
            if (offset := self._tried(target, nbytes, refused)) is not None:
                return target, offset
        refusals = [refused[target] for target in sorted(refused)]
        lost = [f"target {self.said(number)!r} is lost for now: {why}" for number, why in self._lost.items()]
        if lost and not refusals:
            raise StoreError(f"{self.where}: these bytes can't be written now: " + "; ".join(lost))
        refusals += lost
        if not refusals:
            raise self._none_fits(wish, durable)
        advice = "" if self._folder is None else "make room on its disk, choose another folder, or "
        named = "" if blob is None else f" of blob {blob!r:.80}"
        piece = f" (in pieces, the next of {format_size(nbytes)})" if whole > nbytes else ""
        raise OutOfSpace(f"{self.where}: no tier has room for {format_size(max(whole, nbytes))}{named}{piece}: " + "; ".join(refusals)
                         + f" ({advice}raise capacity_limit of its tiers where the configuration sets one)")

    def _order(self, nbytes, wish, durable, is_full):
        """Numbers of the targets that may take the bytes, best first; a ram that is full comes last."""
        if is_full and not durable and wish.wants_any and self.placing.beyond_ram:
            return self.placing.beyond_ram
        order = self.placing.order(nbytes, wish, durable)
        return sorted(order, key=lambda target: target == RAM) if is_full else order

    def _tried(self, target, nbytes, refused):
        """Offset of space on a target; None where it leaves, or has none: `refused` gets its sentence."""
        try:
            offset = self.lease_on(target, nbytes)
        except OutOfSpace as error:
            let_out(error)
            refused[target] = str(error)
            return None
        if target not in self._leaving:
            return offset
        # it began to leave after the policy was asked; who empties it waits until this is given back
        self._devices[target].give_back(offset, nbytes)
        return None

    def lease_on(self, target, nbytes):
        """Offset of new space on this target. Raises OutOfSpace, StoreError."""
        try:
            return self._lease(target, self._devices[target], nbytes)
        except OSError as error:
            raise named(error, self.where) from error

    def lease_beyond(self, nbytes):
        """(target, offset, descriptor) of a run of the data file for what a full ram has no room for; None where that takes longer to say."""
        target = self.placing.beyond_ram[0] if self.placing.beyond_ram else RAM
        if not 0 < target < COUNTED_FILES:
            return None
        device = self._devices[target]
        if device.kind != "file" or device.direct >= 0:
            return None
        offset = self._tried(target, nbytes, {})
        return None if offset is None else (target, offset, device.descriptor)

    def _none_fits(self, wish, durable):
        least = LONG_TERM if durable else wish.persistence
        level = f"just {LEVELS[wish.exact]}" if wish.exact >= 0 else f"at least {LEVELS[least]}"
        error = OutOfSpace(f"{self.where} has no tier that fits: none that takes new bytes is {level} (see persistence_level under `storage` in the configuration)")
        error.none_fits = True
        return error

    @property
    def where(self):
        return "the store in memory" if self._folder is None else f"store {self._folder.path}"

    def expect(self, nbytes):
        """This process is about to lease so many bytes of ram."""
        if self.ram is not None:
            self.ram.expect(nbytes)

    def lease_some(self, nbytes, count):
        """Offsets in ram, as a range, of room for the first of `count` pieces of nbytes; None when they belong elsewhere, or ram would have to make room."""
        if self.ram is None or not self.placing.ram_first(nbytes, Wish().score, exact=True):
            return None
        try:
            return self.ram.lease_some(nbytes, count)
        except OutOfSpace as error:
            let_out(error)
            return None

    def check_room(self, nbytes, is_empty=False):
        """OutOfSpace where the targets together can't have so many bytes free, whatever leaves the ram for files; `is_empty`: not even if nothing were there."""
        targets = self.placing.targets
        room = sum(target.capacity if is_empty or target.number == RAM and len(targets) > 1 else self.free(target.number) for target in targets)
        if nbytes > room:
            free, advice = ("", "") if is_empty else (" free", "delete blobs, or ")
            raise OutOfSpace(f"{self.where}: no tier has room for {format_size(nbytes)}: all of them together can have {format_size(room)}{free} "
                             f"({advice}raise capacity_limit of its tiers in the configuration)")

    def lease_run(self, nbytes):
        """Offset of one run of ram, however long. Raises OutOfSpace."""
        return self._lease(RAM, self.ram, nbytes)

    def _lease(self, target, device, nbytes):
        if target != RAM:
            if self.due:
                self.give_due()
            return device.lease(nbytes)
        try:
            return self._lease_roomy(nbytes)
        except OutOfSpace as error:
            let_out(error)
            self._refused = nbytes, time.monotonic() + _REMEMBERED_S, *self._signs_of_room()
            raise

    def is_full(self, nbytes):
        """True when the ram has refused so many bytes, whoever could leave it, and nothing looks as if that had changed since."""
        if self._refused is None or self.views.waits:
            return False
        least, until, *before = self._refused
        used, unused, flushes = self._signs_of_room()
        return nbytes >= least and time.monotonic() < until and used >= before[0] and unused <= before[1] and flushes == before[2]

    def _signs_of_room(self):
        """(bytes of the ram in use, those of its blocks that aren't, how often blobs were flushed, which may leave it then)."""
        return self._load(self.ram.used_at), self._load(self.blocks.unused_at), self._load(self._flushes)

    def _lease_roomy(self, nbytes):
        """Space in ram, for which others leave it where they can."""
        try:
            return self._lease_ram(nbytes)
        except OutOfSpace as error:
            let_out(error)
            freed = self.give_due(thorough=True)
            if not self.blocks.shrink() and not freed and not self.make_room(nbytes):
                raise
        try:
            return self._lease_ram(nbytes)
        except OutOfSpace as error:
            let_out(error)
            if not self.make_room(nbytes):
                raise
            self.blocks.shrink()
            return self._lease_ram(nbytes)

    def _lease_ram(self, nbytes):
        """A block when it is small; where there is no page for its size, a piece of just that size may be left."""
        if nbytes <= LARGEST:
            try:
                return self.blocks.take(nbytes)
            except OutOfSpace as error:
                let_out(error)
                pass
        return self.ram.lease(nbytes)

    def free(self, target):
        """Bytes of the target that this process could still have."""
        if target == RAM or self.due:
            self.give_due()
        return self.device(target).free + (self.blocks.unused if target == RAM else 0)

    def give_back(self, extents):
        """Give the space of extents back; that of other nodes waits in `away` for whoever tells them, what somebody views until nobody does."""
        self.settle(list(extents))

    def settle(self, loose):
        """Give back the extents of a list, which is empty from the moment on in which that is sure.

        A handler of a signal may raise an error before that moment: whoever called has them still, and calls again. After it they are free with the next call.
        """
        if loose:
            rest = loose[:],
            # no calls in between
            del loose[:]
            self.due += rest
        self._settle()

    def _settle(self):
        """Whatever is due is given back, with what nobody views any more: True when there was some.

        Not in the middle of the same, which goes on with it, nor of a store that was closed; nor of a lease or the like: another thread that gives back may wait for that.
        """
        due, views, found = self.due, self.views, False
        if views is not None and not views.is_open:
            return False
        waits = views is not None and views.is_used
        if not due and not waits or self._settling._is_owned() or self._has_space():
            return False
        with self._settling:
            if waits:
                rest = []
                due += (rest,)
                views.due(rest)
            while due:
                rest = due[0]
                found = found or len(rest) > 0
                while rest:
                    self._free_last(rest)
                due.popleft()
        return found

    def _has_space(self):
        """True when this thread is in the middle of something that others wait for as they give back: a handler of a signal asks, or a finalizer."""
        return self.blocks is not None and self.blocks.is_own or any(device.is_own for device in tuple(self._devices.values()))

    def _free_last(self, rest):
        """Give the last of `rest` back, which goes from there at that moment. With the lock."""
        target, offset, nbytes, _ = extent = rest[-1]
        is_ram = target == RAM
        if is_ram and self.views is not None and self.views.is_used and self.views.hold_back(extent, rest):
            return
        if is_ram and nbytes <= LARGEST and self.blocks.give(offset, rest):
            return
        if self.owns(target):
            self.device(target).give_back(offset, nbytes, rest)
        else:
            away = extent,
            del rest[-1]
            self.away += away

    def give_due(self, thorough=False):
        """Give back what nobody views any more; True when there was some. `thorough`: also what dead processes viewed."""
        if thorough and self.views is not None and self.views.is_used:
            self.views.bury()
        return self._settle()

    def is_viewed(self, record):
        """True when somebody who lives looks at the blob's bytes in the first ram."""
        return record.pinned and self.views is not None and self.views.hold(record.extents)
