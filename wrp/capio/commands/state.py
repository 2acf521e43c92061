"""``capio status``, ``capio stop`` and ``capio shim``: looking at servers, ending them, where the library is."""

import json
import os

from wrp.capio import shim as shims
from wrp.capio.client import Client
from wrp.capio.commands.printing import report_lines, status_dot, status_lines
from wrp.capio.server import place
from wrp.comm.command import say
from wrp.errors import RuntimeGone

_STOP_S = 20.0


def _names(args):
    """The workflows meant: one by name, or all whose servers run here."""
    name = args.workflow or os.environ.get("CAPIO_WORKFLOW_NAME")
    return [name] if name else [about["workflow"] for about in place.running()]


def status(args):
    """Who waits for what, as text, JSON or Graphviz, in every server of this user on this node, or in one."""
    found = []
    for name in _names(args):
        with Client(name) as client:
            found.append(client.control("status"))
    if args.json:
        say(json.dumps(found, indent=1))
    elif args.dot:
        say("\n".join(map(status_dot, found)))
    elif found:
        say("\n".join(line for one in found for line in status_lines(one)))
    else:
        say("no CAPIO server of yours runs on this node")
    return 0


def stop(args):
    """End servers: who waits is told, what isn't permanent goes. Tells what the runs came to."""
    names, reports = _names(args), {}
    if not names:
        raise RuntimeGone("no CAPIO server of yours runs on this node")
    for name in names:
        with Client(name) as client:
            directory, reports[name] = client.control("status")["capio_dir"], client.control("end")
            client.wait_end()
        if not args.json:
            say("\n".join([*report_lines(reports[name], directory), f"the server of {name} has ended"]))
    if args.json:
        say(json.dumps(reports, indent=1))
    return 0


def shim(args):
    """Print the path of the library to put into LD_PRELOAD."""
    path = shims.path()
    say(json.dumps({"path": str(path)}) if args.json else str(path))
    return 0
