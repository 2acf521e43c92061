"""Making and opening a set: which members are its own, which of them may be read, and its closing. A process that shares it with others joins, one that only reads is alone."""

import logging
import uuid
from dataclasses import replace

from wrp.comm.refusals import is_refusal
from wrp.errors import StoreError
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe import label as labels
from wrp.runtime.devices.safe.array import Array
from wrp.runtime.devices.safe.layout import SLOTS
from wrp.runtime.devices.safe.recovery import closed_on_error, look
from wrp.runtime.devices.safe.replaying import records, replay
from wrp.runtime.devices.safe.roster import mask, positions_of

_log = logging.getLogger("wrp.runtime")


def opened(paths, failures, capacity, open_member, board, syncs):
    """The Array of these members, made if all of them are blank. Once on a node, before anybody else has it.

    open_member : (position, path, create) -> member, OSError
    Raises StoreError when a file is no member of the set, or too many are missing.
    """
    members = [_tried(open_member, position, path) for position, path in enumerate(paths)]
    with closed_on_error(members):
        return _opened(members, paths, failures, capacity, open_member, board, syncs)


def _opened(members, paths, failures, capacity, open_member, board, syncs):
    found = _labels(members)
    newest = _newest(found)
    gone = newest.gone if newest else ()
    for position, (path, member, label) in enumerate(zip(paths, members, found)):
        if member is not None and label is None and position not in gone and not labels.is_blank(member):
            raise StoreError(f"safe device: {path} holds other bytes and no label of a member: give it another path")
    if newest is None:
        label = _made(members, paths, failures, capacity, open_member)
        array = Array(members, label, board, lambda position, path: open_member(position, path, False), syncs)
        with board.labels():
            array.write_labels(replace(label, boot=_boot()), 0)
        return array
    paths = _followed(members, found, paths, newest, open_member)
    _check_all(paths, failures, newest, found)
    for position in range(len(members), len(newest.paths)):         # added later: the labels know them
        members.append(_tried(open_member, position, newest.paths[position]) if position not in gone else None)
    found = _labels(members)
    out = mask(newest.out) | _away(newest, members, found)
    if out.bit_count() > failures:
        raise StoreError(f"safe device: {out.bit_count()} of its members are missing or stale ({', '.join(newest.paths[position] for position in positions_of(out))}), "
                         f"and {failures} may be: bring them back")
    return _continued(members, newest, out, board, open_member, capacity, paths, syncs)


def _followed(members, found, paths, newest, open_member):
    """The paths, of members that were recovered elsewhere those where they are now, opened in place of what is named: that is gone, or older."""
    if any(label is not None and label.generation == newest.generation and path != named for label, path, named in zip(found, paths, newest.paths)):
        return paths                    # all of the set was moved, or copied: who stands at its old places isn't asked
    paths = list(paths)
    for position, (path, moved) in enumerate(zip(paths, newest.paths)):
        if moved in ("", path) or found[position] is not None and found[position].generation >= newest.generation:
            continue
        other = [_tried(open_member, position, moved)]
        label, = _labels(other)
        if label is not None and (label.set, label.position) == (newest.set, position) and (found[position] is None or label.generation > found[position].generation):
            other, members[position] = [members[position]], other[0]
            paths[position], found[position] = moved, label
        if other[0] is not None:
            other[0].close()
    return paths


def _continued(members, newest, out, board, open_member, capacity, paths, syncs):
    """The Array of a set that is there, mended as far as its last writer has left it in the middle."""
    array = Array(members, newest, board, lambda position, path: open_member(position, path, False), syncs)
    board.set(out)
    paths = tuple(path and (paths[position] if position < len(paths) else path) for position, path in enumerate(newest.paths))
    label = newest.next(out=positions_of(out), boot=_boot(), capacity=max(newest.capacity, capacity), paths=paths)
    labels.check(label)
    with board.labels():
        array.write_labels(label, out)
    for slot in range(SLOTS):
        if newest.boot:
            replay(array, slot)
        found = [kept[0].seq for kept in records(array, slot).values()]
        board.begin(slot, max(found, default=0))
    if newest.boot not in ("", _boot()):
        # the machine itself went down: storage may have taken some writes and not others
        _log.warning("safe device of %s: the machine went down while it was open: all rows are looked at", next(filter(None, newest.paths)))
        look(array, remakes=True)
    return array


