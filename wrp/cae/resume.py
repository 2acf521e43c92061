"""Which transfers earlier runs of a job have finished: a file with a line each, so that a requeued job goes on where it was stopped.

The file belongs to one job: it says nothing about sources that change between its runs.
"""

import dataclasses
import json
import os

from wrp.cae import plan, url
from wrp.comm.checksum import hash64
from wrp.errors import UsageError


class Finished:
    """The file at `path`. Used by rank 0 only."""

    def __init__(self, path):
        self._path = path

    def remaining(self, job, store):
        """The `omni.Job` less its transfers that are noted and whose tag, or one blob, is in the store. Local; UsageError."""
        self._append("")                # a file that can't be written is refused before the work
        lines = set(self._read().splitlines())
        done = {transfer.number for transfer in job.transfers
                if _line(transfer) in lines and _is_in(transfer, store)}
        needs = plan.dependencies(job.transfers)
        left = tuple(_freed(transfer, needs, done) for transfer in job.transfers if transfer.number not in done)
        return dataclasses.replace(job, transfers=left)

    def note(self, transfer):
        """Add a transfer that is durable in the store; the line is on the disk when this returns. UsageError."""
        torn = self._read()[-1:] not in ("", "\n")      # killed while it wrote: that line counts for nothing
        self._append("\n" * torn + _line(transfer) + "\n")

    def _append(self, text):
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"{self._path} can't be written: {error.strerror}; name a file for --resume that can") from None

    def _read(self):
        try:
            with open(self._path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self._path} can't be read as the list of finished transfers: {error}") from None


def _is_in(transfer, store):
    protocol, name = url.parse(transfer.src)
    return store.exists(url.tag_of(transfer.dst), name if protocol == "string" else None)


def _line(transfer):
    """Names the transfer; the digest is over all that says what it takes in (tokens among it: they are not to be read here)."""
    facts = [repr(value) for key, value in sorted(vars(transfer).items()) if key not in ("number", "depends_on", "name")]
    digest = f"{hash64(chr(10).join(facts).encode('utf-8', 'surrogatepass')) & (1 << 64) - 1:016x}"
    return json.dumps({"dst": transfer.dst, "src": url.shown(transfer.src), "digest": digest})


def _freed(transfer, needs, done):
    """The transfer, not waiting for one that is done."""
    need = needs[transfer.number]
    return dataclasses.replace(transfer, depends_on="") if need is not None and need.number in done else transfer
