"""Quick: the postman's turn as a kernel, for plain tasks of one container. What isn't plain it leaves to the postman in Python.

Plain on this side is a task without a time limit for silent nodes and without joining; on the other side any task of one container. One thread
at a time runs it, who has HELD: the postman's own, except while it rests; meanwhile one that waits for what comes from another node (see `asking`).
A short task of another node is run here where its worker rests (see `inline`). A task that goes has a row of `sent`, one that is served a row of `served`; numbers of letters say the row and are
below 0, those of Python above.
"""

from wrp.comm import atomics, onesided
from wrp.comm.jit import kernel
from wrp.comm.mailbox import REPLIES, TASKS
from wrp.comm.notes import note_drop, note_look, note_post, notes_are_over, notes_have_room
from wrp.comm.ways import WAY_NBYTES, way_comes, way_drop, way_has_room, way_look, way_post, ways_send
from wrp.runtime import asking, lanes, pools, tasks
from wrp.runtime.calling import call_handler
from wrp.runtime.inline import is_short
from wrp.runtime.meeting import rooms
from wrp.runtime.postman.serving import served_new
from wrp.runtime.postman.work import MEET, REPLY, TASK
from wrp.runtime.routing.address import CONTAINER_BITS, SLOT_BITS

ROWS = 1024             # tasks of this side, and of others, under way at once; more go through Python
_AT_ONCE = 64           # tasks, or letters of a box, taken before something else
_FIRST_NAP_NS = 20_000
_NAP_PART = 64          # a nap lasts this part of the time in which nothing has crossed: so much later a letter is seen
_LISTEN_NS, _KNOCK_NS, _BURST = 200_000, 1_000_000, 50
_DRIVEN_NS, _DRIVEN_NAP_NS = 50_000, 200_000        # after a turn of somebody who waits: until when more are expected, and the postman's nap then

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
WORDS = 43

# of a node
HEARD, FLYING, LOST = 0, 8, 16          # when it was heard of (ns), plain tasks that it has, 1: it is silent
NODE_WORDS = 4
# of a row: the record, the letter's number (0: the row is free), the other node, the task's deadline (ns); of a free one the next
OFFSET, NUMBER, OTHER, DUE, NEXT = 0, 8, 16, 24, 24
ROW_WORDS = 4

WORKED, PYTHON = 1, 2           # bits of what `turns` gives


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
def turns(quick, until):
    """Move letters, tasks and replies until something is for Python, or the clock says `until` (ns; 0: one turn): bits."""
    while True:
        if atomics.load(quick + PENDING):
            atomics.store(quick + PENDING, 0)
            return WORKED | PYTHON
        now = atomics.now_ns()
        bits = _turn(quick, now)
        if bits & WORKED:
            atomics.store(quick + ACTIVE_AT, now)
        if bits & PYTHON or until == 0:
            return bits
        if not bits and atomics.load(atomics.load(quick + LANE) + lanes.STOP) == 1 or now >= until:
            return bits
        if not bits:
            pause(quick)


