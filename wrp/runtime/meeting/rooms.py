"""Rooms: meetings in the memory of nodes. One kernel call enters a round and waits for its end. Knows no pools and no letters.

A round that is open has a room: it is found by its name, a key and a number, and is free again when the last of those who came has
left it. What is changed in several steps is changed by the holder of the table's token alone; a participant that was killed inside has
changed nothing that keeps others from going on. Those who come later than the spinning of others find them asleep on the room's word.
Where there are several nodes each has its own room for a round, and each participant's arrival is told to all: a node sees the end by itself.
"""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.lock import token_give, token_take
from wrp.runtime import asking, lanes, tasks
from wrp.runtime.calling import call_handler

MOST = 256                      # participants of a room
BARRIER, SUM, MIN, MAX, GATHER = range(5)
ENDED, OPEN, LOCKED, NO_ROOM, MISMATCH, LATE = range(6)
COME, GONE = 0, 1               # what other nodes are told

_ROOMS = 256
_NEAR = 8                       # rooms where a round is looked for first, from a place that its name says
_PAUSES, _YIELDS = 16, 200
_LOOKS, _LIGHT = 32, 8          # for what comes from other nodes, before others may have the core; every eighth one is for everything else, too
_GRACE_NS = 1_000_000_000

# Byte offsets in the table: the token, how many rooms are taken that aren't near the place of their name, the rooms
_ASTRAY, _FIRST = 64, 128
# and in a room. DONE is a futex: 1 when all have come. UNTIL: nobody waits any longer than that (ns, monotonic). TICKET: counts its rounds
_TAKEN, _KEY, _NUMBER, _KIND, _COUNT, _CAME, _UNTIL, _TICKET = (8 * n for n in range(8))
# (_ALL, _WRONG when they didn't come for the same). WAITS: how many wait, FAR of them on other nodes
_DONE, _SLEEPERS, _WAITS, _RESULT, _FAR = 64, 72, 80, 88, 96
_ALL, _WRONG = 1, 2
_HERE = 128                     # a word for each participant that has come: who waits for him (HOLDER), _ABROAD, _GONE once nobody does
_GONE, _ABROAD = 1, 2
_VALUES = _HERE + 8 * MOST
_NBYTES = _VALUES + 8 * MOST
NBYTES = _FIRST + _ROOMS * _NBYTES

# Places of the words that a participant asks with, OUT: address for the values of a gathering; and of those that it gets
(TABLE, HOLDER, WHICH, KEY, NUMBER, PARTICIPANT, PARTICIPANTS, VALUE, SPIN, SLICE, TIMEOUT, OUT) = range(12)
DUE, ROOM, TICKET, RESULT, SEEN = range(12, 17)
# Where there are other nodes: TELLS 1, WAY: address of the words of a way (see `asking`) to the postman, 0: not for kernels; and UNTOLD 1: they are to be told yet
TELLS, WAY, UNTOLD = range(17, 20)
WORDS = 20
# Places of the words by which another node tells of a participant
(WHAT, NEWS_KEY, NEWS_NUMBER, NEWS_WHICH, NEWS_PARTICIPANT, NEWS_PARTICIPANTS, NEWS_VALUE, NEWS_TIMEOUT) = range(8)
NEWS_WORDS = 8


@kernel
def meet(ask):
    """Come to the next round of the words at `ask`, as `come`."""
    atomics.store(ask + 8 * NUMBER, atomics.load(ask + 8 * NUMBER) + 1)
    return come(ask)


@kernel
def come(ask):
    """Come to the round that the words at `ask` name and wait for its end: ENDED; OPEN after one sleep, or where UNTOLD, then `wait` goes on;
    LOCKED (SEEN: by whom), NO_ROOM, MISMATCH: nothing was done."""
    table, holder = atomics.load(ask + 8 * TABLE), atomics.load(ask + 8 * HOLDER)
    seen = token_take(table, holder)
    for _ in range(_YIELDS):
        if seen == 0:
            break
        atomics.yield_core()                # the holder may need this core
        seen = token_take(table, holder)
    if seen:
        atomics.store(ask + 8 * SEEN, seen)
        return LOCKED
    now = atomics.now_ns()                  # every look at a clock is paid for by each barrier
    atomics.store(ask + 8 * DUE, now + atomics.load(ask + 8 * TIMEOUT))
    code = _enter(ask, now)
    token_give(table)
    if code != OPEN:
        return code
    if atomics.load(ask + 8 * TELLS):
        atomics.store(ask + 8 * UNTOLD, 0 if tell(ask, COME) else 1)
        if atomics.load(ask + 8 * UNTOLD):
            return OPEN
    return _wait(ask, now, atomics.load(ask + 8 * SPIN))


