"""Quick: the postman's turn as a kernel, for plain tasks of one container. What isn't plain it leaves to the postman in Python.

Plain on this side is a task without a time limit for silent nodes and without joining; on the other side any task of one container. One thread
at a time runs it, who has HELD: the postman's own, except while it rests; meanwhile one that waits for what comes from another node (see `asking`).
A short task of another node is run here where its worker rests (see `inline`). What it works on lies on its `desk`, what it tells of meetings is in `news`.
"""

from wrp.comm import atomics, onesided
from wrp.comm.jit import kernel
from wrp.comm.mailbox import POLL_NS, REPLIES, TASKS
from wrp.comm.ways import WAY_NBYTES, way_comes, way_drop, way_look, way_post, ways_send
from wrp.runtime import lanes, pools, tasks
from wrp.runtime.calling import call_handler
from wrp.runtime.inline import is_short
from wrp.runtime.postman import desk
from wrp.runtime.postman.news import announced, met, read_notes
from wrp.runtime.postman.serving import served_new
from wrp.runtime.postman.work import MEET, REPLY, TASK
from wrp.runtime.routing.address import CONTAINER_BITS, SLOT_BITS

_AT_ONCE = 64           # tasks, or letters of a box, taken before something else
_FIRST_NAP_NS = 20_000
_NAP_PART = 64          # a nap lasts this part of the time in which nothing has crossed: so much later a letter is seen
_LISTEN_NS, _KNOCK_NS, _BURST = 200_000, 1_000_000, 50
_DRIVEN_NS, _DRIVEN_NAP_NS = 50_000, 200_000        # after a turn of somebody who waits: until when more are expected, and the postman's nap then


@kernel
def turns(quick, until):
    """Move letters, tasks and replies until something is for Python, or the clock says `until` (ns; 0: one turn): bits."""
    while True:
        if atomics.load(quick + desk.PENDING):
            atomics.store(quick + desk.PENDING, 0)
            return desk.WORKED | desk.PYTHON
        now = atomics.now_ns()
        bits = _turn(quick, now)
        if bits & desk.WORKED:
            atomics.store(quick + desk.ACTIVE_AT, now)
        if bits & desk.PYTHON or until == 0:
            return bits
        if not bits and atomics.load(atomics.load(quick + desk.LANE) + lanes.STOP) == 1 or now >= until:
            return bits
        if not bits:
            pause(quick)


