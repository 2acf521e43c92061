"""The command ``wrp-runtime``: its arguments, and which function answers. Only `start` and `restart` are collective."""

import sys
from argparse import ArgumentTypeError
from contextlib import suppress
from importlib import import_module

from wrp.comm.command import Parser, seconds, seconds_above_0
from wrp.comm.ranks import refuse, run
from wrp.errors import WrpError
from wrp.runtime.daemon.stopping import Signals

_LONGEST_MS = 1e12


def main(arguments=None, program="wrp-runtime"):
    """Run the command; returns its exit code (see wrp.errors). Collective for `start` and `restart`, else local. program: how it was called."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given or given[0].startswith("-") and given[0] not in ("-h", "--help"):
        given = ["start", *given]
    try:
        args = _parser(program).parse_args(given)
        if not args.is_collective:
            return _work(args)(args) or 0
    except (WrpError, KeyboardInterrupt) as error:
        return refuse(error)
    with Signals() as signals:
        return run(lambda ranks: _work(args)(args, ranks, signals))


def _work(args):
    """The function of a module beside this one, which is slow to import, and nothing for --help and wrong arguments."""
    module, _, name = args.work.partition(".")
    return getattr(import_module(f"wrp.runtime.commands.{module}"), name)


def _milliseconds(text):
    """Those of the reference, in seconds."""
    with suppress(ValueError):
        if 0 <= float(text) <= _LONGEST_MS:
            return float(text) / 1000
    raise ArgumentTypeError(f"{text!r} is not a number of milliseconds of 0 or more, at most {_LONGEST_MS:.0f}")


def _parser(program="wrp-runtime"):
    parser = Parser(prog=program, description="Hold a runtime for other jobs of its nodes, and look after it.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_daemon(commands)
    _add_views(commands)
    sub = _command(commands, "doctor", "doctor.doctor", "Say what is wrong with MPI, shared memory, limits and caches.")
    sub.add_argument("--clean", action="store_true", help="remove what dead daemons have left in shared memory")
    _add_members(commands)
    _add_conf(commands)
    modules = commands.add_parser("module", help="Write a module.").add_subparsers(metavar="new", required=True)
    sub = _command(modules, "new", "new.new", "Write a module of one page and its test.")
    sub.add_argument("module", metavar="NAME", help="name of the module, a Python identifier")
    sub.add_argument("--folder", default=".", metavar="DIR", help="where to write (default: here)")
    return parser


def _command(commands, name, work, text, is_collective=False):
    sub = commands.add_parser(name, help=text, description=text)
    if not is_collective:
        sub.add_argument("-j", "--json", action="store_true", help="print the answer as JSON")
    sub.set_defaults(work=work, is_collective=is_collective)
    return sub


def _add_name(sub):
    sub.add_argument("--name", help="name of the daemon (default: WRP_RUNTIME_NAME, else wrp-USER-runtime)")
    return sub


def _add_daemon(commands):
    for name, work, text in (("start", "start.start", "Hold a runtime over all ranks of this job until it is stopped."),
                             ("restart", "start.restart", "Stop the daemon of this name, if it runs, and start one.")):
        sub = _add_name(_command(commands, name, work, text, is_collective=True))
        sub.add_argument("--conf", metavar="FILE", help="the configuration file")
        sub.add_argument("--timeout", type=seconds, default=60.0, metavar="S", help="restart: seconds to wait for the end of the one before (default: 60)")
    sub = _add_name(_command(commands, "stop", "start.stop", "Stop the daemon and wait until it has ended."))
    sub.add_argument("--timeout", type=seconds, default=60.0, metavar="S", help="seconds to wait for its end (default: 60)")
    sub.add_argument("--grace-period", type=_milliseconds, dest="timeout", metavar="MS", help="the same in milliseconds, as the reference has it")
    sub = _add_name(_command(commands, "compose", "compose.compose", "Make the pools that a configuration file asks for in the running daemon, or remove them."))
    sub.add_argument("file", help="a configuration with `compose`")
    sub.add_argument("--unregister", action="store_true", help="remove these pools instead")
    sub.add_argument("--timeout", type=seconds, default=None, metavar="S", help="seconds to wait for the daemon (default: CHI_WAIT_SERVER, else 30)")
    sub = _add_name(_command(commands, "migrate", "migrate.migrate", "Bring a container of a pool to another node, while tasks for it come."))
    sub.add_argument("--pool", metavar="NAME", help="name of the pool")
    sub.add_argument("--pool-id", metavar="MAJOR.MINOR", help="or its id")
    sub.add_argument("--container", "--container-id", metavar="N", help="number of the container")
    sub.add_argument("--node", "--node-id", metavar="M", help="number of the node it goes to")
    sub.add_argument("--drain", type=seconds, default=10.0, metavar="S", help="seconds in which its tasks have to end (default: 10)")
    sub.add_argument("--timeout", type=seconds, default=None, metavar="S", help="seconds to wait for the daemon (default: CHI_WAIT_SERVER, else 30)")


def _add_views(commands):
    _add_name(_command(commands, "status", "status.status", "Say how the daemon of this node is."))
    sub = _add_name(_command(commands, "monitor", "monitor.monitor", "Show workers, pools and devices, again and again."))
    sub.add_argument("-i", "--interval", type=seconds_above_0, default=1.0, metavar="S", help="seconds between two looks (default: 1)")
    sub.add_argument("-o", "--once", action="store_true", help="look once")
    sub.add_argument("-v", "--verbose", action="store_true", help="with the daemon's processes, those attached, and its segment")
    sub.add_argument("--trace", metavar="FILE", help="instead: note every step of the workers for one interval, for Perfetto")


def _add_members(commands):
    members = commands.add_parser("member", help="Show, recover, add or remove members of safe devices.").add_subparsers(metavar="list|recover|add|remove|check", required=True)

    def command(name, work, text):
        sub = _add_name(_command(members, name, work, text))
        sub.add_argument("--pool", metavar="NAME", help="the safe device (default: the only one there is)")
        return sub

    command("list", "member.listed", "Show the members, which of them are out, how many more may be lost, and how far a recovery is.")
    sub = command("recover", "member.recover", "Rebuild members that are out, from the others, while the device is used.")
    sub.add_argument("member", nargs="?", help="the file of one (default: all that are out)")
    sub.add_argument("--to", metavar="FILE", help="where its new file is to be (default: where it was)")
    sub.add_argument("--timeout", type=seconds, metavar="S", help="seconds to wait without a row done (default: runtime.timeout_s); it goes on all the same")
    sub = command("add", "member.add", "Add a data member: rows behind those in use become wider.")
    sub.add_argument("file", help="its new file, or ram::NAME")
    sub = command("remove", "member.remove", "Remove a data member on which nothing lies; its file is cut to nothing.")
    sub.add_argument("member", help="its file")
    sub = command("check", "member.check", "Read all rows, mend what is damaged and make parity anew where it doesn't fit.")
    sub.add_argument("--timeout", type=seconds, metavar="S", help="seconds to wait without a row done (default: runtime.timeout_s); it goes on all the same")


def _add_conf(commands):
    confs = commands.add_parser("conf", help="Check or show the configuration.").add_subparsers(metavar="check|show", required=True)
    sub = _command(confs, "check", "conf.check", "Read a configuration file and say what is wrong with it.")
    sub.add_argument("file", nargs="?", help="the file (default: the one that would be used)")
    sub = _command(confs, "show", "conf.show", "Show the value of every key.")
    sub.add_argument("--conf", metavar="FILE", help="the configuration file")
    sub.add_argument("--origin", action="store_true", help="with where each value came from")


if __name__ == "__main__":
    sys.exit(main())
