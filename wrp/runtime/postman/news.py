"""News: what nodes tell each other of participants of meetings, in notes of MPI or, where that isn't possible, in letters. Knows no rounds, see `rooms`."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.mailbox import TASKS
from wrp.comm.notes import note_drop, note_look, note_post, notes_are_over, notes_have_room
from wrp.comm.ways import way_has_room, way_post
from wrp.runtime import asking, lanes, pools, tasks
from wrp.runtime.meeting import rooms
from wrp.runtime.postman import desk
from wrp.runtime.postman.work import MEET


@kernel
def announced(quick, offset):
    """Tell all other nodes of a participant of a meeting, see `rooms.tell`; False when that isn't possible now."""
    task = atomics.load(quick + desk.BASE) + offset
    who, args = atomics.load(task + tasks.ARGS + 24), task + tasks.ARGS
    if not _spread(quick, atomics.load(task + tasks.POOL), (atomics.load(task + tasks.METHOD), atomics.load(args), atomics.load(args + 8), atomics.load(args + 16),
                                                            who >> 32, who & 0xFFFFFFFF, atomics.load(args + 32), atomics.load(args + 40))):
        return False
    lanes.lane_done(atomics.load(quick + desk.LANE))
    tasks.task_finish(atomics.load(quick + desk.BASE), atomics.load(quick + desk.FREE), offset, 0)
    return True


@kernel
def tell_of_other(quick, ask, _2, _3):
    """Tell all other nodes of the participant that asks with the words at `ask` (see `rooms`), who makes turns then: 1; 0 when that isn't possible now."""
    if atomics.load(quick + desk.HELD) != 0 or atomics.load(quick + desk.WANTED) != 0 or atomics.swap(quick + desk.HELD, 0, 1) != 0:
        return 0
    told = _spread(quick, atomics.load(atomics.load(ask + 8 * rooms.WAY) + asking.POOL),
                   (rooms.COME, atomics.load(ask + 8 * rooms.KEY), atomics.load(ask + 8 * rooms.NUMBER), atomics.load(ask + 8 * rooms.WHICH),
                    atomics.load(ask + 8 * rooms.PARTICIPANT), atomics.load(ask + 8 * rooms.PARTICIPANTS), atomics.load(ask + 8 * rooms.VALUE),
                    atomics.load(ask + 8 * rooms.TIMEOUT)))
    atomics.store(quick + desk.HELD, 0)
    return 1 if told else 0


@kernel
def _spread(quick, pool, news):
    """Send news of a participant to all other nodes, in a note or a letter each; False when that isn't possible now."""
    notes, letter, own, last = atomics.load(quick + desk.NOTES), atomics.load(quick + desk.LETTER), atomics.load(quick + desk.NODE), atomics.load(quick + desk.WAY_COUNT) // 2
    noted = notes != 0 and notes_have_room(notes, last)
    for node in range(last + 1):
        if node != own and (atomics.load(desk.node_at(quick, node) + desk.LOST) or not (noted or way_has_room(desk.way_at(quick, node, TASKS)))):
            return False
    high, low = pools.pool_key(pools.pool_entry(atomics.load(quick + desk.TABLE), pool))
    for place, word in enumerate((MEET, own, high, low)):
        atomics.store(letter + 8 * place, word)
    for place, word in enumerate(news):
        atomics.store(letter + 32 + 8 * place, word)
    for node in range(last + 1):
        if node != own and not (noted and note_post(notes, node, letter)):
            way_post(desk.way_at(quick, node, TASKS), letter, 4 + rooms.NEWS_WORDS)
    return True


@kernel
def met(quick, letter, now):
    """Note what another node tells of a participant; False when that isn't possible now."""
    slot = pools.pool_find(atomics.load(quick + desk.TABLE), atomics.load(letter + 16), atomics.load(letter + 24))
    if slot < 0:
        return False
    place = atomics.load(pools.pool_entry(atomics.load(quick + desk.TABLE), slot) + pools.PARAMS)
    return place != 0 and rooms.arrive(atomics.load(quick + desk.BASE) + place, atomics.load(quick + desk.HOLDER), letter + 32, now) == 0


@kernel
def read_notes(quick, most, now):
    """Take what other nodes tell of participants of meetings: bits."""
    notes, bits = atomics.load(quick + desk.NOTES), 0
    for _ in range(most if notes else 0):
        note = note_look(notes)
        if note == 0:
            if notes_are_over(notes):
                atomics.store(quick + desk.NOTES, 0)         # by letters then
            break
        other = desk.node_at(quick, atomics.load(note + 8))
        if atomics.load(other + desk.LOST) or not met(quick, note, now):
            atomics.store(quick + desk.NOTE_LEFT, 1)
            return bits | desk.PYTHON
        atomics.store(other + desk.HEARD, now)
        atomics.store(quick + desk.ACTIVE_AT, now)
        note_drop(notes)
        bits = desk.WORKED
    return bits
