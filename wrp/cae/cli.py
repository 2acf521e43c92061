"""The command `wrp_cae_omni`: takes the transfers of a job file in, on all ranks. Rank 0 speaks, every rank ends alike."""

import os
import sys

import wrp
from wrp.comm.command import Parser, say, seconds_above_0
from wrp.comm.ranks import run
from wrp.errors import UsageError

_EXIT_CODES = """exit codes: 0 done; 2 wrong usage, 3 configuration, 4 job file, 5 source, 6 nothing matched or a range beyond the end,
7 store, 8 no room, 9 a wait reached its deadline, 10 another rank failed, 130 or 143 interrupted, 1 anything else"""


def main(arguments=None):
    """Run the command; returns its exit code, the same on every rank. Collective."""
    args, wrong = _parsed(sys.argv[1:] if arguments is None else arguments)
    if args and args.timeout is not None:
        os.environ["WRP_TIMEOUT_S"] = args.timeout      # read when the ranks meet
    return run(lambda ranks: _command(args, wrong, ranks))


def _command(args, wrong, ranks):
    with ranks.agreed("reading the command line"):
        if wrong:
            raise wrong
    if args.help or args.version:
        with ranks.agreed("writing the answer"):
            if ranks.rank == 0:
                say(_parser().format_help().rstrip() if args.help else f"wrp_cae_omni {wrp.__version__}")
        return 0
    from wrp.cae import taking                  # slow to import, and nothing for --help and wrong arguments

    return taking.command(args, ranks)


def _seconds(text):
    """The text, for the environment, if it is a finite number above 0."""
    seconds_above_0(text)
    return text


def _parser():
    parser = Parser(prog="wrp_cae_omni", add_help=False, allow_abbrev=False, epilog=_EXIT_CODES,
                     description="Take the files that a job file names into a store, in parallel over the ranks of the job.")
    parser.add_argument("jobs", nargs="?", metavar="jobs.yaml", help="the OMNI job file")
    parser.add_argument("--store", metavar="DIR", help=f"the store's folder (default: WRP_STORE, else ./wrp-store)")
    parser.add_argument("--conf", metavar="FILE", help="configuration of tiers and runtime (default: built in)")
    parser.add_argument("--check", action="store_true", help="look at the job file and its sources only; take nothing in")
    parser.add_argument("--resume", metavar="FILE", help="note finished transfers in FILE, and leave out those that an earlier "
                                                         "run of the same job has noted there")
    parser.add_argument("--labels", metavar="FILE", help="label blobs by the rules in FILE when all transfers are done")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--timeout", metavar="S", type=_seconds, help="deadline of every wait for another rank, in seconds "
                                                       "(default: WRP_TIMEOUT_S, else 300)")
    parser.add_argument("--quiet", action="store_true", help="tell nothing while it runs")
    parser.add_argument("--version", action="store_true", help="show the version and leave")
    parser.add_argument("-h", "--help", action="store_true", help="show this and leave")
    return parser


def _parsed(arguments):
    """(arguments, None) or (None, UsageError): every rank reads the same line, so the error can wait until the ranks have met."""
    try:
        args = _parser().parse_args(arguments)
        if not (args.jobs or args.help or args.version):
            raise UsageError("no job file was named; wrp_cae_omni --help shows how to call it")
        return args, None
    except UsageError as error:
        return None, error


if __name__ == "__main__":
    sys.exit(main())
