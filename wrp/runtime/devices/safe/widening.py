"""Widening: a set gets another data member behind all that is in use, or one on which nothing lies goes. Moves no bytes."""


from wrp.comm.refusals import tolerant
from wrp.errors import StoreError
from wrp.runtime.devices.safe import label as labels
from wrp.runtime.devices.safe import layout
from wrp.runtime.devices.safe.layout import ZONE, Groups
from wrp.runtime.devices.safe.recovery import taken, zones


def cut(array, used):
    """The first row behind all that is leased (`used` bytes of the device) or was ever written, where a group may begin."""
    last = array.groups.row_of(used - 1) if used else -1
    for group, first in zones(array):
        if first > last and not all(array.known(group, first, ZONE)[1]):
            last = max(last, first)
    return (last // ZONE + 1) * ZONE


def added(array, path, used, open_member):
    """Open a group of rows that has one more data column, behind all that is in use: the new capacity. Raises StoreError."""
    row = cut(array, used)
    with array.board.labels():
        array.refresh()
        label, rows = array.label, array.groups.rows(array.label.capacity)
        if path in label.paths or len(label.paths) >= layout.MOST:
            raise StoreError(f"safe device: {path} is a member already" if path in label.paths else f"safe device: it has {layout.MOST} members, and no more fit")
        position = len(label.paths)
        members = (*label.groups[-1][1], position)
        groups = (*(group for group in label.groups if group[0] < row), (row, members))
        capacity = _capacity(groups, max(rows, row))
        label = label.next(paths=(*label.paths, path), groups=groups, capacity=capacity)
        labels.check(label)
        array.replace(position, taken(array, position, path, open_member))
        array.write_labels(label, array.board.out, array.board.joining)
    return capacity


def removed(array, position, used):
    """Let a data member be one no more, and its file or memory be empty: the new capacity. StoreError when it holds rows, or is none."""
    row = cut(array, used)
    with array.board.labels():
        array.refresh()
        label, rows = array.label, array.groups.rows(array.label.capacity)
        holding = [first for first, members in label.groups if position in members and first < row]
        members = tuple(each for each in label.groups[-1][1] if each != position)
        if position in label.parity or position not in label.groups[-1][1] or holding or not members:
            why = "it holds parity" if position in label.parity else "rows lie on it" if holding else "it has no rows" if position not in label.groups[-1][1] else "it is the last"
            raise StoreError(f"safe device: member {position} can't be removed: {why}")
        groups = tuple(group for group in label.groups if group[0] < row)
        if not groups or groups[-1][1] != members:
            groups = (*groups, (row, members))
        capacity, member, others = _capacity(groups, max(rows, row)), array.members[position], ~(1 << position)
        paths = (*label.paths[:position], "", *label.paths[position + 1:])
        out = array.board.out & others
        array.write_labels(label.next(groups=groups, capacity=capacity, paths=paths), out, array.board.joining & others)
        array.replace(position, None)
    if member is not None:
        with tolerant():
            member.empty()
    return capacity


def _capacity(groups, rows):
    last = Groups(groups).last
    return last.begin + (rows - last.first) * last.row_nbytes
