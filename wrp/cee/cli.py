"""The command ``wrp_cee``: ls, query, stat, retrieve, export, import, label, destroy, recover, salvage. Rank 0 speaks, every rank ends alike."""

import io
import json
import sys
from contextlib import redirect_stdout

from wrp import __version__
from wrp.cee.opening import DEFAULT_FOLDER, opened
from wrp.comm.command import Parser, say
from wrp.comm.ranks import run
from wrp.errors import UsageError


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
    if args.work == "salvage":
        answer, lines = ranks.share_of(lambda: _work(args)(args), "salvaging the store")
    else:
        store, ranks = opened(args.store, write=args.writes, make=args.work == "import_dataset")
        with store:
            answer, lines = _work(args)(args, store, ranks)
    if args.json or lines:
        _say(ranks, json.dumps(answer, indent=1) if args.json else "\n".join(lines))


def _work(args):
    from wrp.cee import answers                 # slow to import, and nothing for --help and wrong arguments

    return getattr(answers, args.work)


def _say(ranks, text):
    with ranks.agreed("print the answer"):
        if ranks.rank == 0:
            say(text)


def _parsed(arguments):
    """(arguments, None) or (None, UsageError): every rank reads the same line, so the error can wait until the ranks have met."""
    try:
        args = _parser().parse_args(arguments)
        if args.work == "retrieve" and args.json and not args.out:
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

    def command(name, text, work=None, writes=False):
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--store", metavar="DIR",
                         help=f"the store's folder (default: WRP_STORE, else ./{DEFAULT_FOLDER})")
        sub.add_argument("--json", action="store_true", help="print the answer as JSON")
        sub.set_defaults(work=work or name, writes=writes)
        return sub

    sub = command("ls", "List tags, their blobs and bytes.")
    sub.add_argument("tag_re", nargs="?", default=".*", help="regular expression for whole tag names (default: all)")

    sub = command("query", "List the blobs whose tag and name match.")
    sub.add_argument("tag_re", help="regular expression for whole tag names")
    sub.add_argument("blob_re", nargs="?", default=".*", help="regular expression for whole blob names (default: all)")
    sub.add_argument("--limit", type=int, default=0, metavar="N", help="at most N blobs (default: 0 = all)")

    sub = command("stat", "Show size, checksum, score, last change of a tag's blobs, and how they are stored: bytes, codec, targets; "
                  "without a tag what holds the store's bytes, and how its safe devices are.")
    sub.add_argument("tag", nargs="?")
    sub.add_argument("blob", nargs="?", help="one blob (default: all of the tag)")

    sub = command("retrieve", "Write the bytes of the matching blobs, one after the other.")
    sub.add_argument("tag_re", help="regular expression for whole tag names")
    sub.add_argument("blob_re", nargs="?", default=".*", help="regular expression for whole blob names (default: all)")
    sub.add_argument("--out", metavar="FILE", help="write to FILE (default: standard output)")
    sub.add_argument("--force", action="store_true", help="replace the file when it exists")
    sub.add_argument("--limit", type=int, default=0, metavar="N", help="at most N blobs (default: 0 = all)")

    sub = command("export", "Rebuild the file that a tag was taken in from.", "export_context")
    sub.add_argument("tag", help="the tag that dst named")
    sub.add_argument("path", help="the file to write")
    sub.add_argument("--format", choices=("hdf5", "binary"), default="",
                     help="hdf5: an HDF5 file of any tag; binary: records of name and bytes of each blob (default: as it was taken in)")
    sub.add_argument("--force", action="store_true", help="replace the file when it exists")

    sub = command("import", "Take one dataset of an HDF5 file in as the reference's import does: its chunks, and what it is.", "import_dataset", writes=True)
    sub.add_argument("tag", help="the tag; the dataset's path, too, unless the file's name is followed by :/its/path")
    sub.add_argument("path", help="the HDF5 file")

    sub = command("label", "Ask a language model about blobs that have no label since they changed, and keep what it says as NAME_label.", writes=True)
    sub.add_argument("rules", metavar="rules.yaml", help="which blobs, which model, which prompt: label_endpoint, label_prompts, label_matches")

    sub = command("destroy", "Remove contexts, an HDF5 one with all its datasets.", writes=True)
    sub.add_argument("tags", nargs="+", metavar="tag")

    sub = command("recover", "Rebuild members of safe devices that are out, from the others.", writes=True)
    sub.add_argument("member", nargs="?", help="the file of one, as stat names it (default: all that are out)")
    sub.add_argument("--to", metavar="FILE", help="where the member's new file is to be (default: where it was)")

    sub = command("salvage", "Say what can still be had of a store that is refused because its records are damaged; with --write make a sound store of that.")
    sub.add_argument("--write", action="store_true", help="write the sound store; the damaged files are kept in a folder damaged-NUMBER beside it (default: change nothing)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
