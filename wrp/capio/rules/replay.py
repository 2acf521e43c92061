"""Records of events, as `events.to_record` makes them, given to a new `Machine`: the same state again, in milliseconds. Reads no file."""

from wrp.capio.rules import events
from wrp.capio.rules.machine import Machine, Options


def replay(workflow, records, options=Options()):
    """The Machine that has seen all these records."""
    machine = Machine(workflow, options)
    for record in records:
        machine.handle(events.from_record(record))
    return machine
