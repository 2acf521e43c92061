"""The command ``capio``: its arguments, and which function answers. Every command is local."""

import sys

from wrp import __version__
from wrp.capio.commands import check, doctor, graph, run, serve, state, ways
from wrp.capio.commands.reading import add_workflow
from wrp.comm.command import Parser
from wrp.errors import WrpError


def main(arguments=None):
    """Run the command; returns its exit code: wrp.errors says which, `run` ends with that of the program. Local."""
    given, program = list(sys.argv[1:] if arguments is None else arguments), []
    if "--" in given:
        given, program = given[:given.index("--")], given[given.index("--") + 1:]
    try:
        args = _parser().parse_args(given)
        args.program = program
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
    parser = Parser(prog="capio", description="Let the steps of a workflow run at the same time and talk through their files.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_workflow(_command(commands, "check", check.check, "Say what a CAPIO-CL file means, name by name, and what in it is odd."))
    sub = add_workflow(_command(commands, "graph", graph.graph, "Draw which steps of a workflow talk through which files."))
    sub.add_argument("--dot", action="store_true", help="for Graphviz")
    _add_run(_command(commands, "run", run.run, "Run a step of a workflow, or all its steps at once."))
    sub = _add_workflow_name(_command(commands, "status", state.status, "Say who waits for what."))
    sub.add_argument("--dot", action="store_true", help="for Graphviz: the steps, their files as they stand, who waits")
    _add_workflow_name(_command(commands, "stop", state.stop, "End servers: who waits is told, files that aren't permanent go."))
    _command(commands, "shim", state.shim, "Print the path of the library for LD_PRELOAD; it is compiled when it isn't there.")
    _command(commands, "doctor", doctor.doctor, "Say which ways of seeing a program's calls work here, and why the others don't.")
    return parser


def _add_run(sub):
    sub.add_argument("-c", "--config", required=True, metavar="FILE", help="the workflow, in CAPIO-CL")
    sub.add_argument("--dir", metavar="DIR", help="the directory of the workflow's files (default: CAPIO_DIR)")
    sub.add_argument("-r", "--prefix", metavar="PATH", help="what relative names in the file count from (default: that directory)")
    sub.add_argument("--all", metavar="FILE", help="a YAML file with the program of each step; run them all and report")
    sub.add_argument("--via", choices=ways.WAYS, default=ways.WAYS[0], help="how the programs' calls are seen (default: shim)")
    serve.add_rules(sub)
    sub.add_argument("step", nargs="?", metavar="STEP", help="the step's name, followed by -- and its program")


def _add_workflow_name(sub):
    sub.add_argument("--workflow", metavar="NAME", help="one workflow (default: CAPIO_WORKFLOW_NAME, else all that are served here)")
    return sub


def _command(commands, name, work, text):
    sub = commands.add_parser(name, help=text, description=text)
    sub.add_argument("-j", "--json", action="store_true", help="print the answer as JSON")
    sub.set_defaults(work=work)
    return sub


if __name__ == "__main__":
    sys.exit(main())
