"""The command ``wrp_cee``: ls, query, stat, retrieve, export, import, label, destroy, recover, salvage. Rank 0 speaks, every rank ends alike."""

import dataclasses
import io
import json
import shlex
import sys
import time
from contextlib import redirect_stdout

from wrp import __version__
from wrp.cee import explore, export, members
from wrp.cee.opening import DEFAULT_FOLDER, opened, store_folder
from wrp.cee.printing import checksum, count, moment, table, visible
from wrp.comm.command import Parser, say, speaking
from wrp.comm.ranks import run
from wrp.comm.sizes import format_size
from wrp.cte import Store
from wrp.errors import UsageError, WrpError
from wrp.runtime.devices.safe.seen import describe


def main(arguments=None):
    """Run the command; returns its exit code (see wrp.errors), the same on every rank. Collective."""
    return run(lambda ranks: _command(sys.argv[1:] if arguments is None else arguments, ranks))


def _command(arguments, ranks):
    with redirect_stdout(io.StringIO()) as told:            # --help and --version
        args, wrong = _parsed(arguments)
    if told.getvalue():
        _say(ranks, told.getvalue().rstrip())
        return
    with ranks.agreed("reading the command line"):
        if wrong:
            raise wrong
    if args.work is _salvage:
        answer, lines = ranks.share_of(lambda: _salvage(args), "salvaging the store")
    else:
        store, ranks = opened(args.store, write=args.writes, make=args.work is _import)
        with store:
            answer, lines = args.work(args, store, ranks)
    if args.json or lines:
        _say(ranks, json.dumps(answer, indent=1) if args.json else "\n".join(lines))


def _say(ranks, text):
    with ranks.agreed("print the answer"):
        if ranks.rank == 0:
            say(text)


def _warn(ranks, sentences):
    if ranks.rank == 0:
        for sentence in sentences:
            print(f"wrp: {visible(sentence)}", file=sys.stderr, flush=True)


def _parsed(arguments):
    """(arguments, None) or (None, UsageError): every rank reads the same line, so the error can wait until the ranks have met."""
    try:
        args = _parser().parse_args(arguments)
        if args.work is _retrieve and args.json and not args.out:
            raise UsageError("retrieve --json prints what was written, so it wants --out FILE for the bytes")
        if getattr(args, "limit", 0) < 0:
            raise UsageError(f"--limit {args.limit}: it must be 0 (all) or more")
        return args, None
    except UsageError as error:
        return None, error
    except SystemExit:              # after --help or --version
        return None, None


