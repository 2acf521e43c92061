"""compose: make the pools of a configuration file in a running daemon."""

from wrp.errors import UsageError
from wrp.runtime.commands.output import show
from wrp.runtime.config import load
from wrp.runtime.daemon import attach
from wrp.runtime.runtime import composed


def compose(args):
    """Make those that aren't there. Local."""
    entries = list(composed(load(args.file)))
    if not entries:
        raise UsageError(f"{args.file} asks for no pools: it has no `compose`")
    rows = []
    with attach(args.name, args.timeout) as attached:
        for name, module, params in entries:
            was_there = attached.has_pool(name)
            pool = attached.pool(name, module, **params)
            rows.append({"name": name, "module": module, "id": f"{pool.id[0]}.{pool.id[1]}", "made": not was_there})
    show(rows, [f"{row['name']} ({row['module']}, {row['id']}): {'made' if row['made'] else 'was there'}" for row in rows], args.json)