@kernel
def pause(quick):
    """Let others have the core, and make turns: for a moment, or a nap when nothing has crossed for long, or others make turns."""
    now, lane = atomics.now_ns(), atomics.load(quick + LANE)
    quiet = now - atomics.load(quick + ACTIVE_AT)
    atomics.store(quick + HELD, 0)
    if atomics.load(quick + LONGEST) == 0:
        atomics.yield_core()
    elif now - atomics.load(quick + DRIVEN_AT) < _DRIVEN_NS:
        lanes.lane_rest(lane, 0, now + _DRIVEN_NAP_NS)
    elif quiet < atomics.load(quick + BUSY):
        atomics.yield_core()
    else:
        lanes.lane_rest(lane, 0, now + min(max(quiet // _NAP_PART, _FIRST_NAP_NS), atomics.load(quick + LONGEST)))
    atomics.store(quick + WANTED, 1)
    while atomics.swap(quick + HELD, 0, 1) != 0:
        atomics.yield_core()                # who makes a turn may need this core
    atomics.store(quick + WANTED, 0)


@kernel
def turn_of_other(quick, light, _2, _3):
    """A turn of a thread of this process that waits for what comes from another node: 0 when nothing was done, or somebody else is at it."""
    if atomics.load(quick + HELD) != 0 or atomics.load(quick + WANTED) != 0 or atomics.swap(quick + HELD, 0, 1) != 0:
        return 0
    bits = 0
    if atomics.load(quick + PENDING) == 0 and light and atomics.load(quick + NOTES):
        bits = _read_notes(quick, 1, light)
        if bits & WORKED:
            atomics.store(quick + DRIVEN_AT, light)
        if bits & PYTHON:
            atomics.store(quick + PENDING, 1)
    elif atomics.load(quick + PENDING) == 0:
        now = atomics.now_ns()
        bits = _turn(quick, now)
        atomics.store(quick + DRIVEN_AT, now)
        if bits & WORKED:
            atomics.store(quick + ACTIVE_AT, now)
        if bits & PYTHON:
            atomics.store(quick + PENDING, 1)
    atomics.store(quick + HELD, 0)
    if bits & PYTHON:
        lanes.lane_wake(atomics.load(quick + LANE))
    return bits


@kernel
def _turn(quick, now):
    bits, calls, lane = 0, atomics.load(quick + CALLS), atomics.load(quick + LANE)
    for _ in range(_AT_ONCE):
        offset = lanes.lane_poll(lane)
        if offset < 0:
            break
        bits |= WORKED
        if not _take(quick, offset):
            bits |= PYTHON
            break
    bits |= _take_finished(quick, lane)
    if bits:
        ways_send(calls, atomics.load(quick + WAYS), atomics.load(quick + WAY_COUNT))       # on its way before MPI is called for others
    if _listen(quick, now):
        bits |= WORKED | PYTHON             # somebody waits for bytes, and may have asked that they be sent
    bits |= _read_notes(quick, _AT_ONCE, now)
    for number in range(atomics.load(quick + WAY_COUNT)):
        if way_comes(atomics.load(quick + WAYS) + number * WAY_NBYTES):
            bits |= _read(quick, number, now)
    if atomics.load(lane + lanes.FINISHED):
        bits |= _take_finished(quick, lane)
    ways_send(calls, atomics.load(quick + WAYS), atomics.load(quick + WAY_COUNT))
    return bits | (PYTHON if atomics.load(quick + RINGING) else 0)


@kernel
def _listen(quick, now):
    """Let MPI move what others ask of this node: True if one of them has knocked. Who moves many bytes needs MPI called more
    often than everything else is looked at."""
    knocked = False
    if now >= atomics.load(quick + LISTEN_AT):
        atomics.store(quick + LISTEN_AT, now + _LISTEN_NS)
        for rank in range(atomics.load(quick + RANKS)):
            count = atomics.load(atomics.load(quick + KNOCKS) + 8 * rank)
            if count != atomics.load(atomics.load(quick + HEARD_KNOCKS) + 8 * rank):
                atomics.store(atomics.load(quick + HEARD_KNOCKS) + 8 * rank, count)
                knocked = True
        if knocked:
            atomics.store(quick + KNOCKED_AT, now)
    hurries = now - atomics.load(quick + KNOCKED_AT) < _KNOCK_NS
    if hurries or atomics.load(quick + NOTES) == 0:         # else the look for a note is enough
        onesided.progress(atomics.load(quick + CALLS), _BURST if hurries else 1)
    return knocked


@kernel
def _read_notes(quick, most, now):
    """Take what other nodes tell of participants of meetings: bits."""
    notes, bits = atomics.load(quick + NOTES), 0
    for _ in range(most if notes else 0):
        note = note_look(notes)
        if note == 0:
            if notes_are_over(notes):
                atomics.store(quick + NOTES, 0)         # by letters then
            break
        other = _node(quick, atomics.load(note + 8))
        if atomics.load(other + LOST) or not _met(quick, note, now):
            atomics.store(quick + NOTE_LEFT, 1)
            return bits | PYTHON
        atomics.store(other + HEARD, now)
        atomics.store(quick + ACTIVE_AT, now)
        note_drop(notes)
        bits = WORKED
    return bits


# rows

@kernel
def _row(quick, rows, row):
    return atomics.load(quick + rows) + 8 * ROW_WORDS * (row - 1)


@kernel
def _row_take(quick, rows, free):
    """Number of a free row, or 0."""
    row = atomics.load(quick + free)
    if row:
        atomics.store(quick + free, atomics.load(_row(quick, rows, row) + NEXT))
    return row


@kernel
def _row_give(quick, rows, free, row):
    each = _row(quick, rows, row)
    atomics.store(each + NUMBER, 0)
    atomics.store(each + NEXT, atomics.load(quick + free))
    atomics.store(quick + free, row)


@kernel
def rows_format(quick):
    """All rows are free."""
    for row in range(ROWS, 0, -1):
        _row_give(quick, SENT, FREE_SENT, row)
        _row_give(quick, SERVED, FREE_SERVED, row)


@kernel
def _node(quick, node):
    return atomics.load(quick + NODES) + 8 * NODE_WORDS * node


@kernel
def _way(quick, node, box):
    return atomics.load(quick + WAYS) + (2 * (node - (node > atomics.load(quick + NODE))) + box) * WAY_NBYTES


# tasks of this node

@kernel
def _take(quick, offset):
    """Send a task that has just come in; False when it isn't plain: then it is for Python."""
    row = 0
    if offset & 1 == 0 and atomics.load(atomics.load(quick + BASE) + offset + tasks.POOL) >> SLOT_BITS == 0:
        if _announced(quick, offset):
            return True
    elif offset & 1 == 0 and atomics.load(quick + SLOW) == 0:
        row = _row_take(quick, SENT, FREE_SENT)
    if row and _sent(quick, offset, row):
        lanes.lane_done(atomics.load(quick + LANE))     # its way is no work of this node: a flush doesn't wait for other nodes
        return True
    if row:
        _row_give(quick, SENT, FREE_SENT, row)
    atomics.store(quick + FOR_PYTHON, offset)
    return False


@kernel
def _announced(quick, offset):
    """Tell all other nodes of a participant of a meeting, see `rooms.tell`; False when that isn't possible now."""
    task = atomics.load(quick + BASE) + offset
    who, args = atomics.load(task + tasks.ARGS + 24), task + tasks.ARGS
    if not _spread(quick, atomics.load(task + tasks.POOL), (atomics.load(task + tasks.METHOD), atomics.load(args), atomics.load(args + 8), atomics.load(args + 16),
                                                            who >> 32, who & 0xFFFFFFFF, atomics.load(args + 32), atomics.load(args + 40))):
        return False
    lanes.lane_done(atomics.load(quick + LANE))
    tasks.task_finish(atomics.load(quick + BASE), atomics.load(quick + FREE), offset, 0)
    return True


@kernel
def tell_of_other(quick, ask, _2, _3):
    """Tell all other nodes of the participant that asks with the words at `ask` (see `rooms`), who makes turns then: 1; 0 when that isn't possible now."""
    if atomics.load(quick + HELD) != 0 or atomics.load(quick + WANTED) != 0 or atomics.swap(quick + HELD, 0, 1) != 0:
        return 0
    told = _spread(quick, atomics.load(atomics.load(ask + 8 * rooms.WAY) + asking.POOL),
                   (rooms.COME, atomics.load(ask + 8 * rooms.KEY), atomics.load(ask + 8 * rooms.NUMBER), atomics.load(ask + 8 * rooms.WHICH),
                    atomics.load(ask + 8 * rooms.PARTICIPANT), atomics.load(ask + 8 * rooms.PARTICIPANTS), atomics.load(ask + 8 * rooms.VALUE),
                    atomics.load(ask + 8 * rooms.TIMEOUT)))
    atomics.store(quick + HELD, 0)
    return 1 if told else 0


@kernel
def _spread(quick, pool, news):
    """Send news of a participant to all other nodes, in a note or a letter each; False when that isn't possible now."""
    notes, letter, own, last = atomics.load(quick + NOTES), atomics.load(quick + LETTER), atomics.load(quick + NODE), atomics.load(quick + WAY_COUNT) // 2
    noted = notes != 0 and notes_have_room(notes, last)
    for node in range(last + 1):
        if node != own and (atomics.load(_node(quick, node) + LOST) or not (noted or way_has_room(_way(quick, node, TASKS)))):
            return False
    high, low = pools.pool_key(pools.pool_entry(atomics.load(quick + TABLE), pool))
    for place, word in enumerate((MEET, own, high, low)):
        atomics.store(letter + 8 * place, word)
    for place, word in enumerate(news):
        atomics.store(letter + 32 + 8 * place, word)
    for node in range(last + 1):
        if node != own and not (noted and note_post(notes, node, letter)):
            way_post(_way(quick, node, TASKS), letter, 4 + rooms.NEWS_WORDS)
    return True


@kernel
def _met(quick, letter, now):
    """Note what another node tells of a participant; False when that isn't possible now."""
    slot = pools.pool_find(atomics.load(quick + TABLE), atomics.load(letter + 16), atomics.load(letter + 24))
    if slot < 0:
        return False
    place = atomics.load(pools.pool_entry(atomics.load(quick + TABLE), slot) + pools.PARAMS)
    return place != 0 and rooms.arrive(atomics.load(quick + BASE) + place, atomics.load(quick + HOLDER), letter + 32, now) == 0


@kernel
def _sent(quick, offset, row):
    task = atomics.load(quick + BASE) + offset
    word, mask = atomics.load(task + tasks.POOL), (1 << CONTAINER_BITS) - 1
    due, now = atomics.load(task + tasks.DUE), atomics.now_ns()
    # one container, no time limit of its own
    if word >> (SLOT_BITS + CONTAINER_BITS) != 1 or due and now >= due or atomics.load(task + tasks.CANCEL):
        return False
    entry, container = pools.pool_entry(atomics.load(quick + TABLE), word & (1 << SLOT_BITS) - 1), word >> SLOT_BITS & mask
    node, _ = pools.pool_place(entry, container)
    if node < 0 or node == atomics.load(quick + NODE) or atomics.load(_node(quick, node) + LOST):
        return False
    serial, letter = atomics.load(quick + SERIAL) + 1, atomics.load(quick + LETTER)
    number = -(serial * ROWS + row - 1)
    high, low = pools.pool_key(entry)
    for place, value in enumerate((TASK, number, high, low, container, 1, atomics.load(task + tasks.METHOD), atomics.load(task + tasks.COUNT),
                                    due - now if due else 0, -1, 0, 0)):
        atomics.store(letter + 8 * place, value)
    atomics.copy(letter + 8 * 12, task + tasks.ARGS, 8 * tasks.ARGUMENTS)
    if not way_post(_way(quick, node, TASKS), letter, 12 + tasks.ARGUMENTS):
        return False
    atomics.store(quick + SERIAL, serial)
    each, other = _row(quick, SENT, row), _node(quick, node)
    atomics.store(each + OFFSET, offset)
    atomics.store(each + NUMBER, number)
    atomics.store(each + OTHER, node)
    atomics.store(each + DUE, due)
    if atomics.load(other + FLYING) == 0:
        atomics.store(other + HEARD, now)
    atomics.store(other + FLYING, atomics.load(other + FLYING) + 1)
    return True


@kernel
def sent_end(quick, number, code, v0, v1, v2, v3):
    """The end of the task of this node that went with this number, if it hasn't ended before."""
    row = -number % ROWS + 1
    each = _row(quick, SENT, row)
    if atomics.load(each + NUMBER) != number:
        return
    other = _node(quick, atomics.load(each + OTHER))
    atomics.store(other + FLYING, atomics.load(other + FLYING) - 1)
    offset = atomics.load(each + OFFSET)
    _row_give(quick, SENT, FREE_SENT, row)
    post_finish(atomics.load(quick + BASE), atomics.load(quick + FREE), offset, code, v0, v1, v2, v3)


# letters, and tasks of other nodes

@kernel
def _read(quick, number, now):
    """Take letters of a way: bits."""
    way, letter, box, bits = atomics.load(quick + WAYS) + number * WAY_NBYTES, atomics.load(quick + LETTER), number % 2, 0
    node = number // 2 + (number // 2 >= atomics.load(quick + NODE))
    if atomics.load(_node(quick, node) + LOST):
        atomics.store(atomics.load(quick + COME) + 8 * number, 1)
        return PYTHON
    for _ in range(_AT_ONCE):
        if not way_look(way, letter):
            break
        if not (_answered(quick, letter) if box == REPLIES else _serve(quick, node, letter)):
            atomics.store(atomics.load(quick + COME) + 8 * number, 1)
            return bits | PYTHON
        way_drop(way)
        bits = WORKED
    if bits:
        atomics.store(_node(quick, node) + HEARD, now)
    return bits


@kernel
def _answered(quick, letter):
    number = atomics.load(letter + 8)
    if atomics.load(letter) != REPLY or number >= 0:
        return False
    sent_end(quick, number, atomics.load(letter + 16), atomics.load(letter + 24), atomics.load(letter + 32), atomics.load(letter + 40),
             atomics.load(letter + 48))
    return True


@kernel
def _serve(quick, node, letter):
    """Hand a task of another node to its worker, or note who has come to a meeting; False when that isn't possible, or not the next thing to do."""
    if atomics.load(letter) == MEET:
        return _met(quick, letter, atomics.now_ns())
    if atomics.load(letter) != TASK or atomics.load(letter + 40) != 1 or atomics.load(quick + SLOW):
        return False
    table = atomics.load(quick + TABLE)
    slot = pools.pool_find(table, atomics.load(letter + 16), atomics.load(letter + 24))
    if slot < 0:
        return False
    at, shard = pools.pool_place(pools.pool_entry(table, slot), atomics.load(letter + 32))
    row = _row_take(quick, SERVED, FREE_SERVED) if at == atomics.load(quick + NODE) else 0
    if row and _handed(quick, node, letter, row, slot + shard):
        return True
    if row:
        _row_give(quick, SERVED, FREE_SERVED, row)
    return False


@kernel
def _handed(quick, node, letter, row, slot):
    base, free, left = atomics.load(quick + BASE), atomics.load(quick + FREE), atomics.load(letter + 64)
    args = letter + 8 * 12
    offset = served_new(base, free, atomics.load(quick + LANE_OFFSET), atomics.now_ns() + left if left else 0, slot, atomics.load(letter + 48),
                        atomics.load(letter + 56), atomics.load(args), atomics.load(args + 8), atomics.load(args + 16), atomics.load(args + 24),
                        atomics.load(args + 32), atomics.load(args + 40))
    if offset < 0:
        return False
    each = _row(quick, SERVED, row)
    atomics.store(each + OFFSET, offset)
    atomics.store(each + NUMBER, atomics.load(letter + 8))
    atomics.store(each + OTHER, node)
    atomics.store(base + offset + tasks.WATCHER, row)
    entry = pools.pool_entry(atomics.load(quick + TABLE), slot)
    if _run(quick, entry, slot, offset) or lanes.lane_push(atomics.load(quick + LANES) + pools.pool_lane(entry) * atomics.load(quick + LANE_NBYTES), offset):
        return True
    tasks.task_free(base, free, offset)
    return False


@kernel
def _run(quick, entry, slot, offset):
    """Run a short task here, and post its reply; False when its worker is to do it."""
    task, run = atomics.load(quick + BASE) + offset, atomics.load(quick + RUN)
    if run == 0 or pools.pool_lane(entry) != atomics.load(quick + RUN_LANE):
        return False
    if not is_short(atomics.load(entry + pools.KIND), atomics.load(task + tasks.METHOD), atomics.load(atomics.load(quick + SHORTS) + 8 * slot)):
        return False
    atomics.store(task + tasks.STATE, tasks.SUBMITTED)      # its end is seen here: the lane needn't be told
    if call_handler(run, atomics.load(quick + CONTEXT), offset, 0, 0) == 0:
        atomics.store(task + tasks.STATE, tasks.WATCHED)
        return False
    if atomics.swap(task + tasks.STATE, tasks.SUBMITTED, tasks.WATCHED) == tasks.DONE and not _answer(quick, offset):
        atomics.store(task + tasks.LINK, atomics.load(quick + BACKLOG))
        atomics.store(quick + BACKLOG, offset)
    return True


@kernel
def _take_finished(quick, lane):
    """Answer for tasks that are done, those first that found no room before; leave those of Python to it: bits."""
    base, bits = atomics.load(quick + BASE), 0
    waiting = atomics.load(quick + BACKLOG)
    atomics.store(quick + BACKLOG, 0)
    bits |= _answer_all(quick, waiting)
    if atomics.load(lane + lanes.FINISHED):
        # the stack has the last one first
        offset, turned = atomics.exchange(lane + lanes.FINISHED, 0), 0
        while offset:
            rest = atomics.load(base + offset + tasks.LINK)
            atomics.store(base + offset + tasks.LINK, turned)
            offset, turned = rest, offset
        bits |= WORKED | _answer_all(quick, turned)
    return bits


@kernel
def _answer_all(quick, offset):
    base, bits = atomics.load(quick + BASE), 0
    while offset:
        task = base + offset
        rest = atomics.load(task + tasks.LINK)
        if atomics.load(task + tasks.WATCHER) == 0:
            atomics.store(task + tasks.LINK, atomics.load(quick + LEFT))
            atomics.store(quick + LEFT, offset)
            bits |= PYTHON
        elif _answer(quick, offset):
            bits |= WORKED
        else:
            atomics.store(task + tasks.LINK, atomics.load(quick + BACKLOG))
            atomics.store(quick + BACKLOG, offset)
        offset = rest
    return bits


@kernel
def _answer(quick, offset):
    """Post the reply of a task that is done and free its record; False when there is no room for it."""
    task, letter = atomics.load(quick + BASE) + offset, atomics.load(quick + LETTER)
    row = atomics.load(task + tasks.WATCHER)
    each = _row(quick, SERVED, row)
    atomics.store(letter, REPLY)
    atomics.store(letter + 8, atomics.load(each + NUMBER))
    for place, value in enumerate(tasks.task_result(task)):
        atomics.store(letter + 16 + 8 * place, value)
    if not way_post(_way(quick, atomics.load(each + OTHER), REPLIES), letter, 7):
        return False
    _row_give(quick, SERVED, FREE_SERVED, row)
    tasks.task_free(atomics.load(quick + BASE), atomics.load(quick + FREE), offset)
    return True
