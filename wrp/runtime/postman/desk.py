"""Desk: the words that a postman's kernel works on, and rows: what it knows of the other nodes and of the plain tasks under way. Moves nothing.

`quick` is the address of the words, in memory of the process; the other arrays lie where they say. A task that goes has a row of `sent`, one that is served a row of `served`; numbers of letters say the row and are below 0, those of Python above.
"""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.ways import WAY_NBYTES
from wrp.runtime import tasks

ROWS = 1024             # tasks of this side, and of others, under way at once; more go through Python

# Byte offsets of words: where things lie (addresses)
BASE, FREE, LANE, LANE_OFFSET, LANES, LANE_NBYTES, TABLE, CALLS, WAYS, LETTER, NODES, SENT, SERVED, COME, KNOCKS, HEARD_KNOCKS = (8 * n for n in range(16))
# and counts, settings, and heads of lists (0: none): rows count from 1
NODE, WAY_COUNT, RANKS, BUSY, LONGEST, FREE_SENT, FREE_SERVED, BACKLOG, SERIAL, LISTEN_AT, KNOCKED_AT, ACTIVE_AT = (8 * n for n in range(16, 28))
# between the kernel and Python: SLOW 1: something waits there, nothing may overtake it; TASK: a task for Python, -1: none;
# LEFT: records that are done, for Python, the last one first; RINGING 1: it has something to do
SLOW, FOR_PYTHON, LEFT, RINGING = (8 * n for n in range(28, 32))
# who makes turns: HELD 1: somebody does; WANTED 1: the postman itself is to be the next; PENDING 1: another has left something for Python; DRIVEN_AT: when another did
HELD, WANTED, PENDING, DRIVEN_AT = (8 * n for n in range(32, 36))
# whose short tasks may be run here (RUN 0: nobody's): address of the kernel that does, of the worker's context, number of its lane, and which are short, see `inline`
RUN, CONTEXT, RUN_LANE, SHORTS = (8 * n for n in range(36, 40))
HOLDER = 8 * 40         # the word of who makes turns, as holder of tokens
NOTES, NOTE_LEFT = 8 * 41, 8 * 42       # address of the notes by which nodes tell of participants of meetings, 0: by letters; 1: the next one is for Python
WAITED_FOR = 8 * 43     # not 0: of those that have knocked one waits for many bytes
WORDS = 44

# of a node
HEARD, FLYING, LOST = 0, 8, 16          # when it was heard of (ns), plain tasks that it has, 1: it is silent
NODE_WORDS = 4
# of a row: the record, the letter's number (0: the row is free), the other node, the task's deadline (ns); of a free one the next
OFFSET, NUMBER, OTHER, DUE, NEXT = 0, 8, 16, 24, 24
ROW_WORDS = 4

WORKED, PYTHON = 1, 2           # bits of what `turns` gives


@kernel
def row_at(quick, rows, row):
    """Address of a row, of those that lie at the word `rows`: SENT or SERVED."""
    return atomics.load(quick + rows) + 8 * ROW_WORDS * (row - 1)


@kernel
def row_take(quick, rows, free):
    """Number of a free row, or 0."""
    row = atomics.load(quick + free)
    if row:
        atomics.store(quick + free, atomics.load(row_at(quick, rows, row) + NEXT))
    return row


@kernel
def row_give(quick, rows, free, row):
    """Done with it."""
    each = row_at(quick, rows, row)
    atomics.store(each + NUMBER, 0)
    atomics.store(each + NEXT, atomics.load(quick + free))
    atomics.store(quick + free, row)


@kernel
def rows_format(quick):
    """All rows are free."""
    for row in range(ROWS, 0, -1):
        row_give(quick, SENT, FREE_SENT, row)
        row_give(quick, SERVED, FREE_SERVED, row)


@kernel
def node_at(quick, node):
    """Address of what is known of a node."""
    return atomics.load(quick + NODES) + 8 * NODE_WORDS * node


@kernel
def way_at(quick, node, box):
    """Address of the words of a box towards another node, or from there (see `ways`)."""
    return atomics.load(quick + WAYS) + (2 * (node - (node > atomics.load(quick + NODE))) + box) * WAY_NBYTES


@kernel
def post_finish(base, free, offset, code, v0, v1, v2, v3):
    """Put the results of a task into its record and tell who waits."""
    task = base + offset
    tasks.task_value(task, 0, v0)
    tasks.task_value(task, 1, v1)
    tasks.task_value(task, 2, v2)
    tasks.task_value(task, 3, v3)
    atomics.store(task + tasks.TOOK, atomics.now_ns() - atomics.load(task + tasks.BORN))
    tasks.task_finish(base, free, offset, code)


@kernel
def sent_end(quick, number, code, v0, v1, v2, v3):
    """The end of the task of this node that went with this number, if it hasn't ended before."""
    row = -number % ROWS + 1
    each = row_at(quick, SENT, row)
    if atomics.load(each + NUMBER) != number:
        return
    other = node_at(quick, atomics.load(each + OTHER))
    atomics.store(other + FLYING, atomics.load(other + FLYING) - 1)
    offset = atomics.load(each + OFFSET)
    row_give(quick, SENT, FREE_SENT, row)
    post_finish(atomics.load(quick + BASE), atomics.load(quick + FREE), offset, code, v0, v1, v2, v3)
