"""Changes read from snapshots and journals: which one of a name counts, and the fewest changes that say the same. Writes nothing."""

from typing import NamedTuple

from wrp.cte.folder import frames
from wrp.errors import StoreError

_BATCH = 256                    # changes per frame of `fewest`: none takes long to write


class Newest(NamedTuple):
    """The change of a name that counts; plain: its record, None: it was removed."""

    stamp: int
    order: int
    plain: list


def newest(changes, pace=iter):
    """{name: Newest} of changes in any order: the newest stamp wins, a removal is a change too.

    Bytes may be written to files twice under one stamp, and then only the last place is theirs: a change's `order` decides.
    A tag that was written down by a node which isn't its home (one of the change's `guests`) is what its home says of it. What tags hold that are `gone` is removed up to a stamp.

    pace : as for frames.decode_all; here and below
    """
    changes, state = list(changes), {}
    for change in pace(changes):
        order = change.get("order", 0)
        found = [(plain[0], plain[2], plain) for plain in change.get("put", ())] + [(name, stamp, None) for name, stamp in change.get("remove", ())]
        for name, stamp, plain in found:
            known = state.get(name)
            if known is None or (stamp, order) >= (known.stamp, known.order):
                state[name] = Newest(stamp, order, plain)
    guests, gone = _guests(changes), _gone(changes)
    if guests:
        state.update(_at_home(changes, guests, gone, state))
    for name in [name for name, each in state.items() if _is_gone(name, each.stamp, gone)] if gone else ():
        state[name] = state[name]._replace(plain=None)
    return state


def latest(changes):
    """The highest stamp or order in changes: what is written down after them has to have a higher one, whatever the clock says."""
    found = [change.get("order", 0) for change in changes]
    found += [plain[2] for change in changes for plain in change.get("put", ())]
    found += [stamp for change in changes for kind in ("remove", "gone") for _, stamp in change.get(kind, ())]
    return max(found, default=0)


def _guests(changes):
    return set().union(*(change.get("guests", ()) for change in changes))


def _gone(changes):
    """{own name of a destroyed tag: the stamp up to which what it held is gone}."""
    found = {}
    for change in changes:
        for tag, stamp in change.get("gone", ()):
            found[tag] = max(stamp, found.get(tag, 0))
    return found


def _is_gone(name, stamp, gone):
    return stamp <= gone.get(name.partition("\0")[0], -1)


def _at_home(changes, guests, gone, state):
    """{name: Newest} of those `guests` that are there and that a home has written down since they were removed last."""
    removed, found = {name: gone.get(name, -1) for name in guests}, {}
    for change in changes:
        for name, stamp in change.get("remove", ()):
            if name in removed:
                removed[name] = max(removed[name], stamp)
        elsewhere = change.get("guests", ())
        for plain in change.get("put", ()):
            name, stamp, order = plain[0], plain[2], change.get("order", 0)
            if name in guests and name not in elsewhere and (name not in found or (stamp, order) >= found[name][:2]):
                found[name] = Newest(stamp, order, plain)
    return {name: each for name, each in found.items() if state[name].plain is not None and each.stamp > removed[name]}


def fewest(changes, kept, pace=iter):
    """Changes that say what `changes` of one journal say, one for each name; a removal only where `kept`({name: stamp} of removals) has its name."""
    state, guests, gone = newest(changes, pace), _guests(changes), _gone(changes)
    needed = kept({name: each.stamp for name, each in state.items() if each.plain is None})
    by_order, removals = {}, []
    for name, each in pace(state.items()):
        if each.plain is not None:
            by_order.setdefault(each.order, []).append(each.plain)
        elif name in needed and not _is_gone(name, each.stamp, gone):
            removals.append([name, each.stamp])
    found = [put_of(plain[start:start + _BATCH], order, guests) for order, plain in sorted(by_order.items()) for start in range(0, len(plain), _BATCH)]
    found += [{"remove": removals[start:start + _BATCH]} for start in range(0, len(removals), _BATCH)]
    return found + [{"gone": list(map(list, gone.items()))}] * bool(gone)


def put_of(plain, order, guests=()):
    """The change that puts these plain records; `guests`: names of tags whose home is another node."""
    named = [each[0] for each in plain if each[0] in guests]
    return {"put": plain, "order": order, **({"guests": named} if named else {})}


def read_changes(path, whole, pace=iter):
    """Changes of a file, [] where there is none. A journal may end in a torn frame, a snapshot (`whole`) may not. StoreError for damage."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return []
    try:
        values, end = frames.decode_all(data, pace)
    except ValueError as error:
        raise StoreError(f"{path} has a frame that wrp doesn't write ({error}): restore the file from a copy") from error
    torn = end != len(data)
    if whole and (torn or not values or "end" not in values[-1]) or torn and frames.follows(data, end):
        raise StoreError(f"{path} is damaged at byte {end}: the store can't be opened without losing records: `wrp_cee salvage` "
                         f"says which, and what can be kept; or restore the file from a copy")
    return values
