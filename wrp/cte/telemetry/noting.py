"""What the store's own kernels note while they work: reads in the record, operations in the node's ring, bytes in the counters of its ram."""

from wrp.comm.atomics import load, store, wall_ns
from wrp.comm.jit import kernel
from wrp.cte.images import entry_find
from wrp.cte.layout import COUNTERS, KEY0, READ, READS, STAMP, TAG, TELEMETRY, record_at
from wrp.cte.telemetry.counters import count_io
from wrp.cte.telemetry.ring import telemetry_record

_PUT, _GET = 0, 1


@kernel
def note_read(at, number, offset, nbytes):
    """A blob was read: its record counts it, and the ring has it, where telemetry is on."""
    record = record_at(at, number)
    now = wall_ns()
    store(record + READ, now)
    store(record + READS, load(record + READS) + 1)     # not atomic: some of the reads at the same moment may not count
    ring = load(at + TELEMETRY)
    if ring != 0:
        tag = load(record_at(at, load(record + TAG)) + KEY0)
        telemetry_record(at + ring, _GET, tag, load(record + KEY0), offset, nbytes, load(record + STAMP), now)


@kernel
def note_put(at, tag, blob, nbytes, stamp):
    """A blob was put; tag, blob: first words of their keys."""
    ring = load(at + TELEMETRY)
    if ring != 0:
        telemetry_record(at + ring, _PUT, tag, blob, 0, nbytes, stamp, 0)


@kernel
def note_moved(at, target, is_write, nbytes):
    """Bytes were written to, or read from, the first ram or one of COUNTED_FILES."""
    counters = load(at + COUNTERS)
    if counters != 0:
        count_io(at + counters, target, is_write, nbytes, 1)


@kernel
def note_read_of(at, name, name_nbytes, offset, nbytes):
    """As `note_read`, of the blob with the full name at the address `name`; nothing when it isn't there."""
    number = entry_find(at, name, name_nbytes)[0]
    if number > 0:
        note_read(at, number, offset, nbytes)