def _parser():
    parser = Parser(prog="wrp_cee", description="Look into a store, get contexts out of it, destroy them.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, work, text, writes=False):
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--store", metavar="DIR",
                         help=f"the store's folder (default: WRP_STORE, else ./{DEFAULT_FOLDER})")
        sub.add_argument("--json", action="store_true", help="print the answer as JSON")
        sub.set_defaults(work=work, writes=writes)
        return sub

    sub = command("ls", _ls, "List tags, their blobs and bytes.")
    sub.add_argument("tag_re", nargs="?", default=".*", help="regular expression for whole tag names (default: all)")

    sub = command("query", _query, "List the blobs whose tag and name match.")
    sub.add_argument("tag_re", help="regular expression for whole tag names")
    sub.add_argument("blob_re", nargs="?", default=".*", help="regular expression for whole blob names (default: all)")
    sub.add_argument("--limit", type=int, default=0, metavar="N", help="at most N blobs (default: 0 = all)")

    sub = command("stat", _stat, "Show size, checksum, score, last change of a tag's blobs, and how they are stored: bytes, codec, targets; "
                  "without a tag what holds the store's bytes, and how its safe devices are.")
    sub.add_argument("tag", nargs="?")
    sub.add_argument("blob", nargs="?", help="one blob (default: all of the tag)")

    sub = command("retrieve", _retrieve, "Write the bytes of the matching blobs, one after the other.")
    sub.add_argument("tag_re", help="regular expression for whole tag names")
    sub.add_argument("blob_re", nargs="?", default=".*", help="regular expression for whole blob names (default: all)")
    sub.add_argument("--out", metavar="FILE", help="write to FILE (default: standard output)")
    sub.add_argument("--force", action="store_true", help="replace the file when it exists")
    sub.add_argument("--limit", type=int, default=0, metavar="N", help="at most N blobs (default: 0 = all)")

    sub = command("export", _export, "Rebuild the file that a tag was taken in from.")
    sub.add_argument("tag", help="the tag that dst named")
    sub.add_argument("path", help="the file to write")
    sub.add_argument("--format", choices=export.FORMATS, default="",
                     help="hdf5: an HDF5 file of any tag; binary: records of name and bytes of each blob (default: as it was taken in)")
    sub.add_argument("--force", action="store_true", help="replace the file when it exists")

    sub = command("import", _import, "Take one dataset of an HDF5 file in as the reference's import does: its chunks, and what it is.", writes=True)
    sub.add_argument("tag", help="the tag; the dataset's path, too, unless the file's name is followed by :/its/path")
    sub.add_argument("path", help="the HDF5 file")

    sub = command("label", _label, "Ask a language model about blobs that have no label since they changed, and keep what it says as NAME_label.", writes=True)
    sub.add_argument("rules", metavar="rules.yaml", help="which blobs, which model, which prompt: label_endpoint, label_prompts, label_matches")

    sub = command("destroy", _destroy, "Remove contexts, an HDF5 one with all its datasets.", writes=True)
    sub.add_argument("tags", nargs="+", metavar="tag")

    sub = command("recover", _recover, "Rebuild members of safe devices that are out, from the others.", writes=True)
    sub.add_argument("member", nargs="?", help="the file of one, as stat names it (default: all that are out)")
    sub.add_argument("--to", metavar="FILE", help="where the member's new file is to be (default: where it was)")

    sub = command("salvage", _salvage, "Say what can still be had of a store that is refused because its records are damaged; with --write make a sound store of that.")
    sub.add_argument("--write", action="store_true", help="write the sound store; the damaged files are kept in a folder damaged-NUMBER beside it (default: change nothing)")
    return parser


# one function per command: (answer for --json, lines for people)

def _ls(args, store, ranks):
    with ranks.agreed("listing the tags"):
        rows = explore.ls(store, args.tag_re)
    if not rows:
        return [], ["the store is empty"]
    return _plain(rows), table(("tag", "blobs", "bytes"), [(row.tag, row.blobs, format_size(row.nbytes)) for row in rows])


def _query(args, store, ranks):
    rows = _matching(args, store, ranks)
    lines = table(("tag", "blob", "bytes"), [(row.tag, row.blob, row.size) for row in rows])
    return _plain(rows), lines + [_sum(rows)]


def _matching(args, store, ranks):
    with ranks.agreed("looking for the blobs"):
        return explore.query(store, args.tag_re, args.blob_re, args.limit)


def _stat(args, store, ranks):
    if args.tag is None:
        return _lasting(store, ranks)
    with ranks.agreed(f"looking at {args.tag}"):
        rows = explore.stat(store, args.tag, args.blob)
    lines = [(row.blob, row.size, checksum(row.checksum), f"{row.score:g}", moment(row.stamp), row.stored, row.codec, ",".join(row.targets))
             for row in rows]
    answer = [dict(plain, checksum=checksum(plain["checksum"])) for plain in _plain(rows)]
    return answer, table(("blob", "bytes", "crc32", "score", "changed", "stored", "codec", "targets"), lines)


def _lasting(store, ranks):
    with ranks.agreed("looking at what holds the store's bytes"):
        found = store.lasting()
    rows = [row for each in found for row in (_members(each.state) if each.state else [(each.kind, "", each.name)])]
    said = [visible(f"safe: {describe(each.state)}") for each in found if each.state]
    return _plain(found), table(("kind", "state", "file"), rows) + said


def _members(state):
    """Rows of a table, one for each member of a safe device."""
    return [("safe", "being recovered" if member in state["recovering"] else "out" if member in state["failed"] else "in", member) for member in state["members"]]


def _recover(args, store, ranks):
    found = members.recover(store, ranks, args.member, args.to)
    return {"recovered": found}, [visible(f"{path}: {count(chunks, 'chunk')} rebuilt") for path, chunks in found.items()] or ["no member is out"]