@kernel
def wait(ask, spin_ns):
    """Wait for the end of the round: ENDED; OPEN after spinning and one sleep; LATE when the others have forgotten this one; MISMATCH."""
    return _wait(ask, atomics.now_ns(), spin_ns)


@kernel
def _wait(ask, now, spin_ns):
    room, way = atomics.load(ask + 8 * ROOM), atomics.load(ask + 8 * WAY)
    driver = atomics.load(way + asking.DRIVER) if way else 0
    _spin(room, driver, now, now + spin_ns)
    if not atomics.load(room + _DONE):
        if driver:
            lanes.lane_wake(atomics.load(driver + asking.LANE))         # from now on it is the postman's work
        atomics.add(room + _SLEEPERS, 1)    # a full barrier: who ends the round sees it, or the word is 1 already
        atomics.futex_wait(room + _DONE, 0, atomics.load(ask + 8 * SLICE))
        atomics.add(room + _SLEEPERS, -1)
    done = atomics.load(room + _DONE)
    if not done:
        return OPEN
    if atomics.load(room + _TICKET) != atomics.load(ask + 8 * TICKET):
        return LATE
    code = _leave(ask, room)
    return MISMATCH if done == _WRONG else code


@kernel
def _spin(room, driver, now, until):
    while not atomics.load(room + _DONE):
        if driver:
            for number in range(_LOOKS):
                if asking.drive(driver, 0 if number % _LIGHT == _LIGHT - 1 else now):
                    break
        else:
            for _ in range(_PAUSES):
                if atomics.load(room + _DONE):
                    break
                atomics.pause()
        if atomics.load(room + _DONE):
            break
        now = atomics.now_ns()
        if now >= until:
            break
        atomics.yield_core()                # the others may need this core


@kernel
def tell(ask, what):
    """Have the postman tell the other nodes of this participant, COME or GONE; False when that can't be handed over now."""
    way = atomics.load(ask + 8 * WAY)
    if way == 0:
        return False
    driver = atomics.load(way + asking.DRIVER)
    if driver and what == COME and call_handler(atomics.load(driver + asking.TELL), atomics.load(driver + asking.OF), ask, 0, 0) == 1:
        return True
    base, free, lane = atomics.load(way + asking.BASE), atomics.load(way + asking.FREE), atomics.load(way + asking.TO)
    offset = tasks.task_new(base, free, tasks.ABANDONED, atomics.load(way + asking.POOL), what, tasks.ARGUMENTS, atomics.load(ask + 8 * KEY), atomics.load(ask + 8 * NUMBER),
                            atomics.load(ask + 8 * WHICH), atomics.load(ask + 8 * PARTICIPANT) << 32 | atomics.load(ask + 8 * PARTICIPANTS),
                            atomics.load(ask + 8 * VALUE), atomics.load(ask + 8 * TIMEOUT))
    if offset < 0:
        return False
    # who has come and drives needs nobody else
    if lanes.lane_push_quiet(lane, offset) if what == COME and driver else lanes.lane_push(lane, offset):
        return True
    tasks.task_free(base, free, offset)
    return False


@kernel
def give_up(ask):
    """Wait no longer: LATE; ENDED when the round has ended meanwhile; LOCKED."""
    table, room = atomics.load(ask + 8 * TABLE), atomics.load(ask + 8 * ROOM)
    seen = token_take(table, atomics.load(ask + 8 * HOLDER))
    if seen:
        atomics.store(ask + 8 * SEEN, seen)
        return LOCKED
    code = LATE
    if atomics.load(room + _TICKET) == atomics.load(ask + 8 * TICKET):
        code = _given_up(ask, table, room)
    token_give(table)
    return code


@kernel
def _given_up(ask, table, room):
    if atomics.load(room + _DONE):
        return _leave(ask, room)
    here = room + _HERE + 8 * atomics.load(ask + 8 * PARTICIPANT)
    if atomics.load(here) == atomics.load(ask + 8 * HOLDER):
        atomics.store(here, _GONE)
    if atomics.add(room + _WAITS, -1) == 1:       # all gave up: the round is forgotten
        _free(table, room)
    return LATE


