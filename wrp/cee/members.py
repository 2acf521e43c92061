"""Members of a store's safe devices that are out, rebuilt. What they are, and how, is the runtime's."""

import os

from wrp.errors import UsageError


def recover(store, ranks, member=None, path=None):
    """{file: chunks that were rebuilt} of a member that is out, None: of all of them, onto its file, or one at `path`. Collective.

    Raises UsageError for a file that isn't out, StoreError for what the device says.
    """
    with ranks.agreed("looking for members that are out"):
        out = [(each.path, file) for each in store.lasting() for file in each.state.get("failed", ())]
        wanted = [(device, file) for device, file in out if member is None or file in (member, os.path.abspath(member))]
        if member is not None and not wanted:
            raise UsageError(f"{member} is no member that is out" + (f": out are {', '.join(file for _, file in out)}" if out else ": none is"))
        if path is not None and len(wanted) != 1:
            raise UsageError(f"one member can be recovered to {path}, and {len(wanted)} are out: name it")
        if path is not None and not path.startswith("/"):
            path = os.path.abspath(path)
    own = {info.path for info in store.targets()}
    here = [(device, file) for device, file in wanted if device in own and ranks.local_rank == 0]
    found = ranks.gather_of(lambda: {file: store.recover(device, file, path, ranks.tick) for device, file in here}, "recovering members")
    return {file: chunks for each in found or () for file, chunks in each.items()}