def _salvage(args):
    found = Store.salvage(store_folder(args.store), args.write)
    lines = [f"damaged: {path}, {nbytes} bytes from byte {start} on" for path, start, nbytes in found.damaged]
    lines += [f"lost: {each.tag}{f'/{each.blob}' if each.blob else ''}: {each.why}" for each in found.lost]
    if not found.is_complete:
        lines.append("more may be lost or older than is named here: not all that stood in the damaged bytes can be read")
    lines.append(f"{count(found.kept, 'blob')} kept" + (f"; the damaged files are in {found.aside}" if found.aside else ", nothing was written: see --write" if found.damaged or found.lost else ", and nothing is damaged"))
    return {**found._asdict(), "lost": [each._asdict() for each in found.lost]}, list(map(visible, lines))


def _retrieve(args, store, ranks):
    rows = _matching(args, store, ranks)
    if args.out:
        export.write_rows(store, rows, args.out, ranks, args.force)
    else:
        with ranks.agreed("write the retrieved bytes"):
            if ranks.rank == 0:
                if sys.stdout.isatty():
                    raise UsageError("bytes of blobs are nothing for a terminal: give --out FILE, or send standard output elsewhere")
                with speaking():
                    export.print_rows(store, rows)
    lines = [f"{_sum(rows)} written to {visible(args.out)}"] if args.out else []
    return {"blobs": _plain(rows), "nbytes": sum(row.size for row in rows), "out": args.out}, lines


def _export(args, store, ranks):
    began = time.monotonic()
    nbytes = export.run(store, args.tag, args.path, ranks, args.force, args.format)
    seconds = time.monotonic() - began
    with ranks.agreed(f"look at what {args.tag} is"):
        whole, notes = (None, []) if args.format == "binary" else (explore.context_of(store, args.tag), export.notes(store, args.tag))
    _warn(ranks, notes)
    line = f"{visible(args.path)}: {format_size(nbytes)} in {seconds:.2f} s"
    if whole:
        line += f", raw bytes of one dataset (wrp_cee export {shlex.quote(whole)} rebuilds the HDF5 file)"
    return {"tag": args.tag, "path": args.path, "nbytes": nbytes, "seconds": round(seconds, 3), "notes": notes}, [visible(line)]


def _import(args, store, ranks):
    from wrp.cae import ingest, omni

    job = omni.Job((omni.Transfer(1, f"kvhdf5::{args.path}", f"iowarp::{args.tag}", "hdf5"),))
    with ranks.agreed("reading the command line"):
        omni.check(job.transfers, "wrp_cee import")
    result, = ingest.run(job, store, ranks)
    answer = {"tag": args.tag, "path": args.path, "nbytes": result.nbytes, "seconds": round(result.seconds, 3), "checksum": result.checksum}
    return answer, [visible(f"{args.tag}: {format_size(result.nbytes)} in {result.seconds:.2f} s")]


def _label(args, store, ranks):
    from wrp.cae import labels
    from wrp.cae.url import shown

    with ranks.agreed(f"reading {args.rules}"):
        rules = labels.load(args.rules)
    found = labels.run(store, ranks, rules)
    if found.failed or found.left:
        raise WrpError(f"{found.labelled} of {sum(found)} blobs got their label, {found.failed} failed, {found.left} wait because {shown(rules.endpoint)} "
                       "is silent (the log says which and why): call it again")
    return found._asdict(), [f"{count(found.labelled, 'label')} made"]


def _destroy(args, store, ranks):
    with ranks.agreed("look for the contexts of the tags"):
        torn = {tag: explore.context_of(store, tag) for tag in args.tags}
    explore.destroy(store, args.tags, ranks)
    _warn(ranks, [f"{tag} was a dataset of {context}: {context} can't be exported whole any more; take its source in again "
                  "to have it back" for tag, context in torn.items() if context and context not in args.tags])
    return {"destroyed": args.tags}, [visible(f"destroyed {', '.join(args.tags)}")]


def _plain(rows):
    return [dataclasses.asdict(row) for row in rows]


def _sum(rows):
    return f"{count(len(rows), 'blob')}, {format_size(sum(row.size for row in rows))}"


if __name__ == "__main__":
    sys.exit(main())
