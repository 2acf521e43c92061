"""start, restart and stop of a daemon."""

import threading
from contextlib import suppress

from wrp.comm import names
from wrp.comm.command import say
from wrp.errors import RuntimeGone, StoreError, StoreVersion, WaitTimeout, WrpError
from wrp.runtime.commands.output import show
from wrp.runtime.composing import check
from wrp.runtime.config import load
from wrp.runtime.daemon import place
from wrp.runtime.daemon.daemon import Daemon
from wrp.runtime.daemon.kept import Kept
from wrp.runtime.daemon.view import View

_LATE_S = 5.0               # of an end: from then on people are told


class NotEnding(WaitTimeout):
    """A daemon was asked to stop and didn't."""


def start(args, ranks, signals, again=False):
    """Hold a runtime until something asks it to stop. Collective. `again`: in place of the one that runs, with the pools that were kept for a restart."""
    config = None
    with ranks.agreed("reading the configuration"):
        config = load(args.conf)
        check(config)
        names.path(args.name or place.default_name())
    if again:
        with ranks.agreed("stopping the daemon that runs"):
            if ranks.rank == 0:
                Kept(config, args.name or place.default_name()).entries()       # what can't be read is told while the old one runs
                _stop_if_running(args)
    late = threading.Timer(_LATE_S, _tell, [f"still stopping after {_LATE_S:g} s: tasks that have begun end first, then its store is flushed; another SIGTERM ends it at once, "
                                            "and what isn't flushed by then is lost"])
    late.daemon = True
    try:
        with Daemon(ranks, config, args.name, again) as daemon:
            if ranks.rank == 0:
                for line in _greeting(daemon, config):
                    _tell(line)
            reason = daemon.hold(signals)
            if ranks.rank == 0:
                _tell(f"stopping ({reason})")
                late.start()
    finally:
        late.cancel()
    if ranks.rank == 0:
        _tell("stopped")
    return 0


def _tell(line):
    with suppress(WrpError):            # a daemon outlives who reads what it says
        say(f"wrp-runtime: {line}")


def _greeting(daemon, config):
    ranks, about = daemon.ranks, daemon.about
    option = "" if daemon.name == place.default_name() else f" --name {daemon.name}"
    yield f"started: {ranks.nodes} {'node' if ranks.nodes == 1 else 'nodes'}, {ranks.size} {'rank' if ranks.size == 1 else 'ranks'}, " \
          f"name {daemon.name}, process {about.pid} on {ranks.host}, configuration {config.path or 'defaults'}"
    yield f"attach from Python with: from wrp.runtime.daemon import attach; attach({daemon.name!r})"
    yield f"look at it with: wrp-runtime status{option}; stop it with: wrp-runtime stop{option}"


def restart(args, ranks, signals):
    """Stop the daemon of this name, then start one with the pools that were kept. Collective."""
    return start(args, ranks, signals, again=True)


def _stop_if_running(args):
    try:
        _stopped(args)
    except (StoreVersion, NotEnding):
        raise
    except (StoreError, RuntimeGone):
        return              # none runs, or it is dead: nothing to stop


def stop(args):
    """Stop the daemon and wait for its end. Local."""
    found = _stopped(args)
    show({"stopped": found["name"], "pid": found["pid"]}, [f"stopped {found['name']} (process {found['pid']})"], args.json)


def _stopped(args):
    with View(args.name) as view:
        found = {"name": view.name, "pid": view.about.pid}
        if not view.stop(args.timeout):
            raise NotEnding(f"the daemon {view.name!r} (process {found['pid']}) doesn't end within {args.timeout:g} s: see its messages; "
                              f"kill {found['pid']} ends it at once")
    return found
