"""What a put or get would take, from the figures of the targets where its bytes would go, or lie. Moves nothing and changes nothing."""

from typing import NamedTuple

from wrp.cte.targetnumbers import RAM
from wrp.cte.tiers import PIECE
from wrp.errors import OutOfSpace


class Modelled(NamedTuple):
    """seconds: latency and bytes by bandwidth of each target, one piece after the other; places: ((name of a target, bytes), …), in the order of the bytes."""

    seconds: float
    places: tuple


def modelled_put(tiers, nbytes, wish):
    """The Modelled of a put of so many bytes as `pieces.write` would place them now. OutOfSpace where there is no room."""
    taken, seconds, places = {}, 0.0, []
    twin = tiers.placing.twin(taken)
    by_number = {target.number: target for target in twin.targets}
    for start in range(0, nbytes, PIECE):
        size = min(PIECE, nbytes - start)
        number = next((number for number in twin.order(size, wish, False) if _has_room(tiers, by_number[number], taken.get(number, 0) + size)), None)
        if number is None:
            raise OutOfSpace(f"no target has room for byte {start} and those behind it, of {nbytes} that would be put")
        taken[number] = taken.get(number, 0) + size
        target = by_number[number]
        seconds += _seconds(target.latency_us, size, target.write_mbps)
        _add(places, target.name, size)
    return Modelled(seconds, tuple(places))


def modelled_get(tiers, extents, offset, nbytes):
    """The Modelled of a get of a range of what lies in extents, which are read whole where they are no ram."""
    by_number = {target.number: target for target in tiers.placing.targets}
    position, seconds, places = 0, 0.0, []
    for number, _, length, _ in extents:
        wanted = min(position + length, offset + nbytes) - max(position, offset)
        if wanted > 0:
            target = by_number.get(number)
            if target is not None:
                seconds += _seconds(target.latency_us, wanted if target.kind == "ram" else length, target.read_mbps)
            _add(places, target.name if target is not None else tiers.said(number), wanted)
        position += length
    return Modelled(seconds, tuple(places))


def _has_room(tiers, target, nbytes):
    # blobs that files hold too leave the ram for new ones
    return nbytes <= (target.capacity if target.number == RAM and tiers.has_files else tiers.free(target.number))


def _seconds(latency_us, nbytes, mbps):
    return latency_us * 1e-6 + (nbytes / (mbps * 1e6) if mbps else 0.0)


def _add(places, name, nbytes):
    """Count bytes to the last place where it is this one."""
    if places and places[-1][0] == name:
        nbytes += places.pop()[1]
    places.append((name, nbytes))