@kernel
def arrive(table, holder, news, now):
    """A participant on another node has come, or waits no longer, as the words at `news` say: 0 when that is noted, NO_ROOM, or the word of
    who has the token."""
    seen = token_take(table, holder)
    if seen:
        return seen
    code = _arrived(table, news, now)
    token_give(table)
    return code


@kernel
def _arrived(table, news, now):
    key, number = atomics.load(news + 8 * NEWS_KEY), atomics.load(news + 8 * NEWS_NUMBER)
    which, participant, count = (atomics.load(news + 8 * NEWS_WHICH), atomics.load(news + 8 * NEWS_PARTICIPANT),
                                 atomics.load(news + 8 * NEWS_PARTICIPANTS))
    room, due = _find(table, key, number, now), now + atomics.load(news + 8 * NEWS_TIMEOUT)
    if atomics.load(news + 8 * WHAT) == GONE:
        if room and 0 <= participant < MOST and atomics.load(room + _HERE + 8 * participant) == _ABROAD:
            _gone_abroad(table, room, participant)
        return 0
    if room == 0 and 0 < count <= MOST:
        room = _take(table, key, number, which, count, due, now)
        if room == 0:
            return NO_ROOM
    if room == 0 or atomics.load(room + _KIND) != which or atomics.load(room + _COUNT) != count or not 0 <= participant < count:
        if room:
            _end(table, room, _WRONG)
        return 0
    if atomics.load(room + _HERE + 8 * participant) == 0:
        atomics.add(room + _WAITS, 1)
        atomics.store(room + _FAR, atomics.load(room + _FAR) + 1)
    _note(table, room, participant, atomics.load(news + 8 * NEWS_VALUE), _ABROAD, due)
    return 0


@kernel
def _gone_abroad(table, room, participant):
    atomics.store(room + _HERE + 8 * participant, _GONE)
    atomics.store(room + _FAR, atomics.load(room + _FAR) - 1)
    if atomics.add(room + _WAITS, -1) == 1:
        _free(table, room)


@kernel
def forget(table, holder, pid, nodes):
    """A process has died: those of it that wait haven't come; where other nodes know that they have, nobody waits for them. False where the
    token isn't to be had now."""
    seen = token_take(table, holder)
    if seen >> 32 == pid:
        atomics.swap(table, seen, 0)
        seen = token_take(table, holder)
    if seen:
        return False
    for number in range(_ROOMS):
        room = _room(table, number)
        if atomics.load(room + _TAKEN) and not atomics.load(room + _DONE):
            _forget(table, room, pid, nodes)
    token_give(table)
    return True


@kernel
def _forget(table, room, pid, nodes):
    for participant in range(atomics.load(room + _COUNT)):
        here = room + _HERE + 8 * participant
        if atomics.load(here) >> 32 == pid:
            atomics.store(here, 0 if nodes == 1 else _GONE)
            if nodes == 1:
                atomics.store(room + _CAME, atomics.load(room + _CAME) - 1)
            if atomics.add(room + _WAITS, -1) == 1:
                _free(table, room)


@kernel
def _enter(ask, now):
    """With the token: OPEN in a room, or what refuses it."""
    table, key, number = atomics.load(ask + 8 * TABLE), atomics.load(ask + 8 * KEY), atomics.load(ask + 8 * NUMBER)
    which, count, due = atomics.load(ask + 8 * WHICH), atomics.load(ask + 8 * PARTICIPANTS), atomics.load(ask + 8 * DUE)
    room = _find(table, key, number, now)
    if room == 0:
        room = _take(table, key, number, which, count, due, now)
        if room == 0:
            return NO_ROOM
    if atomics.load(room + _KIND) != which or atomics.load(room + _COUNT) != count:
        return MISMATCH
    atomics.store(ask + 8 * ROOM, room)
    atomics.store(ask + 8 * TICKET, atomics.load(room + _TICKET))
    atomics.add(room + _WAITS, 1)
    _note(table, room, atomics.load(ask + 8 * PARTICIPANT), atomics.load(ask + 8 * VALUE), atomics.load(ask + 8 * HOLDER), due)
    return OPEN


