"""Is a history of calls on one blob linearisable? Wing and Gong's search with Lowe's memory of visited states; knows no store.

A blob is a register whose values are never put twice; None: it isn't there.
"""

from typing import NamedTuple


class Call(NamedTuple):
    """kind: "put", "get" or "delete"; value: what was put, or seen (of a delete: whether the blob was there); begin, end: ns of one clock."""

    kind: str
    value: object
    begin: int
    end: int


def after(state, call):
    """(True, the blob's next value) if the call may happen in `state`, else (False, None)."""
    if call.kind == "put":
        return True, call.value
    if call.kind == "get":
        return call.value == state, state
    return call.value == (state is not None), None


def is_linearisable(calls, first=None):
    """True when one order of the calls explains all answers and no call comes before one that ended before it began."""
    calls = sorted(calls, key=lambda call: call.begin)
    done, state, visited, trail = 0, first, set(), []
    choices = _choices(calls, done)
    while True:
        for number in choices:
            possible, following = after(state, calls[number])
            if possible and (done | 1 << number, following) not in visited:
                visited.add((done | 1 << number, following))
                trail.append((done, state, choices))
                done, state = done | 1 << number, following
                break
        else:
            if not trail:
                return not calls
            done, state, choices = trail.pop()
            continue
        if done == (1 << len(calls)) - 1:
            return True
        choices = _choices(calls, done)


def _choices(calls, done):
    """Iterator over the calls that may come next: those that began before any other that isn't done has ended."""
    limit, found = None, []
    for number in range(_first(done), len(calls)):
        if done >> number & 1:
            continue
        call = calls[number]
        if limit is not None and call.begin > limit:
            break
        found.append(number)
        limit = call.end if limit is None else min(limit, call.end)
    return iter(found)


def _first(done):
    """Number of the first call that isn't done."""
    return (~done & done + 1).bit_length() - 1