@kernel
def pause(quick):
    """Let others have the core, and make turns: for a moment, or a nap when nothing has crossed for long, or others make turns."""
    now, lane = atomics.now_ns(), atomics.load(quick + desk.LANE)
    quiet = now - atomics.load(quick + desk.ACTIVE_AT)
    atomics.store(quick + desk.HELD, 0)
    if atomics.load(quick + desk.LONGEST) == 0:
        atomics.yield_core()
    elif now - atomics.load(quick + desk.DRIVEN_AT) < _DRIVEN_NS:
        lanes.lane_rest(lane, 0, now + _DRIVEN_NAP_NS)
    elif quiet < atomics.load(quick + desk.BUSY):
        atomics.yield_core()
    else:
        lanes.lane_rest(lane, 0, now + min(max(quiet // _NAP_PART, _FIRST_NAP_NS), atomics.load(quick + desk.LONGEST)))
    atomics.store(quick + desk.WANTED, 1)
    while atomics.swap(quick + desk.HELD, 0, 1) != 0:
        atomics.yield_core()                # who makes a turn may need this core
    atomics.store(quick + desk.WANTED, 0)


@kernel
def turn_of_other(quick, light, _2, _3):
    """A turn of a thread of this process that waits for what comes from another node: 0 when nothing was done, or somebody else is at it."""
    if atomics.load(quick + desk.HELD) != 0 or atomics.load(quick + desk.WANTED) != 0 or atomics.swap(quick + desk.HELD, 0, 1) != 0:
        return 0
    bits = 0
    if atomics.load(quick + desk.PENDING) == 0 and light and atomics.load(quick + desk.NOTES):
        bits = read_notes(quick, 1, light)
        if bits & desk.WORKED:
            atomics.store(quick + desk.DRIVEN_AT, light)
        if bits & desk.PYTHON:
            atomics.store(quick + desk.PENDING, 1)
    elif atomics.load(quick + desk.PENDING) == 0:
        now = atomics.now_ns()
        bits = _turn(quick, now)
        atomics.store(quick + desk.DRIVEN_AT, now)
        if bits & desk.WORKED:
            atomics.store(quick + desk.ACTIVE_AT, now)
        if bits & desk.PYTHON:
            atomics.store(quick + desk.PENDING, 1)
    atomics.store(quick + desk.HELD, 0)
    if bits & desk.PYTHON:
        lanes.lane_wake(atomics.load(quick + desk.LANE))
    return bits


@kernel
def _turn(quick, now):
    bits, calls, lane = 0, atomics.load(quick + desk.CALLS), atomics.load(quick + desk.LANE)
    for _ in range(_AT_ONCE):
        offset = lanes.lane_poll(lane)
        if offset < 0:
            break
        bits |= desk.WORKED
        if not _take(quick, offset):
            bits |= desk.PYTHON
            break
    bits |= _take_finished(quick, lane)
    if bits:
        ways_send(calls, atomics.load(quick + desk.WAYS), atomics.load(quick + desk.WAY_COUNT))       # on its way before MPI is called for others
    if _listen(quick, now):
        bits |= desk.WORKED | desk.PYTHON             # somebody waits for bytes, and may have asked that they be sent
    bits |= read_notes(quick, _AT_ONCE, now)
    for number in range(atomics.load(quick + desk.WAY_COUNT)):
        if way_comes(atomics.load(quick + desk.WAYS) + number * WAY_NBYTES):
            bits |= _read(quick, number, now)
    if atomics.load(lane + lanes.FINISHED):
        bits |= _take_finished(quick, lane)
    ways_send(calls, atomics.load(quick + desk.WAYS), atomics.load(quick + desk.WAY_COUNT))
    return bits | (desk.PYTHON if atomics.load(quick + desk.RINGING) else 0)


@kernel
def _listen(quick, now):
    """Let MPI move what others ask of this node: True if one of them has knocked. Who moves many bytes needs MPI called more
    often than everything else is looked at."""
    knocked = False
    if now >= atomics.load(quick + desk.LISTEN_AT):
        atomics.store(quick + desk.LISTEN_AT, now + _LISTEN_NS)
        waited_for = 0
        for rank in range(atomics.load(quick + desk.RANKS)):
            count = atomics.load(atomics.load(quick + desk.KNOCKS) + 8 * rank)
            if count != atomics.load(atomics.load(quick + desk.HEARD_KNOCKS) + 8 * rank):
                atomics.store(atomics.load(quick + desk.HEARD_KNOCKS) + 8 * rank, count)
                knocked = True
            waited_for |= count & 1
        atomics.store(quick + desk.WAITED_FOR, waited_for)
        if knocked:
            atomics.store(quick + desk.KNOCKED_AT, now)
    is_polled = atomics.load(quick + desk.WAITED_FOR) and now - atomics.load(quick + desk.KNOCKED_AT) < POLL_NS
    if is_polled:
        atomics.store(quick + desk.ACTIVE_AT, now)
    hurries = is_polled or now - atomics.load(quick + desk.KNOCKED_AT) < _KNOCK_NS
    if hurries or atomics.load(quick + desk.NOTES) == 0:         # else the look for a note is enough
        onesided.progress(atomics.load(quick + desk.CALLS), _BURST if hurries else 1)
    return knocked


# tasks of this node

@kernel
def _take(quick, offset):
    """Send a task that has just come in; False when it isn't plain: then it is for Python."""
    row = 0
    if offset & 1 == 0 and atomics.load(atomics.load(quick + desk.BASE) + offset + tasks.POOL) >> SLOT_BITS == 0:
        if announced(quick, offset):
            return True
    elif offset & 1 == 0 and atomics.load(quick + desk.SLOW) == 0:
        row = desk.row_take(quick, desk.SENT, desk.FREE_SENT)
    if row and _sent(quick, offset, row):
        lanes.lane_done(atomics.load(quick + desk.LANE))     # its way is no work of this node: a flush doesn't wait for other nodes
        return True
    if row:
        desk.row_give(quick, desk.SENT, desk.FREE_SENT, row)
    atomics.store(quick + desk.FOR_PYTHON, offset)
    return False


@kernel
def _sent(quick, offset, row):
    task = atomics.load(quick + desk.BASE) + offset
    word, mask = atomics.load(task + tasks.POOL), (1 << CONTAINER_BITS) - 1
    due, now = atomics.load(task + tasks.DUE), atomics.now_ns()
    # one container, no time limit of its own
    if word >> (SLOT_BITS + CONTAINER_BITS) != 1 or due and now >= due or atomics.load(task + tasks.CANCEL):
        return False
    entry, container = pools.pool_entry(atomics.load(quick + desk.TABLE), word & (1 << SLOT_BITS) - 1), word >> SLOT_BITS & mask
    node, _ = pools.pool_place(entry, container)
    if node < 0 or node == atomics.load(quick + desk.NODE) or atomics.load(desk.node_at(quick, node) + desk.LOST):
        return False
    serial, letter = atomics.load(quick + desk.SERIAL) + 1, atomics.load(quick + desk.LETTER)
    number = -(serial * desk.ROWS + row - 1)
    high, low = pools.pool_key(entry)
    for place, value in enumerate((TASK, number, high, low, container, 1, atomics.load(task + tasks.METHOD), atomics.load(task + tasks.COUNT),
                                    due - now if due else 0, -1, 0, 0)):
        atomics.store(letter + 8 * place, value)
    atomics.copy(letter + 8 * 12, task + tasks.ARGS, 8 * tasks.ARGUMENTS)
    if not way_post(desk.way_at(quick, node, TASKS), letter, 12 + tasks.ARGUMENTS):
        return False
    atomics.store(quick + desk.SERIAL, serial)
    each, other = desk.row_at(quick, desk.SENT, row), desk.node_at(quick, node)
    atomics.store(each + desk.OFFSET, offset)
    atomics.store(each + desk.NUMBER, number)
    atomics.store(each + desk.OTHER, node)
    atomics.store(each + desk.DUE, due)
    if atomics.load(other + desk.FLYING) == 0:
        atomics.store(other + desk.HEARD, now)
    atomics.store(other + desk.FLYING, atomics.load(other + desk.FLYING) + 1)
    return True


# letters, and tasks of other nodes

@kernel
def _read(quick, number, now):
    """Take letters of a way: bits."""
    way, letter, box, bits = atomics.load(quick + desk.WAYS) + number * WAY_NBYTES, atomics.load(quick + desk.LETTER), number % 2, 0
    node = number // 2 + (number // 2 >= atomics.load(quick + desk.NODE))
    if atomics.load(desk.node_at(quick, node) + desk.LOST):
        atomics.store(atomics.load(quick + desk.COME) + 8 * number, 1)
        return desk.PYTHON
    for _ in range(_AT_ONCE):
        if not way_look(way, letter):
            break
        if not (_answered(quick, letter) if box == REPLIES else _serve(quick, node, letter)):
            atomics.store(atomics.load(quick + desk.COME) + 8 * number, 1)
            return bits | desk.PYTHON
        way_drop(way)
        bits = desk.WORKED
    if bits:
        atomics.store(desk.node_at(quick, node) + desk.HEARD, now)
    return bits


@kernel
def _answered(quick, letter):
    number = atomics.load(letter + 8)
    if atomics.load(letter) != REPLY or number >= 0:
        return False
    desk.sent_end(quick, number, atomics.load(letter + 16), atomics.load(letter + 24), atomics.load(letter + 32), atomics.load(letter + 40),
             atomics.load(letter + 48))
    return True


@kernel
def _serve(quick, node, letter):
    """Hand a task of another node to its worker, or note who has come to a meeting; False when that isn't possible, or not the next thing to do."""
    if atomics.load(letter) == MEET:
        return met(quick, letter, atomics.now_ns())
    if atomics.load(letter) != TASK or atomics.load(letter + 40) != 1 or atomics.load(quick + desk.SLOW):
        return False
    table = atomics.load(quick + desk.TABLE)
    slot = pools.pool_find(table, atomics.load(letter + 16), atomics.load(letter + 24))
    if slot < 0:
        return False
    at, shard = pools.pool_place(pools.pool_entry(table, slot), atomics.load(letter + 32))
    row = desk.row_take(quick, desk.SERVED, desk.FREE_SERVED) if at == atomics.load(quick + desk.NODE) else 0
    if row and _handed(quick, node, letter, row, slot + shard):
        return True
    if row:
        desk.row_give(quick, desk.SERVED, desk.FREE_SERVED, row)
    return False


@kernel
def _handed(quick, node, letter, row, slot):
    base, free, left = atomics.load(quick + desk.BASE), atomics.load(quick + desk.FREE), atomics.load(letter + 64)
    args = letter + 8 * 12
    offset = served_new(base, free, atomics.load(quick + desk.LANE_OFFSET), atomics.now_ns() + left if left else 0, slot, atomics.load(letter + 48),
                        atomics.load(letter + 56), atomics.load(args), atomics.load(args + 8), atomics.load(args + 16), atomics.load(args + 24),
                        atomics.load(args + 32), atomics.load(args + 40))
    if offset < 0:
        return False
    each = desk.row_at(quick, desk.SERVED, row)
    atomics.store(each + desk.OFFSET, offset)
    atomics.store(each + desk.NUMBER, atomics.load(letter + 8))
    atomics.store(each + desk.OTHER, node)
    atomics.store(base + offset + tasks.WATCHER, row)
    entry = pools.pool_entry(atomics.load(quick + desk.TABLE), slot)
    if _run(quick, entry, slot, offset) or lanes.lane_push(atomics.load(quick + desk.LANES) + pools.pool_lane(entry) * atomics.load(quick + desk.LANE_NBYTES), offset):
        return True
    tasks.task_free(base, free, offset)
    return False


@kernel
def _run(quick, entry, slot, offset):
    """Run a short task here, and post its reply; False when its worker is to do it."""
    task, run = atomics.load(quick + desk.BASE) + offset, atomics.load(quick + desk.RUN)
    if run == 0 or pools.pool_lane(entry) != atomics.load(quick + desk.RUN_LANE):
        return False
    if not is_short(atomics.load(entry + pools.KIND), atomics.load(task + tasks.METHOD), atomics.load(atomics.load(quick + desk.SHORTS) + 8 * slot)):
        return False
    atomics.store(task + tasks.STATE, tasks.SUBMITTED)      # its end is seen here: the lane needn't be told
    if call_handler(run, atomics.load(quick + desk.CONTEXT), offset, 0, 0) == 0:
        atomics.store(task + tasks.STATE, tasks.WATCHED)
        return False
    if atomics.swap(task + tasks.STATE, tasks.SUBMITTED, tasks.WATCHED) == tasks.DONE and not _answer(quick, offset):
        atomics.store(task + tasks.LINK, atomics.load(quick + desk.BACKLOG))
        atomics.store(quick + desk.BACKLOG, offset)
    return True


@kernel
def _take_finished(quick, lane):
    """Answer for tasks that are done, those first that found no room before; leave those of Python to it: bits."""
    base, bits = atomics.load(quick + desk.BASE), 0
    waiting = atomics.load(quick + desk.BACKLOG)
    atomics.store(quick + desk.BACKLOG, 0)
    bits |= _answer_all(quick, waiting)
    if atomics.load(lane + lanes.FINISHED):
        # the stack has the last one first
        offset, turned = atomics.exchange(lane + lanes.FINISHED, 0), 0
        while offset:
            rest = atomics.load(base + offset + tasks.LINK)
            atomics.store(base + offset + tasks.LINK, turned)
            offset, turned = rest, offset
        bits |= desk.WORKED | _answer_all(quick, turned)
    return bits


@kernel
def _answer_all(quick, offset):
    base, bits = atomics.load(quick + desk.BASE), 0
    while offset:
        task = base + offset
        rest = atomics.load(task + tasks.LINK)
        if atomics.load(task + tasks.WATCHER) == 0:
            atomics.store(task + tasks.LINK, atomics.load(quick + desk.LEFT))
            atomics.store(quick + desk.LEFT, offset)
            bits |= desk.PYTHON
        elif _answer(quick, offset):
            bits |= desk.WORKED
        else:
            atomics.store(task + tasks.LINK, atomics.load(quick + desk.BACKLOG))
            atomics.store(quick + desk.BACKLOG, offset)
        offset = rest
    return bits


@kernel
def _answer(quick, offset):
    """Post the reply of a task that is done and free its record; False when there is no room for it."""
    task, letter = atomics.load(quick + desk.BASE) + offset, atomics.load(quick + desk.LETTER)
    row = atomics.load(task + tasks.WATCHER)
    each = desk.row_at(quick, desk.SERVED, row)
    atomics.store(letter, REPLY)
    atomics.store(letter + 8, atomics.load(each + desk.NUMBER))
    for place, value in enumerate(tasks.task_result(task)):
        atomics.store(letter + 16 + 8 * place, value)
    if not way_post(desk.way_at(quick, atomics.load(each + desk.OTHER), REPLIES), letter, 7):
        return False
    desk.row_give(quick, desk.SERVED, desk.FREE_SERVED, row)
    tasks.task_free(atomics.load(quick + desk.BASE), atomics.load(quick + desk.FREE), offset)
    return True