def joined(paths, open_member, board, syncs):
    """The Array of a set that another process of the node has open."""
    turns, seen = board.turns(), board.version         # what changes while the files are opened is seen at the first use
    members = [_tried(open_member, position, path) for position, path in enumerate(paths)]
    newest = _newest(_labels(members))
    if newest is None:
        raise StoreError(f"safe device: this process can read none of its members: {', '.join(paths)}")
    array = Array(members, newest, board, lambda position, path: open_member(position, path, False), syncs)
    array.begin(turns, seen)
    array.take(newest)
    return array


def alone(paths, open_member):
    """An Array to read from, for a process that doesn't share the board of those who may write. Raises StoreError."""
    members = [_tried(open_member, position, path) for position, path in enumerate(paths)]
    newest = _newest(_labels(members))
    if newest is None:
        raise StoreError(f"safe device: none of its members is there: {', '.join(paths)}")
    board = boards.Board.private()
    array = Array(members, newest, board, lambda position, path: open_member(position, path, False), may_write=False)
    array.take(newest)
    board.begin_counting(len(newest.parity))
    board.name(newest.paths)
    board.set(mask(newest.out) | _away(newest, array.members, _labels(array.members), says=False))
    array._seen = board.version
    return array


def closed(array):
    """Let the labels say that nothing is left in the middle. Once on a node, when nobody writes any more."""
    if not array.board.is_broken and not array.board.is_under_way:
        try:
            with array.board.labels():
                array.refresh()
                array.write_labels(array.label.next(boot=""), array.board.out, 0)
        except StoreError as error:         # the next opening looks at what was left
            _log.warning("%s", error)


def _labels(members):
    """The labels of members, None of those that have none. One that can't be read is let go: it isn't there. StoreVersion."""
    found = []
    for position, member in enumerate(members):
        try:
            found.append(labels.read(member) if member is not None else None)
        except OSError as error:
            if not is_refusal(error):
                raise
            member.close()
            members[position] = None
            found.append(None)
    return found


def _newest(found):
    return max(filter(None, found), key=lambda label: (label.generation, label.active), default=None)


def _tried(open_member, position, path):
    try:
        return open_member(position, path, False)
    except OSError as error:
        if not is_refusal(error):
            raise
        return None


def _made(members, paths, failures, capacity, open_member):
    data = len(paths) - failures
    label = labels.Label(uuid.uuid4().hex, 0, 0, False, tuple(paths), (), ((0, tuple(range(data))),), tuple(range(data, len(paths))), capacity, "")
    labels.check(label)
    for position, path in enumerate(paths):
        if members[position] is None:
            try:
                members[position] = open_member(position, path, True)
            except OSError as error:
                if not is_refusal(error):
                    raise
                raise StoreError(f"member {path} of a safe device can't be made: {error.strerror or error}; check the path and its permissions") from error
    return label


def _check_all(paths, failures, newest, found):
    """StoreError for a member of another set, or one that stands elsewhere."""
    sets = [label.set for position, label in enumerate(found) if label is not None and position not in newest.gone]
    usual = max(set(sets), key=sets.count)
    for position, (path, label) in enumerate(zip(paths, found)):
        if position in newest.gone:
            continue
        if label is not None and label.set != usual:
            raise StoreError(f"safe device: {path} is a member of another set than the others: bring back the one that was here, or remove it and recover the member")
        if label is not None and label.position != position:
            raise StoreError(f"safe device: {path} is member {label.position} of the set and stands in place {position}: name the members in their order")
    if failures != len(newest.parity) or len(paths) - failures > len(newest.paths) - len(newest.parity):
        raise StoreError(f"safe device: the set has {len(newest.paths) - len(newest.parity)} data members and outlives {len(newest.parity)}, not {len(paths) - failures} and {failures}: "
                         f"give it the members and max_failures that it was made with")


def _away(newest, members, found, says=True):
    """Bits of members that are missing, blank, or were away while others were written."""
    away = 0
    for position, (member, label) in enumerate(zip(members, found)):
        if newest.paths[position] and (member is None or label is None or newest.active and label.generation < newest.generation):
            if says and position not in newest.out:
                _log.warning("member %s of a safe device %s: what it holds is read from the others until it is recovered", newest.paths[position],
                             "isn't there" if member is None else "is blank" if label is None else "is stale: others were written without it")
            away |= 1 << position
    return away


def _boot():
    """What names this run of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"
