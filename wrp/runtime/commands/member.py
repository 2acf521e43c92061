"""member: the members of a daemon's safe devices: shown, recovered, added, removed, looked at. What a store has in its own job is `wrp_cee stat` and `recover`."""

import os
from contextlib import contextmanager

from wrp.comm.sizes import format_size
from wrp.errors import UsageError
from wrp.runtime.commands.output import show, table
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View
from wrp.runtime.devices.safe.member import RAM
from wrp.runtime.devices.safe.seen import describe


def listed(args):
    """Print the members of all safe devices, or of one. Local."""
    found = _seen(args)
    rows = [(pool["pool"], member, "being recovered" if member in pool["recovering"] else "out" if member in pool["failed"] else "in")
            for pool in found for member in pool["members"]]
    lines = [*table(("pool", "member", "state"), rows), *(f"{pool['pool']}: {describe(pool)}" for pool in found)] if found else ["there is no safe device"]
    show(found, lines, args.json)


def recover(args):
    """Rebuild one that is out, or all that are. Local."""
    with _device(args) as device:
        out = device.stats["failed"]
        wanted = [_named(device, args.member)] if args.member else out
        if args.to and len(wanted) != 1:
            raise UsageError(f"one member can be recovered to {args.to}, and {len(wanted)} are out: name it")
        chunks = {member: device.recover(member, args.to and _place(args.to), args.timeout) for member in wanted}
        found = {"pool": device.name, "recovered": chunks, "failed": device.stats["failed"]}
    show(found, [f"{member}: {count} chunks rebuilt" for member, count in chunks.items()] or [f"no member of {device.name} is out"], args.json)


def add(args):
    """One more data member. Local."""
    with _device(args) as device:
        before = device.capacity
        device.add(_place(args.file))
        found = {"pool": device.name, "added": _place(args.file), "capacity": device.capacity}
    show(found, [f"{found['added']} is a member of {device.name}, which has {format_size(found['capacity'] - before)} more"], args.json)


def remove(args):
    """A data member on which nothing lies is none any more. Local."""
    with _device(args) as device:
        member = _named(device, args.member)
        device.remove(member)
        found = {"pool": device.name, "removed": member, "capacity": device.capacity}
    show(found, [f"{member} is no member of {device.name} any more"], args.json)


def check(args):
    """Read all rows and mend what is damaged; the exit code is 1 where something is lost. Local."""
    with _device(args) as device:
        mended = device.build_parity(args.timeout)
        found = {"pool": device.name, **mended._asdict()}
    show(found, [f"{device.name}: {mended.rows} rows, parity of {mended.remade} made anew, {mended.recovered} chunks came back, {mended.lost} are lost"], args.json)
    return 1 if mended.lost else 0


def _seen(args):
    with View(args.name) as view:
        found = [{"pool": pool["name"], **pool["safe"]} for pool in view.pools() if pool.get("safe") and args.pool in (None, pool["name"])]
    if args.pool and not found:
        raise UsageError(f"the daemon {view.name!r} has no safe device {args.pool!r}: see 'wrp-runtime member list'")
    return found


@contextmanager
def _device(args):
    """The device of --pool, or the only safe one there is."""
    found = [pool["pool"] for pool in _seen(args)]
    if len(found) != 1:
        raise UsageError(f"give --pool NAME: the safe devices are {', '.join(found)}" if found else "the daemon has no safe device")
    with attach(args.name) as attached:
        yield attached.device(found[0])


def _place(path):
    return path if path.startswith(RAM) else os.path.abspath(path)


def _named(device, text):
    """The member that is meant: by its file, as it was given or from here."""
    members = device.stats["members"]
    for path in (text, _place(text)):
        if path in members:
            return path
    raise UsageError(f"{text} is no member of {device.name}: it has {', '.join(members)}")
