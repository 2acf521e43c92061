"""Runs the transfers of a job on all ranks: survey once, split, everybody reads its share into one batch, commit."""

import time
from dataclasses import dataclass, field

from wrp.cae import claims, plan, registry, remarks, split, url
from wrp.cae.progress import Silent
from wrp.comm.checksum import hash64
from wrp.errors import SourceError, SourceMissing, WrpError

_DESCRIPTION = "description"
_AT_ONCE = 32                           # blobs that are taken from the page cache before the others hear of this rank
_SHOWN = 8                              # numbers of transfers in a sentence


@dataclass(frozen=True)
class Result:
    """What one transfer took in, the same on every rank but for its seconds there.

    `checksum`: 16 hex digits over all names, sizes and checksums of its blobs; the same for any N.
    """

    number: int
    src: str
    dst: str
    datasets: int
    nbytes: int
    seconds: float = field(compare=False)
    checksum: str

    @property
    def mb_per_s(self):
        return self.nbytes / 1e6 / self.seconds if self.seconds else 0.0


def run(job, store, ranks, progress=None):
    """Take in every transfer of the `omni.Job`, one after the other; [Result] on every rank. Collective.

    Stops at the first transfer that fails and raises its error on every rank: it names the transfer, which leaves nothing in the
    store, those before it stay, and those after it (so also those that depend on it), which it names too, don't run.
    Taking a tag in again replaces it.
    """
    progress = progress or Silent()
    with ranks.agreed("putting the transfers in order"):
        transfers = plan.order(job.transfers)
    for note in job.notes:
        progress.note(note)
    results = []
    for place, transfer in enumerate(transfers, start=1):
        try:
            results.append(_transfer(transfer, store, ranks, progress))
        except WrpError as error:
            error.message = f"{transfer.label}: {error.message}{_not_run(transfers[place:])}"
            raise
    return results


def notes_of(transfer, survey):
    """Sentences for the user on a transfer and what its source holds."""
    return *transfer.notes, *remarks.of_values(transfer, url.parse(transfer.src)[0]), *survey.notes


def _not_run(transfers):
    numbers = [str(transfer.number) for transfer in transfers]
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f"; transfer {numbers[0]} was not run"
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"; transfers {', '.join(numbers[:_SHOWN])}{more} were not run"


def _transfer(transfer, store, ranks, progress):
    began = time.monotonic()
    progress.begin(transfer)
    survey = ranks.share_of(lambda: _surveyed(transfer, store), f"{transfer.label}: looking at {url.shown(transfer.src)}")
    for note in notes_of(transfer, survey):
        progress.note(note)

    with store.batch(transfer.label) as batch:
        if ranks.rank == 0:
            _describe(survey, store, batch)
        _read(survey, batch, ranks, progress)
    result = Result(transfer.number, transfer.src, transfer.dst, sum(item.is_dataset for item in survey.items),
                    survey.nbytes, time.monotonic() - began, _checksum(batch.entries))
    progress.finish(result)
    return result


def _surveyed(transfer, store):
    try:
        survey = registry.assimilator(url.parse(transfer.src)[0]).survey(transfer)
    except SourceMissing as error:
        error.message += url.hints(transfer.src, transfer.folder)
        raise
    claims.check(survey, store)
    return survey


def _describe(survey, store, batch):
    """The blobs that aren't chunks, and the end of whatever an earlier transfer left under these tags."""
    if survey.replaces:
        tags = {item.tag for item in survey.items}
        for tag in sorted(({*survey.removed_tags} | claims.of(store, survey.context)) - tags):
            batch.remove(tag)
        for tag in filter(store.exists, sorted(tags)):
            batch.replace(tag)
    for item in survey.items:
        if item.description:
            batch.put(item.tag, _DESCRIPTION, item.description.encode("utf-8"))
        for name, data in item.extras:
            batch.put(item.tag, name, data)


def _read(survey, batch, ranks, progress):
    """This rank's share of the blobs, each read straight to where it stays."""
    share = split.shares(survey.items, ranks.size)[ranks.rank]
    before = _stamps(survey, share, ranks)
    total = sum(stop - first for _, first, stop in share)
    batch.expect(sum(_nbytes(survey.items[number], first, stop) for number, first, stop in share))
    done = 0
    for number, first, stop in share:
        item = survey.items[number]
        reader = item.open()
        try:
            for count in _taken(item, reader, first, stop, batch):
                done += count
                ranks.tick()
                progress.advance(done, total)
        except MemoryError as error:
            if isinstance(error, WrpError):
                raise
            raise SourceError(f"not enough memory to decode {item.tag}; use fewer ranks per node") from error
        finally:
            reader.close()
    for stamp in before:
        stamp.check()


def _nbytes(item, first, stop):
    start, _ = item.extent(first)
    return min(stop * item.blob_nbytes, item.nbytes) - start


def _taken(item, reader, first, stop, batch):
    """Take in some blobs of an item; yields how many, again and again."""
    for low in range(first, stop, _AT_ONCE):
        high = min(low + _AT_ONCE, stop)
        where = reader.whereabouts(item.extent(low)[0]) if hasattr(reader, "whereabouts") else None
        count = _from_cache(item, where, low, high, batch) if where else 0
        if count:
            yield count
        if hasattr(reader, "expect"):
            reader.expect(list(map(item.extent, range(low + count, high))))
        for blob in range(low + count, high):
            start, nbytes = item.extent(blob)
            with batch.writing(item.tag, item.name(blob), nbytes) as buffer:
                reader.read_into(buffer, start)
            yield 1


def _from_cache(item, where, low, high, batch):
    """How many blobs, from `low` on, which lie at `where`, needed no reading."""
    fd, offset = where
    sizes = [item.blob_nbytes] * (high - low - 1) + [item.extent(high - 1)[1]]
    return batch.take(item.tag, list(map(item.name, range(low, high))), sizes, fd, offset)


def _stamps(survey, share, ranks):
    """What to compare the sources with at the end: as they were surveyed, elsewhere than on rank 0's node as they are now."""
    if ranks.node == 0:
        return survey.sources
    return tuple(stamp.here() for stamp in survey.sources) if share else ()


def _checksum(entries):
    lines = sorted(f"{entry.tag}\0{entry.blob}\0{entry.size}\0{entry.checksum}" for entry in entries)
    return f"{hash64(chr(10).join(lines).encode('utf-8')) & (1 << 64) - 1:016x}"
