"""Adding a target to an open store: on all nodes, or on none. What it is was checked before (targets/wanted.py)."""

from wrp.comm.ranks.agreement import is_common
from wrp.errors import UsageError


def add(parts, wanted):
    """Make the target on every node, then let it take bytes. Collective. Raises OutOfSpace, StoreError, UsageError: there is no such target then."""
    ranks, tiers, made = parts.ranks, parts.tiers, []
    with _files_named(parts, wanted):
        try:
            with ranks.agreed(f"making target {wanted.name!r}"):
                made.append(tiers.add_file(wanted) if wanted.is_durable else tiers.add(wanted))
        except BaseException:
            for number in made:
                tiers.undo(number)
            raise
    tiers.show()


class _files_named:
    """Context manager: the folder knows a data file for each node, for good when the block ends without an error. Collective; nothing for a target that doesn't last."""

    def __init__(self, parts, wanted):
        self._parts, self._wanted = parts, wanted

    def __enter__(self):
        if self._wanted.is_durable:
            self._before = self._parts.folder and self._parts.folder.header
            self._change(self._named)

    def _named(self):
        folder, place = self._parts.folder, self._wanted.place
        if folder is None:
            raise UsageError(f"target {place!r} can't be long_term in a store in memory: give the store a folder")
        if folder.has_place(place):
            raise UsageError(f"target {place!r}: the store has data files there from an earlier job: put it under `storage` in the configuration, and open the store again")
        folder.add_files(self._parts.ranks.nodes, place)

    def _change(self, function):
        """Do it on rank 0; every rank has the header that comes of it."""
        folder, ranks = self._parts.folder, self._parts.ranks

        def changed():
            function()
            return folder.header
        header = ranks.share_of(changed, f"naming the files of target {self._wanted.name!r}")
        folder.header = header

    def __exit__(self, kind, error, trace):
        # what one rank raises alone ends the job: the others can't be met any more
        if self._wanted.is_durable and kind is not None and (self._parts.ranks.size == 1 or is_common(error)):
            self._change(lambda: self._parts.folder.change_header(**{"places": None, **self._before}))