@kernel
def _note(table, room, participant, value, who, due):
    """A participant has come; `due`: until when it waits."""
    if due > atomics.load(room + _UNTIL):
        atomics.store(room + _UNTIL, due)
    here = room + _HERE + 8 * participant
    if atomics.load(here) == 0:             # once, however often it comes
        atomics.store(room + _VALUES + 8 * participant, value)
        atomics.store(here, who)
        atomics.store(room + _CAME, atomics.load(room + _CAME) + 1)
    if atomics.load(room + _CAME) == atomics.load(room + _COUNT):
        atomics.store(room + _RESULT, _result(room, atomics.load(room + _COUNT)))
        _end(table, room, _ALL)


@kernel
def _end(table, room, how):
    """Nobody is waited for any more; those on other nodes don't come to leave."""
    far = atomics.load(room + _FAR)
    left = atomics.add(room + _WAITS, -far) - far
    atomics.exchange(room + _DONE, how)
    if atomics.load(room + _SLEEPERS) > 0:
        atomics.futex_wake(room + _DONE, 1 << 30)
    if left == 0:
        _free(table, room)


@kernel
def _result(room, count):
    kind, result = atomics.load(room + _KIND), atomics.load(room + _VALUES)
    if kind == BARRIER or kind == GATHER:
        return count
    for number in range(1, count):
        value = atomics.load(room + _VALUES + 8 * number)
        if kind == SUM:
            result += value
        elif kind == MIN:
            result = min(result, value)
        else:
            result = max(result, value)
    return result


@kernel
def _leave(ask, room):
    """Take the results along; the last one frees the room."""
    atomics.store(ask + 8 * RESULT, atomics.load(room + _RESULT))
    if atomics.load(ask + 8 * WHICH) == GATHER:
        atomics.copy(atomics.load(ask + 8 * OUT), room + _VALUES, 8 * atomics.load(ask + 8 * PARTICIPANTS))
    if atomics.add(room + _WAITS, -1) == 1:
        _free(atomics.load(ask + 8 * TABLE), room)
    return ENDED


# which room

@kernel
def _place(key, number):
    # two rooms by turns, which stay in the caches: the next round may begin before the last one has left
    return (key * 40503 + (number & 1)) & (_ROOMS - 1)


@kernel
def _room(table, number):
    return table + _FIRST + (number & (_ROOMS - 1)) * _NBYTES


@kernel
def _find(table, key, round_number, now):
    """The room of this open round, or 0. Those in which nobody waits any more are forgotten."""
    first = _place(key, round_number)
    for number in range(_ROOMS if atomics.load(table + _ASTRAY) > 0 else _NEAR):
        room = _room(table, first + number)
        if (atomics.load(room + _TAKEN) and atomics.load(room + _KEY) == key and not atomics.load(room + _DONE)
                and atomics.load(room + _NUMBER) == round_number and not _is_dead(room, now)):
            return room
    return 0


@kernel
def _is_dead(room, now):
    """True when those who waited here have been killed: they would have given up long ago."""
    return now > atomics.load(room + _UNTIL) + _GRACE_NS


@kernel
def _take(table, key, round_number, which, count, due, now):
    """A room for a new round, or 0."""
    first = _place(key, round_number)
    for number in range(_ROOMS):
        room = _room(table, first + number)
        if atomics.load(room + _TAKEN) and not _is_dead(room, now):
            continue
        if atomics.load(room + _TAKEN):
            _free(table, room)
        if number >= _NEAR:
            atomics.add(table + _ASTRAY, 1)
        atomics.clear(room + _HERE, 8 * count)
        for place in (_CAME, _DONE, _SLEEPERS, _WAITS, _FAR):
            atomics.store(room + place, 0)
        for place, word in ((_KEY, key), (_NUMBER, round_number), (_KIND, which), (_COUNT, count), (_UNTIL, due)):
            atomics.store(room + place, word)
        atomics.store(room + _TICKET, atomics.load(room + _TICKET) + 1)
        atomics.store(room + _TAKEN, 1)
        return room
    return 0


@kernel
def _free(table, room):
    near = _room(table, _place(atomics.load(room + _KEY), atomics.load(room + _NUMBER)))
    if (room - near) // _NBYTES % _ROOMS >= _NEAR:
        atomics.add(table + _ASTRAY, -1)
    atomics.store(room + _TAKEN, 0)
