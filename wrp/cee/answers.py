"""What the command ``wrp_cee`` does: one function for each of its words, collective, which gives (the answer for --json, lines for people)."""

import dataclasses
import shlex
import sys
import time

from wrp.cee import explore, export, members
from wrp.cee.opening import store_folder
from wrp.cee.printing import checksum, count, moment, table, visible
from wrp.comm.command import speaking
from wrp.comm.sizes import format_size
from wrp.cte import Store
from wrp.errors import UsageError, WrpError
from wrp.runtime.devices.safe.seen import describe


def ls(args, store, ranks):
    with ranks.agreed("listing the tags"):
        rows = explore.ls(store, args.tag_re)
    if not rows:
        return [], ["the store is empty"]
    return _plain(rows), table(("tag", "blobs", "bytes"), [(row.tag, row.blobs, format_size(row.nbytes)) for row in rows])


def query(args, store, ranks):
    rows = _matching(args, store, ranks)
    lines = table(("tag", "blob", "bytes"), [(row.tag, row.blob, row.size) for row in rows])
    return _plain(rows), lines + [_sum(rows)]


def _matching(args, store, ranks):
    with ranks.agreed("looking for the blobs"):
        return explore.query(store, args.tag_re, args.blob_re, args.limit)


def stat(args, store, ranks):
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


def recover(args, store, ranks):
    found = members.recover(store, ranks, args.member, args.to)
    return {"recovered": found}, [visible(f"{path}: {count(chunks, 'chunk')} rebuilt") for path, chunks in found.items()] or ["no member is out"]


def salvage(args):
    found = Store.salvage(store_folder(args.store), args.write)
    lines = [f"damaged: {path}, {nbytes} bytes from byte {start} on" for path, start, nbytes in found.damaged]
    lines += [f"lost: {each.tag}{f'/{each.blob}' if each.blob else ''}: {each.why}" for each in found.lost]
    if not found.is_complete:
        lines.append("more may be lost or older than is named here: not all that stood in the damaged bytes can be read")
    lines.append(f"{count(found.kept, 'blob')} kept" + (f"; the damaged files are in {found.aside}" if found.aside else ", nothing was written: see --write" if found.damaged or found.lost else ", and nothing is damaged"))
    return {**found._asdict(), "lost": [each._asdict() for each in found.lost]}, list(map(visible, lines))


def retrieve(args, store, ranks):
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


def export_context(args, store, ranks):
    began = time.monotonic()
    nbytes = export.run(store, args.tag, args.path, ranks, args.force, args.format)
    seconds = time.monotonic() - began
    with ranks.agreed(f"look at what {args.tag} is"):
        whole, notes = (None, []) if args.format == "binary" else (explore.context_of(store, args.tag), export.notes(store, args.tag, args.path))
    _warn(ranks, notes)
    line = f"{visible(args.path)}: {format_size(nbytes)} in {seconds:.2f} s"
    if whole:
        line += f", raw bytes of one dataset (wrp_cee export {shlex.quote(whole)} rebuilds the HDF5 file)"
    return {"tag": args.tag, "path": args.path, "nbytes": nbytes, "seconds": round(seconds, 3), "notes": notes}, [visible(line)]


def import_dataset(args, store, ranks):
    from wrp.cae import ingest, omni

    job = omni.Job((omni.Transfer(1, f"kvhdf5::{args.path}", f"iowarp::{args.tag}", "hdf5"),))
    with ranks.agreed("reading the command line"):
        omni.check(job.transfers, "wrp_cee import")
    result, = ingest.run(job, store, ranks)
    answer = {"tag": args.tag, "path": args.path, "nbytes": result.nbytes, "seconds": round(result.seconds, 3), "checksum": result.checksum}
    return answer, [visible(f"{args.tag}: {format_size(result.nbytes)} in {result.seconds:.2f} s")]


def label(args, store, ranks):
    from wrp.cae import labels
    from wrp.cae.url import shown

    with ranks.agreed(f"reading {args.rules}"):
        rules = labels.load(args.rules)
    found = labels.run(store, ranks, rules)
    if found.failed or found.left:
        raise WrpError(f"{found.labelled} of {sum(found)} blobs got their label, {found.failed} failed, {found.left} wait because {shown(rules.endpoint)} "
                       "is silent (the log says which and why): call it again")
    return found._asdict(), [f"{count(found.labelled, 'label')} made"]


def destroy(args, store, ranks):
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


def _warn(ranks, sentences):
    if ranks.rank == 0:
        for sentence in sentences:
            print(f"wrp: {visible(sentence)}", file=sys.stderr, flush=True)
