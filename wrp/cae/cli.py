"""The command `wrp_cae_omni`: takes the transfers of a job file in, on all ranks. Rank 0 speaks, every rank ends alike."""

import argparse
import json
import os
import sys

from wrp.cae import ingest, omni, plan, registry, report, url
from wrp.cae.progress import Silent, progress
from wrp.cae.resume import Finished
from wrp.comm.ranks import run
from wrp.comm.sizes import format_size
from wrp.cte import Store
from wrp.errors import UsageError, WrpError

_FOLDER = "./wrp-store"
_EXIT_CODES = """exit codes: 0 done; 2 wrong usage, 3 configuration, 4 job file, 5 source, 6 nothing matched or a range beyond the end,
7 store, 8 no room, 9 a wait reached its deadline, 10 another rank failed, 1 anything else"""


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
    if args.help:
        if ranks.rank == 0:
            _parser().print_help()
        return 0
    job, config = None, None
    with ranks.agreed(f"reading {args.jobs}"):
        config = _config(args.conf)
        if ranks.rank == 0:
            job = omni.load(args.jobs)
    if args.check:
        with ranks.agreed(f"checking the transfers of {args.jobs}"):
            if ranks.rank == 0:
                _check(job)
        return 0
    job = ranks.share(job, f"the job file {args.jobs}")
    folder = args.store or os.environ.get("WRP_STORE") or _FOLDER
    with Store.open(folder, ranks, config) as store:
        _ingest(job, store, ranks, args)
    return 0


def _check(job):
    """Look at every source as the job would, and say what it holds."""
    for transfer in plan.order(job.transfers):
        survey = registry.assimilator(url.parse(transfer.src)[0]).survey(transfer)
        datasets = sum(item.is_dataset for item in survey.items)
        print(f"{transfer.label}: {transfer.src}: {datasets} dataset(s), {format_size(survey.nbytes)}", flush=True)


def _ingest(job, store, ranks, args):
    """Take the job in; the report comes also when a transfer fails, with those that are in the store."""
    told = _Collected(progress(ranks, sys.stderr, args.quiet))
    if args.resume:
        job = _resumed(job, store, ranks, args)
        if ranks.rank == 0:
            told.note_finished(Finished(args.resume), job)
    error = None
    try:
        ingest.run(job, store, ranks, told)
    except WrpError as found:
        error = found
        raise
    finally:
        told.close()
        if ranks.rank == 0:
            _report(told.results, store.folder, error, args.json)


def _resumed(job, store, ranks, args):
    """The job less what an earlier run has finished."""
    left = None
    with ranks.agreed(f"reading {args.resume}"):
        if ranks.rank == 0:
            left = Finished(args.resume).remaining(job, store)
            finished = len(job.transfers) - len(left.transfers)
            if finished and not args.quiet:
                print(f"{finished} of {len(job.transfers)} transfer(s) are in the store already ({args.resume})",
                      file=sys.stderr, flush=True)
    return ranks.share(left, "what is left to do")


def _report(results, folder, error, as_json):
    if as_json:
        print(json.dumps(report.record(results, folder, error), indent=1), flush=True)
    elif results:
        print("\n".join(report.table(results)), flush=True)


class _Collected(Silent):
    """Hands everything on to another progress and keeps the results."""

    def __init__(self, inner):
        self.results = []
        self.begin, self.note, self.advance, self.close = inner.begin, inner.note, inner.advance, inner.close
        self._inner = inner
        self._finished, self._transfers = None, {}

    def note_finished(self, finished, job):
        """From now on note every transfer that ends well."""
        self._finished = finished
        self._transfers = {transfer.number: transfer for transfer in job.transfers}

    def finish(self, result):
        self.results.append(result)
        if self._finished is not None:
            self._finished.note(self._transfers[result.number])
        self._inner.finish(result)


def _config(path):
    from wrp.runtime import config

    return config.load(path)


def _seconds(text):
    """The text, for the environment, if it is a finite number above 0."""
    try:
        if 0 < float(text) < float("inf"):
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message}; wrp_cae_omni --help shows how to call it")


def _parser():
    parser = _Parser(prog="wrp_cae_omni", add_help=False, epilog=_EXIT_CODES,
                     description="Take the files that a job file names into a store, in parallel over the ranks of the job.")
    parser.add_argument("jobs", nargs="?", metavar="jobs.yaml", help="the OMNI job file")
    parser.add_argument("--store", metavar="DIR", help=f"the store's folder (default: WRP_STORE, else {_FOLDER})")
    parser.add_argument("--conf", metavar="FILE", help="configuration of tiers and runtime (default: built in)")
    parser.add_argument("--check", action="store_true", help="look at the job file and its sources only; take nothing in")
    parser.add_argument("--resume", metavar="FILE", help="note finished transfers in FILE, and leave out those that an earlier "
                                                         "run of the same job has noted there")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--timeout", metavar="S", type=_seconds, help="deadline of every wait for another rank, in seconds "
                                                       "(default: WRP_TIMEOUT_S, else 300)")
    parser.add_argument("--quiet", action="store_true", help="tell nothing while it runs")
    parser.add_argument("-h", "--help", action="store_true", help="show this and leave")
    return parser


def _parsed(arguments):
    """(arguments, None) or (None, UsageError): every rank reads the same line, so the error can wait until the ranks have met."""
    try:
        args = _parser().parse_args(arguments)
        if not args.jobs and not args.help:
            raise UsageError("no job file was named; wrp_cae_omni --help shows how to call it")
        return args, None
    except UsageError as error:
        return None, error


if __name__ == "__main__":
    sys.exit(main())
