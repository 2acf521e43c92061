"""The command ``capio``: its arguments, and which function answers. Every command is local."""

import argparse
import sys

from wrp.capio.commands import check, graph
from wrp.capio.commands.reading import add_workflow
from wrp.errors import UsageError, WrpError


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message}; {self.prog} --help shows how to call it")


def main(arguments=None):
    """Run the command; returns its exit code (see wrp.errors). Local."""
    try:
        args = _parser().parse_args(sys.argv[1:] if arguments is None else list(arguments))
        return args.work(args) or 0
    except WrpError as error:
        print(f"capio: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()              # `capio graph | head` has closed our output: its right
        return 0


def _parser():
    parser = _Parser(prog="capio", description="Let the steps of a workflow run at the same time and talk through their files.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_workflow(_command(commands, "check", check.check, "Say what a CAPIO-CL file means, name by name, and what in it is odd."))
    sub = add_workflow(_command(commands, "graph", graph.graph, "Draw which steps of a workflow talk through which files."))
    sub.add_argument("--dot", action="store_true", help="for Graphviz")
    return parser


def _command(commands, name, work, text):
    sub = commands.add_parser(name, help=text, description=text)
    sub.add_argument("-j", "--json", action="store_true", help="print the answer as JSON")
    sub.set_defaults(work=work)
    return sub


if __name__ == "__main__":
    sys.exit(main())
