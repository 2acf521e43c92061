"""Targets that come, go, are lost and become slow while a store is open. What they are says the roster."""

import logging
import os

from wrp.comm.refusals import tolerant
from wrp.cte.targetnumbers import extra_number, is_durable
from wrp.cte.tiers.roster import Roster, metrics_of
from wrp.errors import UsageError

_log = logging.getLogger("wrp.cte")


class Coming(Roster):
    """See tiers.Tiers."""

    def add(self, wanted):
        """Number of another target that doesn't outlast the job, which takes bytes from `show` on. Collective over the node.

        Raises OutOfSpace, StoreError; then there is none.
        """
        number = extra_number(wanted.kind, self._next)
        self._next += 1
        try:
            self._add(number, wanted, self._token)
        except BaseException:
            if wanted.kind == "file":
                self._unlink(self._scratch_path(number, wanted, self._token))
            raise
        return number

    def _unlink(self, path):
        """A file of a target that couldn't be made goes, where there is one."""
        if self._runtime.ranks.local_rank == 0:
            with tolerant():
                os.unlink(path)

    def add_file(self, wanted):
        """The same of a target that lasts: the newest data file of this node. The folder's header knows it already."""
        ranks, files = self._runtime.ranks, self._folder.header["files"]
        number = next(number for number in range(files - ranks.nodes, files) if number % ranks.nodes == ranks.node)
        self._next += 1                 # a file of this number may have been undone: the runtime still has its device
        path = self._folder.data_path(number)
        try:
            device = self._runtime.device(f"file{number}.{self._next}", "file", wanted.capacity, path, metrics=metrics_of(wanted))
        except BaseException:
            self._unlink(path)
            raise
        self._take_in(number + 1, device, wanted)
        return number + 1

    def show(self):
        """What was added takes bytes of this process."""
        self._changed()

    def undo(self, number):
        """What was added, and not shown, goes: another node has none. On every rank."""
        if self._runtime.ranks.local_rank == 0:
            self.clear(number)
            if is_durable(number):
                os.unlink(self._folder.data_path(number - 1))
        with self._changing:
            # what is wanted has a device at every moment
            self._wanted, self._devices = ({other: each for other, each in table.items() if other != number} for table in (self._wanted, self._devices))

    def leave(self, number):
        """A target takes no new bytes from this process. UsageError for one whose space isn't the store's alone: when it is empty nobody can tell."""
        if self._wanted[number].pool is not None:
            raise UsageError(f"target {self.said(number)!r} is the device of a pool that others may use: take it out of `storage` in the configuration, and open the store again")
        self._leaving.add(number)
        self._changed()

    def stay(self, number):
        """It does again."""
        self._leaving.discard(number)
        self._changed()

    def lose(self, number, why):
        """A target takes no new bytes from this process until it is regained. Whoever reads it waits, or is told, as ever."""
        with self._changing:
            if self._lost.get(number) != why:
                _log.warning("target %r takes no new bytes of rank %d for now: %s", self.said(number), self._runtime.ranks.rank, why)
                self._lost = {**self._lost, number: why}
                self._changed()

    def regain(self, number):
        """What was lost takes bytes again; nothing happens to others."""
        with self._changing:
            if number in self._lost:
                _log.warning("target %r takes bytes of rank %d again", self.said(number), self._runtime.ranks.rank)
                self._lost = {other: why for other, why in self._lost.items() if other != number}
                self._changed()

    def adjust(self):
        """Let bandwidths that nobody has declared be half of what they were, half of what this process has reached since the last time."""
        for read in self.open_files.taken():
            self.pace.read(*read)
        changes, rates_of = {}, self.pace.sample()
        with self._changing:
            for number, rates in rates_of.items():
                wanted = self._wanted.get(number)
                if wanted is not None and (faster := wanted.adjusted(*rates)) != wanted:
                    changes[number] = faster
            if changes:
                self._wanted = {**self._wanted, **changes}
                self._changed()

    def used(self, number):
        """Bytes of a target that some process of the node has."""
        device = self.device(number)
        return device.capacity - device.remaining

    def drop(self, number):
        """A target that leaves, and holds nothing: it isn't there any more. Who reads it by an old record finds other bytes, and looks again."""
        self._gone.add(number)
        self._changed()

    def clear(self, number):
        """Give the disk back what a target that is empty took of it; the memory of others goes back with the job. On one rank of the node."""
        device = self.device(number)
        if device.kind == "file":
            os.ftruncate(device.descriptor, 0)
