"""What `wrp_cae_omni` does with a job file: looks at its sources, or takes them in, labels, and reports. The command line is in cli.py."""

import json
import os
import sys

from wrp.cae import ingest, labels, omni, plan, registry, report, url
from wrp.cae.progress import Silent, progress
from wrp.cae.resume import Finished
from wrp.comm.ranks.streams import discard
from wrp.comm.sizes import format_size
from wrp.cte import Store
from wrp.errors import WrpError
from wrp.runtime import config

_FOLDER = "./wrp-store"


def command(args, ranks):
    """Do what the arguments of the command say; its exit code. Collective."""
    job, loaded, rules = None, None, None
    with ranks.agreed(f"reading {args.jobs}"):
        loaded = config.load(args.conf)
        if args.labels:
            rules = labels.load(args.labels)
        if ranks.rank == 0:
            job = omni.load(args.jobs)
    if args.check:
        with ranks.agreed(f"checking the transfers of {args.jobs}"):
            if ranks.rank == 0:
                _check(job, args.json)
        return 0
    job = ranks.share(job, f"the job file {args.jobs}")
    folder = args.store or os.environ.get("WRP_STORE") or _FOLDER
    with Store.open(folder, ranks, loaded) as store:
        _ingest(job, store, ranks, args)
        if rules is not None:
            _label(store, ranks, rules, args)
    return 0


def _check(job, as_json):
    """Look at every source as the job would, and say what it holds."""
    found, notes = [], list(job.notes)
    for transfer in plan.order(job.transfers):
        survey = registry.assimilator(url.parse(transfer.src)[0]).survey(transfer)
        datasets = sum(item.is_dataset for item in survey.items)
        found.append({"number": transfer.number, "src": url.shown(transfer.src), "dst": transfer.dst, "datasets": datasets, "nbytes": survey.nbytes})
        notes += ingest.notes_of(transfer, survey)
        if not as_json:
            _say(f"{transfer.label}: {url.shown(transfer.src)}: {datasets} dataset(s), {format_size(survey.nbytes)}")
    if as_json:
        _say(json.dumps({"transfers": found, "notes": notes}, indent=1))
    else:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)


def _ingest(job, store, ranks, args):
    """Take the job in; the report comes also when a transfer fails, with those that are in the store."""
    told = _Collected(progress(ranks, sys.stderr, args.quiet))
    if args.resume:
        job = _resumed(job, store, ranks, args)
        if ranks.rank == 0:
            told.note_finished(Finished(args.resume), job)
    try:
        ingest.run(job, store, ranks, told)
    except WrpError as error:
        told.close()
        _report_failure(told.results, store.folder, error, ranks, args)
        raise
    finally:
        told.close()
    with ranks.agreed("writing the report"):
        if ranks.rank == 0:
            _say(_report(told.results, store.folder, None, args.json))


def _label(store, ranks, rules, args):
    """What was taken in is in, whatever the model says."""
    found = labels.run(store, ranks, rules)
    if ranks.rank == 0 and not args.quiet:
        print(f"labels: {found.labelled} made, {found.failed} failed, {found.left} left", file=sys.stderr, flush=True)


def _report_failure(results, folder, error, ranks, args):
    """Local: the ranks may be out of step by now, and what failed matters more than where the report goes."""
    text = _report(results, folder, error, args.json)
    if ranks.rank == 0 and (results or args.json):
        try:
            _say(text)
        except WrpError as lost:
            error.message += f"; {lost}"


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
        return json.dumps(report.record(results, folder, error), indent=1)
    return "\n".join(report.table(results)) if results else "nothing to do: the job file has no transfers"


def _say(text):
    """Print for the user; WrpError when standard output takes nothing, as behind `| head`."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        discard(sys.stdout)
        reason = getattr(error, "strerror", None) or error
        raise WrpError(f"standard output can't be written ({reason}); what was to be told there is lost, not what is in the store") from error


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
