"""compose: make the pools of a configuration file in a running daemon, or remove them."""

from wrp.errors import UsageError, WrpError
from wrp.runtime.commands.output import show
from wrp.runtime.composing import check, composed, restarted, served
from wrp.runtime.config import load
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.finding import tell_of_wait


def compose(args):
    """Make those that aren't there, or with `--unregister` remove those that are. Local."""
    config = load(args.file)
    check(config)
    entries = [*composed(config), *served(config)]
    if not entries:
        raise UsageError(f"{args.file} asks for no pools: it has no `compose`")
    tell_of_wait(args.name, args.timeout)
    with attach(args.name, args.timeout) as attached:
        if args.unregister:
            _unregister(args, attached, [name for name, _, _ in entries])
        else:
            _make(args, attached, entries, restarted(config))


def _make(args, attached, entries, kept):
    rows = []
    for name, module, params in entries:
        was_there = attached.has_pool(name)
        try:
            pool = attached.pool(name, module, **params)
            if name in kept:
                attached.keep(name, module, **params)
        except WrpError as error:
            made = ", ".join(row["name"] for row in rows if row["made"])
            raise type(error)(f"{error}; {'made before that, and there now: ' + made if made else 'no pool was made'}") from error
        rows.append({"name": name, "module": module, "id": f"{pool.id[0]}.{pool.id[1]}", "made": not was_there, "kept": name in kept})
    show(rows, [f"{row['name']} ({row['module']}, {row['id']}): {'made' if row['made'] else 'was there'}{', kept for a restart' * row['kept']}"
                for row in rows], args.json)


def _unregister(args, attached, names):
    there = [name for name in reversed(names) if attached.has_pool(name)]       # what was made last may need what was made first
    attached.remove(*there)
    rows = [{"name": name, "removed": name in there} for name in names]
    show(rows, [f"{row['name']}: {'removed' if row['removed'] else 'was not there'}" for row in rows], args.json)
